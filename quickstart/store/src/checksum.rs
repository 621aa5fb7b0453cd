//! Checksums: which one a request declares, computing them, combining those of parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto;
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// Algorithms of `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// Over the whole object, or over the checksums of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChecksumKind {
    FullObject,
    Composite,
}

/// A checksum of known algorithm, in base64 (composite ones end in `-N`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) algorithm: Algorithm,
    pub(crate) base64: String,
}

/// The checksum kept of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectChecksum {
    pub(crate) value: Value,
    pub(crate) kind: ChecksumKind,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name in `ChecksumAlgorithm`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(crate) fn from_name(name: &str) -> S3Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "Checksum algorithm provided is unsupported. Please try again with any of the \
                 valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
            )
        })
    }

    /// The algorithm of a header such as `x-amz-checksum-crc32c`.
    pub(crate) fn from_header(header: &str) -> Option<Self> {
        let name = header.strip_prefix("x-amz-checksum-")?;
        Self::ALL
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The kind that a multipart upload has if it names none, checked against the one it names.
    pub(crate) fn multipart_kind(self, asked: Option<&str>) -> S3Result<ChecksumKind> {
        let kind = match asked {
            None if self == Self::Crc64Nvme => ChecksumKind::FullObject,
            None | Some("COMPOSITE") => ChecksumKind::Composite,
            Some("FULL_OBJECT") => ChecksumKind::FullObject,
            Some(other) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Checksum type {other} is unknown."
                ));
            }
        };
        let possible = match kind {
            ChecksumKind::FullObject => self.crc().is_some(),
            ChecksumKind::Composite => self != Self::Crc64Nvme,
        };
        if possible {
            return Ok(kind);
        }
        Err(s3_error!(
            InvalidRequest,
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            self.name()
        ))
    }
}

impl ChecksumKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

impl Value {
    /// Refuses what is not base64 of the algorithm's length. `-N` may follow when `composite`.
    pub(crate) fn parse(algorithm: Algorithm, text: &str, composite: bool) -> S3Result<Self> {
        let bare = match text.rsplit_once('-') {
            Some((bare, count)) if composite && count.parse::<u16>().is_ok() => bare,
            _ => text,
        };
        match BASE64.decode(bare) {
            Ok(raw) if raw.len() == algorithm.length() => Ok(Self {
                algorithm,
                base64: text.to_owned(),
            }),
            _ => Err(s3_error!(
                InvalidRequest,
                "Value for {} header is invalid.",
                algorithm.header()
            )),
        }
    }

    /// Compares with what was computed.
    pub(crate) fn verify(&self, computed: &Value) -> S3Result<()> {
        if self == computed {
            return Ok(());
        }
        Err(s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            self.algorithm.name()
        ))
    }
}

/// The one checksum among the fields that s3s reads from headers or XML.
pub(crate) fn single(fields: &dto::Checksum, composite: bool) -> S3Result<Option<Value>> {
    let given = [
        (Algorithm::Crc32, &fields.checksum_crc32),
        (Algorithm::Crc32c, &fields.checksum_crc32c),
        (Algorithm::Crc64Nvme, &fields.checksum_crc64nvme),
        (Algorithm::Sha1, &fields.checksum_sha1),
        (Algorithm::Sha256, &fields.checksum_sha256),
    ];
    let mut found = None;
    for (algorithm, text) in given {
        let Some(text) = text else { continue };
        let value = Value::parse(algorithm, text, composite)?;
        if found.replace(value).is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
    }
    Ok(found)
}

/// The checksums that any input has fields for.
macro_rules! checksums_of {
    ($input:expr) => {
        s3s::dto::Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        }
    };
}
pub(crate) use checksums_of;

/// Moves the checksums of one value with these fields into another.
macro_rules! tell_checksums {
    ($output:expr, $fields:expr) => {
        $output.checksum_crc32 = $fields.checksum_crc32;
        $output.checksum_crc32c = $fields.checksum_crc32c;
        $output.checksum_crc64nvme = $fields.checksum_crc64nvme;
        $output.checksum_sha1 = $fields.checksum_sha1;
        $output.checksum_sha256 = $fields.checksum_sha256;
    };
}
pub(crate) use tell_checksums;

/// The fields of a reply for an object.
pub(crate) fn object_fields(checksum: Option<&ObjectChecksum>) -> dto::Checksum {
    fields(checksum.map(|c| &c.value), checksum.map(|c| c.kind))
}

