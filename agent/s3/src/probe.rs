//! What the store's answers are worth: an echo is no proof, so wrong checksums must be refused.

mod integrity;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Effect, EndpointError, ErrorKind, Integrity, Key, ListPage, ObjectHeader, Payload,
    PosixMetadata, Timestamp, Unpaced,
};
use md5::{Digest as _, Md5};
use tokio::time::timeout;

use crate::check::Check;
use crate::deletes::Doomed;
use crate::destination::{Store, Traits};
use crate::leftovers::{NAME, STALE_SECONDS};
use crate::object::head_metadata;
use crate::put::Write;
use crate::sums::Proof;
use integrity::Found;

const CONTENT: &[u8] = b"Written and deleted by DataSync to learn what this store verifies.\n";
/// Below the location; the engine leaves everything there alone.
pub(crate) const DIRECTORY: &str = ".aws-datasync/";
/// Half of the age from which a probe's object counts as left behind.
const PROBE_MAX: Duration = Duration::from_secs(STALE_SECONDS.unsigned_abs() / 2);

/// Of no object.
const OTHER_ETAG: &str = "\"00000000000000000000000000000000\"";

/// Another content, whose checksums are wrong here.
const OTHER_CONTENT: &[u8] = b"what is not sent";

/// How a request that ought to be refused ended.
enum Outcome {
    Accepted,
    Refused,
}

struct Probe<'a> {
    store: &'a Store,
    object_key: String,
    payload: Payload,
    header: ObjectHeader,
}

impl Store {
    /// `first` is the first page of the location's listing.
    pub(crate) async fn probe(&self, first: &ListPage) -> Result<Traits, EndpointError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            let detail = format!("no random numbers: {error}");
            EndpointError::new(ErrorKind::Invalid, "open", self.place.target(""), detail)
        })?;
        let key = Key::from_listing(format!("{DIRECTORY}{NAME}{}", hex::encode(random)));
        let probe = Probe {
            store: self,
            object_key: self.place.object_key(&key),
            payload: Payload {
                chunks: vec![Bytes::from_static(CONTENT)],
                length: CONTENT.len() as u64,
                crc64: Crc64::of(CONTENT),
                pace: Arc::new(Unpaced),
            },
            header: ObjectHeader {
                metadata: PosixMetadata {
                    owner: Some(1000),
                    permissions: Some(0o100_644),
                    mtime: Timestamp::from_nanoseconds(1_595_002_920_123_456_789),
                    ..PosixMetadata::default()
                },
                storage_class: None,
                only_if_absent: false,
                properties: None,
                extended: None,
            },
        };
        let (traits, cleaned) = match timeout(PROBE_MAX, probe.run()).await {
            Ok(Ok(traits)) => {
                if let Err(error) = self.remove_leftovers(&key, first).await {
                    tracing::warn!(%error, "what earlier probes left stays for now");
                }
                (Ok(traits), self.remove(&probe.object_key, None).await)
            }
            Ok(Err(error)) => (Err(error), self.clear(&probe.object_key).await),
            Err(_) => (Err(probe.too_slow()), self.clear(&probe.object_key).await),
        };
        if let Err(error) = cleaned {
            tracing::warn!(%error, "the probe's object stays until the location is opened later");
        }
        traits
    }
}

