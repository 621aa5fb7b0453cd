//! Request bodies: counted, and checked where the client gave a CRC-64/NVME.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

pub(crate) const CRC64_HEADER: &str = "x-amz-checksum-crc64nvme";

/// A body that arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) size: u64,
    pub(crate) crc64: Option<u64>,
}

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

pub(crate) async fn receive(headers: &HeaderMap, mut body: Incoming) -> Result<Received, Refused> {
    let announced = announced(headers)?;
    let mut digest = announced.map(|_| Digest::new(CrcAlgorithm::Crc64Nvme));
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refused::CutOff)?;
        if let Some(data) = frame.data_ref() {
            size += data.len() as u64;
            if let Some(digest) = &mut digest {
                digest.update(data);
            }
        }
    }
    let crc64 = digest.map(|digest| digest.finalize());
    if crc64 != announced {
        return Err(Refused::BadDigest);
    }
    Ok(Received {
        size: decoded_length(headers).unwrap_or(size),
        crc64,
    })
}
