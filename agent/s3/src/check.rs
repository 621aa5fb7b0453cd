//! What goes along with a body, so that the store can refuse another one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{
    Checksum, ChecksumHasher, Crc64Hasher, EndpointError, ErrorKind, Integrity, Key, Payload,
};
use md5::{Digest as _, Md5};

use crate::sums::{Proof, Sum};

/// The checksum header of a body.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Sum(Sum),
    /// In base64.
    Md5(String),
    /// It follows the content.
    Trailer {
        proof: Proof,
        /// Of the content in bytes.
        length: u64,
    },
    Nothing,
}

impl Check {
    pub(crate) fn md5(digest: &[u8]) -> Self {
        Self::Md5(BASE64.encode(digest))
    }

    /// Header name and value.
    pub(crate) fn header(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Sum(sum) => Some((sum.proof().header(), sum.text())),
            Self::Md5(value) => Some(("content-md5", value.clone())),
            Self::Trailer { .. } | Self::Nothing => None,
        }
    }

    /// The value of the header for `proof`, if that goes along.
    pub(crate) fn text(&self, proof: Proof) -> Option<String> {
        match self {
            Self::Sum(sum) if sum.proof() == proof => Some(sum.text()),
            _ => None,
        }
    }

    pub(crate) fn content_md5(&self) -> Option<String> {
        match self {
            Self::Md5(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// What the store's own is compared with, besides the CRC-64.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        match self {
            Self::Sum(sum) => sum.other().map(|other| other.checksum),
            _ => None,
        }
    }

    /// The header that proves a body to a store with this integrity.
    ///
    /// # Errors
    /// If it would be computed over other bytes than those that the payload's own checksum is of.
    pub(crate) async fn of(
        key: &Key,
        payload: &Payload,
        integrity: Integrity,
    ) -> Result<Self, EndpointError> {
        match integrity {
            Integrity::Crc64 => Ok(Self::Sum(Sum::Crc64(payload.crc64))),
            Integrity::ReadBack => Ok(Self::Nothing),
            Integrity::Checksum(algorithm) => {
                let mut hasher = ChecksumHasher::new(algorithm);
                hash(key, payload, algorithm.as_str(), |chunk| {
                    hasher.update(chunk);
                })
                .await?;
                Ok(Self::Sum(hasher.finish().into()))
            }
            Integrity::Md5 => {
                let mut hasher = Md5::new();
                hash(key, payload, "Content-MD5", |chunk| hasher.update(chunk)).await?;
                Ok(Self::md5(&hasher.finalize()))
            }
        }
    }
}

/// Gives the payload's chunks to `update`, and looks whether they are what was read.
async fn hash(
    key: &Key,
    payload: &Payload,
    what: &'static str,
    mut update: impl FnMut(&[u8]),
) -> Result<(), EndpointError> {
    let mut crc64 = Crc64Hasher::default();
    for chunk in &payload.chunks {
        crc64.update(chunk);
        update(chunk);
        // MD5 takes about 2 ms per MiB: others may run in between.
        tokio::task::yield_now().await;
    }
    if crc64.finish() == payload.crc64 {
        return Ok(());
    }
    Err(EndpointError::new(
        ErrorKind::ChecksumRefused,
        what,
        key.as_str(),
        "the body changed in memory after it was read",
    ))
}

/// A request of the SDK with the header of a [`Check`].
macro_rules! checked {
    ($request:expr, $check:expr) => {
        $request
            .set_checksum_crc64_nvme($check.text($crate::sums::Proof::Crc64))
            .set_checksum_crc32_c($check.text($crate::sums::Proof::Other(
                datasync_endpoint::Algorithm::Crc32c,
            )))
            .set_checksum_sha256($check.text($crate::sums::Proof::Other(
                datasync_endpoint::Algorithm::Sha256,
            )))
    };
}
pub(crate) use checked;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datasync_endpoint::{Algorithm, Crc64, Unpaced};

    use super::*;

    fn payload(crc64: Crc64) -> Payload {
        Payload {
            chunks: vec!["bo".into(), "dy".into()],
            length: 4,
            crc64,
            pace: Arc::new(Unpaced),
        }
    }

    #[tokio::test]
    async fn a_body_that_changed_in_memory_gets_no_checksum() {
        let key = Key::from_listing("key".to_owned());
        for integrity in [
            Integrity::Md5,
            Integrity::Checksum(Algorithm::Crc32c),
            Integrity::Checksum(Algorithm::Sha256),
        ] {
            let good = payload(Crc64::of(b"body"));
            assert!(Check::of(&key, &good, integrity).await.is_ok());
            let changed = payload(Crc64::of(b"bodx"));
            let error = Check::of(&key, &changed, integrity).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::ChecksumRefused);
        }
    }

    #[tokio::test]
    async fn the_header_is_that_of_the_body_and_no_other() {
        let key = Key::from_listing("key".to_owned());
        let payload = payload(Crc64::of(b"body"));
        let integrity = Integrity::Checksum(Algorithm::Sha256);
        let check = Check::of(&key, &payload, integrity).await.unwrap();
        let expected = Sum::of(Proof::Other(Algorithm::Sha256), b"body");
        let header = ("x-amz-checksum-sha256", expected.text());
        assert_eq!(check.header(), Some(header));
        assert_eq!(check.text(expected.proof()), Some(expected.text()));
        assert_eq!(check.text(Proof::Crc64), None);
        assert_eq!(check.checksum(), expected.other().map(|sum| sum.checksum));
    }
}
