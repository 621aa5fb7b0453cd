//! One part of an upload, held or read while it is sent.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use datasync_endpoint::{
    Algorithm, Checksum, Crc64, EndpointError, ErrorKind, Integrity, Key, PartReceipt, PartStream,
    Payload, UploadId,
};
use md5::{Digest as _, Md5};

use crate::body::{Digests, PacedBody, Progress};
use crate::calls::Operation;
use crate::check::{Check, checked};
use crate::destination::Store;
use crate::put::{Reply, stream};
use crate::requests::Wait;
use crate::sums::{Proof, Sum, told};
use crate::trailer::{CHUNK, Trailed, TrailerHeaders};

impl Store {
    /// What proves a part.
    fn part_integrity(&self) -> Integrity {
        match self.traits.integrity {
            Integrity::Crc64 | Integrity::Checksum(_) if !self.traits.parts => Integrity::ReadBack,
            integrity => integrity,
        }
    }

    pub(crate) async fn part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: &Payload,
    ) -> Result<PartReceipt, EndpointError> {
        let check = Check::of(key, payload, self.part_integrity()).await?;
        let object_key = self.place.object_key(key);
        let place = (object_key.as_str(), upload, number);
        self.part_with(place, payload, &check, check.checksum())
            .await
    }

    /// Sends a part along with `check`. What the store tells must be the payload's CRC-64, or `ours`.
    pub(crate) async fn part_with(
        &self,
        place: (&str, &UploadId, u32),
        payload: &Payload,
        check: &Check,
        ours: Option<Checksum>,
    ) -> Result<PartReceipt, EndpointError> {
        let progress = Progress::new();
        let body = (stream(payload, &progress), progress);
        let reply = self.send_part(place, check, body).await?;
        let sent = (payload.crc64, ours);
        self.part_receipt(place, reply, sent, payload.length)
    }

    fn part_receipt(
        &self,
        (object_key, _, number): (&str, &UploadId, u32),
        reply: Reply,
        (crc64, checksum): (Crc64, Option<Checksum>),
        length: u64,
    ) -> Result<PartReceipt, EndpointError> {
        let is_other_crc64 = reply.told.crc64.is_some_and(|found| found != crc64);
        let other = |ours: Sum| {
            reply
                .told
                .sum(ours.proof())
                .is_some_and(|found| found != ours)
        };
        if is_other_crc64 || checksum.is_some_and(|checksum| other(checksum.into())) {
            return Err(self.other_part(object_key, number));
        }
        Ok(PartReceipt {
            number,
            etag: reply.etag,
            crc64,
            checksum,
            length,
        })
    }

    /// No checksum can go ahead of these bytes. It follows them where the store takes it there; the
    /// store's own, or the ETag where that is an MD5, is compared afterwards. What neither proves is
    /// proven when the whole is.
    pub(crate) async fn streamed_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        let object_key = self.place.object_key(key);
        let length = part.length;
        let by_md5 = self.part_integrity() == Integrity::Md5 && self.traits.etag_is_md5;
        let proof = self.part_proof();
        let digests = Arc::new(Mutex::new(Digests {
            md5: by_md5.then(Md5::new),
            ..Digests::of(proof)
        }));
        let place = (object_key.as_str(), upload, number);
        let reply = if proof.is_some() && self.traits.trailers {
            self.send_trailed(place, part, CHUNK, &digests).await?
        } else if let Some(Proof::Other(algorithm)) = proof {
            return Err(self.no_trailer(place, algorithm));
        } else {
            let progress = Progress::new();
            let body = PacedBody::streamed(part, Arc::clone(&digests), Arc::clone(&progress));
            let body = (ByteStream::new(SdkBody::from_body_1_x(body)), progress);
            self.send_part(place, &Check::Nothing, body).await?
        };
        let mut digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
        let other_md5 = digests
            .md5
            .take()
            .is_some_and(|md5| is_other_md5(&reply.etag, &md5.finalize()));
        if other_md5 {
            return Err(self.other_part(&object_key, number));
        }
        let checksum = digests.sum().other().map(|other| other.checksum);
        let sent = (digests.crc64.finish(), checksum);
        self.part_receipt(place, reply, sent, length)
    }

    /// An upload whose parts are named by such a checksum takes none without.
    fn no_trailer(
        &self,
        (object_key, _, number): (&str, &UploadId, u32),
        algorithm: Algorithm,
    ) -> EndpointError {
        let target = format!("{} part {number}", self.place.target(object_key));
        let detail = format!(
            "the part is too large to be held in memory, and the store does not check a {algorithm} \
             that follows it: give the agent a larger memory_target"
        );
        let operation = Operation::UploadPart.name();
        EndpointError::new(ErrorKind::NotSupported, operation, target, detail)
    }

    fn other_part(&self, object_key: &str, number: u32) -> EndpointError {
        let target = format!("{} part {number}", self.place.target(object_key));
        let detail = "the store answered with another checksum than that of the bytes sent";
        let operation = Operation::UploadPart.name();
        EndpointError::new(ErrorKind::ChecksumRefused, operation, target, detail)
            .with_unknown_effect()
    }

    /// A part in chunks of `chunk` bytes, with its checksum behind it: `digests` go on with the part's
    /// bytes.
    pub(crate) async fn send_trailed(
        &self,
        place: (&str, &UploadId, u32),
        part: PartStream,
        chunk: u64,
        digests: &Arc<Mutex<Digests>>,
    ) -> Result<Reply, EndpointError> {
        let length = part.length;
        let progress = Progress::new();
        let body = PacedBody::streamed(part, Arc::clone(digests), Arc::clone(&progress));
        let body = Trailed::new(body, length, chunk, Arc::clone(digests));
        let proof = body.proof();
        let body = (ByteStream::new(SdkBody::from_body_1_x(body)), progress);
        let check = Check::Trailer { proof, length };
        self.send_part(place, &check, body).await
    }

    async fn send_part(
        &self,
        (object_key, upload, number): (&str, &UploadId, u32),
        check: &Check,
        (body, progress): (ByteStream, Arc<Progress>),
    ) -> Result<Reply, EndpointError> {
        let operation = Operation::UploadPart;
        let target = format!("{} part {number}", self.place.target(object_key));
        let request = checked!(self.client.upload_part(), check)
            .bucket(&self.place.bucket)
            .key(object_key)
            .upload_id(&upload.0)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .set_content_md5(check.content_md5())
            .body(body)
            .customize();
        let request = match *check {
            Check::Trailer { proof, length } => {
                request.interceptor(TrailerHeaders { proof, length })
            }
            _ => request.disable_payload_signing(),
        };
        let output = self
            .requests
            .send(Wait::Body(progress), operation, &target, request.send())
            .await?;
        let told = told!(output, None);
        self.reply(operation, &target, output.e_tag, None, told)
    }
}

/// Whether the ETag is an MD5, and not this one.
fn is_other_md5(etag: &str, digest: &[u8]) -> bool {
    hex::decode(etag.trim_matches('"')).is_ok_and(|found| found.len() == 16 && found != digest)
}
