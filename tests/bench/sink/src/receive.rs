//! Request bodies: counted, and checked where the client gave a CRC-64/NVME.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest};
use http::HeaderMap;
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::answer::Sink;
use crate::query::Target;
use crate::uploads::Part;

pub(crate) const CRC64_HEADER: &str = "x-amz-checksum-crc64nvme";

/// Why a body is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client went away.
    CutOff,
    /// The checksum is not the one of the bytes.
    BadDigest,
    /// The checksum is not base64 of eight bytes.
    NotAChecksum,
}

pub(crate) fn crc64_text(crc64: u64) -> String {
    BASE64.encode(crc64.to_be_bytes())
}

fn announced(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let Some(value) = headers.get(CRC64_HEADER) else {
        return Ok(None);
    };
    let bytes = BASE64.decode(value).map_err(|_| Refused::NotAChecksum)?;
    let bytes = bytes.try_into().map_err(|_| Refused::NotAChecksum)?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// The payload's size where the body is in signed chunks, whose framing is not counted.
fn decoded_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get("x-amz-decoded-content-length")?;
    value.to_str().ok()?.parse().ok()
}

impl Sink {
    /// Takes in the body of an object or a part.
    pub(crate) async fn receive(
        &self,
        head: &Parts,
        target: &Target,
        body: Incoming,
    ) -> Result<Part, Refused> {
        let announced = announced(&head.headers)?;
        let mut body = Body {
            incoming: body,
            digest: announced.map(|_| Digest::new(CrcAlgorithm::Crc64Nvme)),
            bytes: 0,
        };
        let mut whole = body.next(self).await;
        if let (Ok(true), Some(upload)) = (whole, target.parameter("uploadId")) {
            self.counts().part_begins(upload);
        }
        while whole == Ok(true) {
            whole = body.next(self).await;
        }
        self.counts().traffic.body_ended(body.bytes);
        whole?;
        let crc64 = body.digest.map(|digest| digest.finalize());
        if crc64 != announced {
            return Err(Refused::BadDigest);
        }
        Ok(Part {
            size: decoded_length(&head.headers).unwrap_or(body.bytes),
            crc64,
        })
    }
}

struct Body {
    incoming: Incoming,
    digest: Option<Digest>,
    bytes: u64,
}

impl Body {
    /// Takes in what comes next; `false` at the end.
    async fn next(&mut self, sink: &Sink) -> Result<bool, Refused> {
        let Some(frame) = self.incoming.frame().await else {
            return Ok(false);
        };
        let frame = frame.map_err(|_| Refused::CutOff)?;
        if let Some(data) = frame.data_ref() {
            self.bytes += data.len() as u64;
            sink.arrived(data.len() as u64);
            if let Some(digest) = &mut self.digest {
                digest.update(data);
            }
        }
        Ok(true)
    }
}
