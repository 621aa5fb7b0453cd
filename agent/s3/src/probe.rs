//! What the store's answers are worth: an echo is no proof, so wrong checksums must be refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Effect, EndpointError, ErrorKind, Integrity, Key, ListPage, PartStream, Payload,
    PosixMetadata, Timestamp, Unpaced, UploadId,
};
use md5::{Digest as _, Md5};
use tokio::time::timeout;

use crate::body::Digests;
use crate::calls::Operation;
use crate::deletes::Doomed;
use crate::destination::{Store, Traits};
use crate::leftovers::{NAME, STALE_SECONDS};
use crate::object::{head_crc64, head_metadata};
use crate::put::{Check, Reply, Write};
use crate::requests::Wait;
use crate::trailer::CHUNK_MIN;

const CONTENT: &[u8] = b"Written and deleted by DataSync to learn what this store verifies.\n";
/// Below the location; the engine leaves everything there alone.
pub(crate) const DIRECTORY: &str = ".aws-datasync/";
/// Half of the age from which a probe's object counts as left behind.
const PROBE_MAX: Duration = Duration::from_secs(STALE_SECONDS.unsigned_abs() / 2);

/// Of no object.
const OTHER_ETAG: &str = "\"00000000000000000000000000000000\"";

/// What the store does with the checksums of parts.
#[derive(Debug, Default, Clone, Copy)]
struct Parts {
    /// Of the part, ahead of it, and of the whole.
    crc64: bool,
    trailers: bool,
}

/// How a request that ought to be refused ended.
enum Outcome {
    Accepted,
    Refused,
}