/// The fields of a reply for one checksum.
pub(crate) fn fields(value: Option<&Value>, kind: Option<ChecksumKind>) -> dto::Checksum {
    let mut fields = dto::Checksum::default();
    let Some(value) = value else { return fields };
    let text = Some(value.base64.clone());
    match value.algorithm {
        Algorithm::Crc32 => fields.checksum_crc32 = text,
        Algorithm::Crc32c => fields.checksum_crc32c = text,
        Algorithm::Crc64Nvme => fields.checksum_crc64nvme = text,
        Algorithm::Sha1 => fields.checksum_sha1 = text,
        Algorithm::Sha256 => fields.checksum_sha256 = text,
    }
    fields.checksum_type = kind.map(|k| dto::ChecksumType::from_static(k.name()));
    fields
}

/// MD5 and, where asked for, one more checksum in the same pass.
pub(crate) struct Hasher {
    md5: Md5,
    algorithm: Option<Algorithm>,
    other: ChecksumHasher,
}

/// What a [`Hasher`] found.
#[derive(Debug, Clone)]
pub(crate) struct Hashes {
    pub(crate) md5: [u8; 16],
    pub(crate) value: Option<Value>,
}

impl Hasher {
    pub(crate) fn new(algorithm: Option<Algorithm>) -> Self {
        use s3s::crypto::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
        let is = |wanted| algorithm == Some(wanted);
        let other = ChecksumHasher {
            crc32: is(Algorithm::Crc32).then(Crc32::new),
            crc32c: is(Algorithm::Crc32c).then(Crc32c::new),
            sha1: is(Algorithm::Sha1).then(Sha1::new),
            sha256: is(Algorithm::Sha256).then(Sha256::new),
            crc64nvme: is(Algorithm::Crc64Nvme).then(Crc64Nvme::new),
        };
        Self {
            md5: Md5::new(),
            algorithm,
            other,
        }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        self.md5.update(data);
        self.other.update(data);
    }

    pub(crate) fn finish(self) -> Hashes {
        let sums = self.other.finalize();
        let text = [
            sums.checksum_crc32,
            sums.checksum_crc32c,
            sums.checksum_crc64nvme,
            sums.checksum_sha1,
            sums.checksum_sha256,
        ];
        let base64 = text.into_iter().flatten().next();
        let value = self
            .algorithm
            .zip(base64)
            .map(|(algorithm, base64)| Value { algorithm, base64 });
        Hashes {
            md5: self.md5.finalize(),
            value,
        }
    }
}

/// The checksum of a whole from those of its parts (value, length in bytes), in order.
///
/// `None` when a part has no checksum of that algorithm.
pub(crate) fn combine(
    algorithm: Algorithm,
    kind: ChecksumKind,
    parts: &[(Option<&Value>, u64)],
) -> Option<ObjectChecksum> {
    let mut raw = Vec::with_capacity(parts.len());
    for (value, size) in parts {
        let value = value.filter(|v| v.algorithm == algorithm)?;
        raw.push((BASE64.decode(&value.base64).ok()?, *size));
    }
    let base64 = match kind {
        ChecksumKind::Composite => {
            let mut hasher = Hasher::new(Some(algorithm));
            raw.iter().for_each(|(sum, _)| hasher.update(sum));
            format!("{}-{}", hasher.finish().value?.base64, raw.len())
        }
        ChecksumKind::FullObject => {
            let crc = algorithm.crc()?;
            let mut sums = raw.iter().map(|(sum, size)| (big_endian(sum), *size));
            let (first, _) = sums.next()?;
            let whole = sums.fold(first, |sum, (next, size)| {
                crc_fast::checksum_combine(crc, sum, next, size)
            });
            BASE64.encode(&whole.to_be_bytes()[8 - algorithm.length()..])
        }
    };
    Some(ObjectChecksum {
        value: Value { algorithm, base64 },
        kind,
    })
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Refuses a `Content-MD5` that is malformed or wrong.
pub(crate) fn verify_content_md5(header: &str, md5: &[u8; 16]) -> S3Result<()> {
    match BASE64.decode(header) {
        Ok(raw) if raw.len() == md5.len() && raw == md5 => Ok(()),
        Ok(raw) if raw.len() == md5.len() => Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        )),
        _ => Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 you specified was invalid."
        )),
    }
}

#[cfg(test)]
mod tests;
