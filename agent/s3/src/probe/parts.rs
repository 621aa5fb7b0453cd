//! What the store does with the checksums of parts, ahead of them and behind.

use std::sync::{Arc, Mutex};

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use datasync_endpoint::{
    Algorithm, Checksum, Effect, EndpointError, ErrorKind, ObjectChecksum, PartStream, UploadId,
};

use super::{CONTENT, OTHER_CONTENT, Outcome, Probe, refused};
use crate::body::Digests;
use crate::check::{Check, checked};
use crate::multipart::Whole;
use crate::put::Reply;
use crate::sums::{Proof, Sum};
use crate::trailer::CHUNK_MIN;

/// What the store does with the checksums of parts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Parts {
    /// It checks those ahead of a part, and tells that of the whole.
    pub(super) checked: bool,
    pub(super) trailers: bool,
}

impl Probe<'_> {
    /// Whether an upload with such checksums can be begun, and which wrong parts it refuses.
    pub(super) async fn parts(&self, proof: Proof) -> Result<Parts, EndpointError> {
        let request = self.store.client.create_multipart_upload();
        let begun = self.store.begin(&self.object_key, request, Some(proof));
        let upload = match begun.await {
            Ok(upload) => upload,
            Err(error) if error.kind == ErrorKind::Protocol => return Ok(Parts::default()),
            Err(error) => return refused(Err(error)).map(|_| Parts::default()),
        };
        let parts = self.parts_of(&upload, proof).await;
        // Completed or not.
        self.store.abort(&self.object_key, &upload).await?;
        parts
    }

    async fn parts_of(&self, upload: &UploadId, proof: Proof) -> Result<Parts, EndpointError> {
        if !self.wrong_part_is_refused(upload, proof).await? {
            return Ok(Parts::default());
        }
        let trailers = self.trailers_are_checked(upload, proof).await;
        let checked = match proof {
            Proof::Crc64 => true,
            Proof::Other(algorithm) => self.whole_is_told(upload, algorithm).await?,
        };
        Ok(Parts { checked, trailers })
    }

    async fn wrong_part_is_refused(
        &self,
        upload: &UploadId,
        proof: Proof,
    ) -> Result<bool, EndpointError> {
        let wrong = Check::Sum(Sum::of(proof, OTHER_CONTENT));
        let right = self.right(proof).checksum();
        let place = (self.object_key.as_str(), upload, 1);
        let part = self.store.part_with(place, &self.payload, &wrong, right);
        match part.await {
            // The store took the wrong value over as its own: an echo.
            Err(error)
                if error.effect == Effect::Unknown && error.kind == ErrorKind::ChecksumRefused =>
            {
                Ok(false)
            }
            part => Ok(matches!(refused(part.map(|_| ()))?, Outcome::Refused)),
        }
    }

    /// Whether an object of one part comes to be, and the store tells the checksum of its parts. It
    /// takes the place of the object of one request.
    async fn whole_is_told(
        &self,
        upload: &UploadId,
        algorithm: Algorithm,
    ) -> Result<bool, EndpointError> {
        let checksum = Checksum::of(algorithm, CONTENT);
        let right = Check::Sum(checksum.into());
        let place = (self.object_key.as_str(), upload, 1);
        let part = self
            .store
            .part_with(place, &self.payload, &right, Some(checksum));
        let part = match part.await {
            Ok(part) => part,
            Err(error) => return refused(Err(error)).map(|_| false),
        };
        let Some(whole) = ObjectChecksum::of_parts([checksum]) else {
            return Ok(false);
        };
        let named = checked!(CompletedPart::builder(), right)
            .part_number(1)
            .e_tag(part.etag)
            .build();
        let completing = self.store.finish(
            &self.object_key,
            upload,
            Whole {
                parts: vec![named],
                length: self.payload.length,
                crc64: None,
                if_absent: false,
            },
        );
        match completing.await {
            Ok(reply) if reply.told.of(algorithm) == Some(whole) => Ok(true),
            Ok(_) => self.is_told(Sum::Other(whole)).await,
            Err(error) => refused(Err(error)).map(|_| false),
        }
    }

    /// Whether a checksum that follows a part is taken if it is right, and refused if not. Not to
    /// know it costs only that parts go without.
    async fn trailers_are_checked(&self, upload: &UploadId, proof: Proof) -> bool {
        let right = self.trailed(upload, Digests::of(Some(proof))).await;
        let taken = match right {
            Ok(reply) => reply.told.sum(proof) == Some(Sum::of(proof, &several_chunks())),
            Err(error) => {
                tracing::info!(%error, "the store takes no checksum behind a part");
                false
            }
        };
        let mut wrong = Digests::of(Some(proof));
        wrong.update(OTHER_CONTENT);
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
}

/// A store may understand one chunk and not several.
fn several_chunks() -> Bytes {
    let length = usize::try_from(2 * CHUNK_MIN).unwrap_or(usize::MAX);
    CONTENT.repeat(length / CONTENT.len() + 1).into()
}