struct Probe<'a> {
    store: &'a Store,
    object_key: String,
    payload: Payload,
    metadata: PosixMetadata,
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
            metadata: PosixMetadata {
                owner: Some(1000),
                permissions: Some(0o100_644),
                mtime: Timestamp::from_nanoseconds(1_595_002_920_123_456_789),
                ..PosixMetadata::default()
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
        let integrity = self.integrity().await?;
        let etag_is_md5 = self.metadata_comes_back().await?;
        let parts = match integrity {
            Integrity::Crc64 => self.parts().await?,
            Integrity::Md5 | Integrity::ReadBack => Parts::default(),
        };
        let if_none_match = self.if_none_match(integrity).await?;
        let if_match = self.if_match().await?;
        let batches = !if_match || self.batches_honour_etags().await;
        Ok(Traits {
            integrity,
            multipart_crc64: parts.crc64,
            trailers: parts.trailers,
            if_none_match,
            if_match,
            etag_is_md5,
            batches,
        })
    }

    /// Leaves the object in place, with its right content.
    async fn integrity(&self) -> Result<Integrity, EndpointError> {
        let right = self.payload.crc64;
        let wrong = Crc64(!right.0);
        let refuses = self.put(Check::crc64(wrong), false).await?;
        if matches!(refuses, Outcome::Refused)
            && matches!(
                self.put(Check::crc64(right), false).await?,
                Outcome::Accepted
            )
            && self.has_crc64().await?
        {
            return Ok(Integrity::Crc64);
        }
        let mut digest = Md5::digest(CONTENT);
        let right = Check::md5(&digest);
        digest[0] ^= 0xff;
        let refuses = self.put(Check::md5(&digest), false).await?;
        if matches!(refuses, Outcome::Refused)
            && matches!(self.put(right, false).await?, Outcome::Accepted)
        {
            return Ok(Integrity::Md5);
        }
        match self.put(Check::Nothing, false).await? {
            Outcome::Accepted => Ok(Integrity::ReadBack),
            Outcome::Refused => Err(self.not_supported("the store refuses a plain PutObject")),
        }
    }

    async fn has_crc64(&self) -> Result<bool, EndpointError> {
        let head = self.store.head(&self.object_key).await?;
        Ok(head.and_then(|head| head_crc64(&head)) == Some(self.payload.crc64))
    }

    async fn put(&self, check: Check, if_absent: bool) -> Result<Outcome, EndpointError> {
        refused(self.try_put(check, if_absent).await)
    }

    async fn try_put(&self, check: Check, if_absent: bool) -> Result<(), EndpointError> {
        let write = Write {
            object_key: &self.object_key,
            metadata: &self.metadata,
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
            Some(head) if head_metadata(&head) == self.metadata => {
                let md5 = hex::encode(Md5::digest(CONTENT));
                Ok(head.e_tag().map(|etag| etag.trim_matches('"')) == Some(md5.as_str()))
            }
            Some(_) => Err(self.not_supported("the store does not keep x-amz-meta-* as sent")),
            None => Err(self.not_supported("an object that was just written is not found")),
        }
    }

    async fn if_none_match(&self, integrity: Integrity) -> Result<bool, EndpointError> {
        let check = match integrity {
            Integrity::Crc64 => Check::crc64(self.payload.crc64),
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

    /// Whether an upload with a full-object checksum can be begun, and which wrong parts it refuses.
    async fn parts(&self) -> Result<Parts, EndpointError> {
        let request = self
            .store
            .client
            .create_multipart_upload()
            .bucket(&self.store.place.bucket)
            .key(&self.object_key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .customize()
            .interceptor(self.store.write_headers.clone())
            .send();
        let target = self.store.place.target(&self.object_key);
        let operation = Operation::CreateMultipartUpload;
        let begun = self
            .store
            .requests
            .send(Wait::Answer, operation, &target, request)
            .await;
        let upload = match begun {
            Ok(output) => match output.upload_id {
                Some(id) => UploadId(id),
                None => return Ok(Parts::default()),
            },
            Err(error) => return refused(Err(error)).map(|_| Parts::default()),
        };
        let crc64 = self.wrong_part_is_refused(&upload).await;
        let trailers = matches!(crc64, Ok(true)) && self.trailers_are_checked(&upload).await;
        self.store.abort(&self.object_key, &upload).await?;
        Ok(Parts {
            crc64: crc64?,
            trailers,
        })
    }

    async fn wrong_part_is_refused(&self, upload: &UploadId) -> Result<bool, EndpointError> {
        let wrong = Check::crc64(Crc64(!self.payload.crc64.0));
        let part = self
            .store
            .part_with(&self.object_key, upload, 1, &self.payload, &wrong)
            .await;
        match part {
            // The store took the wrong value over as its own: an echo.
            Err(error)
                if error.effect == Effect::Unknown && error.kind == ErrorKind::ChecksumRefused =>
            {
                Ok(false)
            }
            part => Ok(matches!(refused(part.map(|_| ()))?, Outcome::Refused)),
        }
    }

    /// Whether a checksum that follows a part is taken if it is right, and refused if not. Not to
    /// know it costs only that parts go without.
    async fn trailers_are_checked(&self, upload: &UploadId) -> bool {
        let right = self.trailed(upload, Digests::default()).await;
        let taken = match right {
            Ok(reply) => reply.crc64 == Some(Crc64::of(&several_chunks())),
            Err(error) => {
                tracing::info!(%error, "parts that are sent while they are read go without checksum");
                false
            }
        };
        let mut wrong = Digests::default();
        wrong.crc64.update(b"what is not sent");
        taken
            && matches!(
                refused(self.trailed(upload, wrong).await.map(|_| ())),
                Ok(Outcome::Refused)
            )
    }

    async fn trailed(&self, upload: &UploadId, digests: Digests) -> Result<Reply, EndpointError> {
        let content = several_chunks();
        let part = PartStream {
            length: content.len() as u64,
            chunks: Box::pin(futures::stream::iter([Ok(content)])),
            pace: Arc::clone(&self.payload.pace),
        };
        let digests = Arc::new(Mutex::new(digests));
        let place = (self.object_key.as_str(), upload, 1);
        self.store
            .send_trailed(place, part, CHUNK_MIN, &digests)
            .await
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

/// A store may understand one chunk and not several.
fn several_chunks() -> Bytes {
    let length = usize::try_from(2 * CHUNK_MIN).unwrap_or(usize::MAX);
    CONTENT.repeat(length / CONTENT.len() + 1).into()
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
