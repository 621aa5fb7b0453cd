//! By what the store proves what it is sent: the strongest that it checks, or what is asked for.

use datasync_endpoint::{Algorithm, EndpointError, Integrity};
use md5::{Digest as _, Md5};

use super::parts::Parts;
use super::{CONTENT, OTHER_CONTENT, Outcome, Probe};
use crate::check::Check;
use crate::object::head_sums;
use crate::sums::{Proof, Sum};

/// By what the store proves objects.
pub(super) struct Found {
    pub(super) integrity: Integrity,
    /// Whether it refuses a wrong CRC-64/NVME.
    pub(super) crc64: bool,
    pub(super) parts: Parts,
}

impl Probe<'_> {
    /// Leaves the object in place, with its right content.
    pub(super) async fn integrity(&self) -> Result<Found, EndpointError> {
        let crc64 = self.checks(Proof::Crc64).await?;
        let found = |integrity, parts| Found {
            integrity,
            crc64,
            parts,
        };
        if let Some(algorithm) = self.store.required {
            let parts = self.required(algorithm).await?;
            return Ok(found(Integrity::Checksum(algorithm), parts));
        }
        if crc64 {
            return Ok(found(Integrity::Crc64, self.parts(Proof::Crc64).await?));
        }
        if let Some(parts) = self.crc32c().await? {
            return Ok(found(Integrity::Checksum(Algorithm::Crc32c), parts));
        }
        let integrity = if self.checks_md5().await? {
            Integrity::Md5
        } else {
            match self.put(Check::Nothing, false).await? {
                Outcome::Accepted => Integrity::ReadBack,
                Outcome::Refused => {
                    return Err(self.not_supported("the store refuses a plain PutObject"));
                }
            }
        };
        Ok(found(integrity, Parts::default()))
    }

    /// Nothing weaker than what was asked for.
    async fn required(&self, algorithm: Algorithm) -> Result<Parts, EndpointError> {
        let proof = Proof::Other(algorithm);
        let lacking = |of: &str| {
            let header = proof.header();
            self.not_supported(&format!(
                "the store does not check {header} of {of}, and {algorithm} is asked for: take \
                 another store, or do without"
            ))
        };
        if !self.checks(proof).await? {
            return Err(lacking("objects"));
        }
        let parts = self.parts(proof).await?;
        // Completing the upload wrote it anew.
        if matches!(self.put(self.right(proof), false).await?, Outcome::Refused) || !parts.checked {
            return Err(lacking("parts"));
        }
        Ok(parts)
    }

    /// Only where it proves everything: Content-MD5 is slower, not weaker.
    async fn crc32c(&self) -> Result<Option<Parts>, EndpointError> {
        let proof = Proof::Other(Algorithm::Crc32c);
        if !self.checks(proof).await? {
            return Ok(None);
        }
        let parts = self.parts(proof).await?;
        let accepted = matches!(self.put(self.right(proof), false).await?, Outcome::Accepted);
        Ok((accepted && parts.checked && parts.trailers).then_some(parts))
    }

    pub(super) fn right(&self, proof: Proof) -> Check {
        Check::Sum(Sum::of(proof, CONTENT))
    }

    /// Whether a wrong checksum of an object is refused, and a right one taken and told.
    async fn checks(&self, proof: Proof) -> Result<bool, EndpointError> {
        let wrong = Check::Sum(Sum::of(proof, OTHER_CONTENT));
        let refuses = self.put(wrong, false).await?;
        Ok(matches!(refuses, Outcome::Refused)
            && matches!(self.put(self.right(proof), false).await?, Outcome::Accepted)
            && self.is_told(Sum::of(proof, CONTENT)).await?)
    }

    pub(super) async fn is_told(&self, sum: Sum) -> Result<bool, EndpointError> {
        let head = self.store.head(&self.object_key).await?;
        Ok(head.and_then(|head| head_sums(&head).sum(sum.proof())) == Some(sum))
    }

    async fn checks_md5(&self) -> Result<bool, EndpointError> {
        let wrong = Check::md5(&Md5::digest(OTHER_CONTENT));
        let right = Check::md5(&Md5::digest(CONTENT));
        let refuses = self.put(wrong, false).await?;
        Ok(matches!(refuses, Outcome::Refused)
            && matches!(self.put(right, false).await?, Outcome::Accepted))
    }
}