impl Probe<'_> {
    async fn run(&self) -> Result<Traits, EndpointError> {
        let Found {
            integrity,
            crc64,
            parts,
        } = self.integrity().await?;
        let etag_is_md5 = self.metadata_comes_back().await?;
        let if_none_match = self.if_none_match(integrity).await?;
        let if_match = self.if_match().await?;
        let batches = !if_match || self.batches_honour_etags().await;
        Ok(Traits {
            integrity,
            crc64,
            parts: parts.checked,
            trailers: parts.trailers,
            if_none_match,
            if_match,
            etag_is_md5,
            batches,
        })
    }

    async fn put(&self, check: Check, if_absent: bool) -> Result<Outcome, EndpointError> {
        refused(self.try_put(check, if_absent).await)
    }

    async fn try_put(&self, check: Check, if_absent: bool) -> Result<(), EndpointError> {
        let write = Write {
            object_key: &self.object_key,
            header: &self.header,
            storage_class: None,
            if_absent,
            check,
        };
        let answer = self.store.put_object(&write, &self.payload).await;
        answer.map(|_| ()).map_err(|mut error| {
            if error.kind == ErrorKind::PermissionDenied {
                let detail = "writing objects is not allowed (s3:PutObject)";
                error.detail = format!("{detail}: {}", error.detail);
            }
            error
        })
    }

    /// Gives whether the object's ETag is the MD5 of its content.
    async fn metadata_comes_back(&self) -> Result<bool, EndpointError> {
        match self.store.head(&self.object_key).await? {
            Some(head) if head_metadata(&head) == self.header.metadata => {
                let md5 = hex::encode(Md5::digest(CONTENT));
                Ok(head.e_tag().map(|etag| etag.trim_matches('"')) == Some(md5.as_str()))
            }
            Some(_) => Err(self.not_supported("the store does not keep x-amz-meta-* as sent")),
            None => Err(self.not_supported("an object that was just written is not found")),
        }
    }

    async fn if_none_match(&self, integrity: Integrity) -> Result<bool, EndpointError> {
        let check = match integrity {
            Integrity::Crc64 => self.right(Proof::Crc64),
            Integrity::Checksum(algorithm) => self.right(Proof::Other(algorithm)),
            Integrity::Md5 => Check::md5(&Md5::digest(CONTENT)),
            Integrity::ReadBack => Check::Nothing,
        };
        honoured(self.try_put(check, true).await)
    }

    async fn if_match(&self) -> Result<bool, EndpointError> {
        let removed = self.store.remove(&self.object_key, Some(OTHER_ETAG)).await;
        if matches!(&removed, Err(error) if error.kind == ErrorKind::PermissionDenied) {
            // Deleting is needed only if the task deletes, which then says so itself.
            return Ok(false);
        }
        honoured(removed)
    }

    /// Whether DeleteObjects keeps an object whose ETag is another one. Not to know it costs only
    /// requests.
    async fn batches_honour_etags(&self) -> bool {
        let doomed = Doomed {
            object_key: self.object_key.clone(),
            etag: Some(OTHER_ETAG.to_owned()),
        };
        match self.store.delete_objects(&[&doomed]).await {
            Ok(mut outcomes) => {
                let outcome = outcomes.remove(&self.object_key);
                matches!(outcome, Some(Err(error)) if error.kind == ErrorKind::Precondition)
            }
            Err(error) => {
                tracing::info!(%error, "objects will be deleted one by one");
                false
            }
        }
    }

    fn too_slow(&self) -> EndpointError {
        let target = self.store.place.target(&self.object_key);
        let detail = format!("the probe was not done within {} s", PROBE_MAX.as_secs());
        EndpointError::new(ErrorKind::Timeout, "open", target, detail).with_unknown_effect()
    }

    fn not_supported(&self, detail: &str) -> EndpointError {
        let target = self.store.place.target(&self.object_key);
        EndpointError::new(ErrorKind::NotSupported, "open", target, detail)
    }
}

/// Whether a request whose condition does not hold was refused for that: a store that refuses the
/// condition itself does not know it.
fn honoured(answer: Result<(), EndpointError>) -> Result<bool, EndpointError> {
    if matches!(&answer, Err(error) if error.kind == ErrorKind::Precondition) {
        return Ok(true);
    }
    refused(answer).map(|_| false)
}

/// Tells a refusal of what was asked from a failure of the probe.
fn refused(answer: Result<(), EndpointError>) -> Result<Outcome, EndpointError> {
    match answer {
        Ok(()) => Ok(Outcome::Accepted),
        // With an unknown effect it was not the store that refused.
        Err(error) => match (error.kind, error.effect) {
            (
                ErrorKind::ChecksumRefused
                | ErrorKind::Precondition
                | ErrorKind::Invalid
                | ErrorKind::NotSupported,
                Effect::None,
            ) => Ok(Outcome::Refused),
            _ => Err(error),
        },
    }
}
