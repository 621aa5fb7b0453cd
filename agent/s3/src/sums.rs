//! Checksums as S3's API writes them: names, headers, base64.

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{Algorithm, Checksum, Crc64, Integrity, ObjectChecksum};

/// The algorithm by which a body is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// CRC-64/NVME, of whole objects also where they are uploaded in parts.
    Crc64,
    /// Of objects in parts that of the parts' checksums.
    Other(Algorithm),
}

impl Proof {
    pub(crate) fn of(integrity: Integrity) -> Option<Self> {
        match integrity {
            Integrity::Crc64 => Some(Self::Crc64),
            Integrity::Checksum(algorithm) => Some(Self::Other(algorithm)),
            Integrity::Md5 | Integrity::ReadBack => None,
        }
    }

    /// S3's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc64 => "CRC64NVME",
            Self::Other(algorithm) => algorithm.as_str(),
        }
    }

    /// Name of the header, or the trailer.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc64 => "x-amz-checksum-crc64nvme",
            Self::Other(Algorithm::Crc32c) => "x-amz-checksum-crc32c",
            Self::Other(Algorithm::Sha256) => "x-amz-checksum-sha256",
        }
    }

    /// Of the checksum of a body in base64, in bytes.
    pub(crate) fn text_length(self) -> u64 {
        match self {
            Self::Crc64 => 12,
            Self::Other(Algorithm::Crc32c) => 8,
            Self::Other(Algorithm::Sha256) => 44,
        }
    }

    pub(crate) fn of_sdk(self) -> ChecksumAlgorithm {
        match self {
            Self::Crc64 => ChecksumAlgorithm::Crc64Nvme,
            Self::Other(Algorithm::Crc32c) => ChecksumAlgorithm::Crc32C,
            Self::Other(Algorithm::Sha256) => ChecksumAlgorithm::Sha256,
        }
    }

    /// What a checksum of an object in parts is of.
    pub(crate) fn kind_in_parts(self) -> ChecksumType {
        match self {
            Self::Crc64 => ChecksumType::FullObject,
            Self::Other(_) => ChecksumType::Composite,
        }
    }
}

/// A checksum of a body or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    Crc64(Crc64),
    Other(ObjectChecksum),
}

impl Sum {
    pub(crate) fn of(proof: Proof, bytes: &[u8]) -> Self {
        match proof {
            Proof::Crc64 => Self::Crc64(Crc64::of(bytes)),
            Proof::Other(algorithm) => Checksum::of(algorithm, bytes).into(),
        }
    }

    pub(crate) fn proof(self) -> Proof {
        match self {
            Self::Crc64(_) => Proof::Crc64,
            Self::Other(checksum) => Proof::Other(checksum.checksum.algorithm()),
        }
    }

    /// What goes into a receipt besides the CRC-64.
    pub(crate) fn other(self) -> Option<ObjectChecksum> {
        match self {
            Self::Crc64(_) => None,
            Self::Other(checksum) => Some(checksum),
        }
    }

    /// As S3 writes it: big-endian, base64, `-N` behind that of N parts.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Crc64(crc64) => BASE64.encode(crc64.0.to_be_bytes()),
            Self::Other(ObjectChecksum { checksum, parts }) => {
                let text = BASE64.encode(checksum.as_bytes());
                match parts {
                    Some(parts) => format!("{text}-{parts}"),
                    None => text,
                }
            }
        }
    }
}

impl From<Checksum> for Sum {
    fn from(checksum: Checksum) -> Self {
        Self::Other(ObjectChecksum::whole(checksum))
    }
}

/// The checksums in an answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) crc64: Option<Crc64>,
    crc32c: Option<ObjectChecksum>,
    sha256: Option<ObjectChecksum>,
}

impl Told {
    /// Out of the texts for each header; `kind` says what they are of, where the store does.
    pub(crate) fn new<'a>(
        text: impl Fn(Proof) -> Option<&'a str>,
        kind: Option<&ChecksumType>,
    ) -> Self {
        let other = |algorithm| other_of(algorithm, text(Proof::Other(algorithm))?, kind);
        Self {
            crc64: crc64_of(text(Proof::Crc64), kind),
            crc32c: other(Algorithm::Crc32c),
            sha256: other(Algorithm::Sha256),
        }
    }

    pub(crate) fn of(&self, algorithm: Algorithm) -> Option<ObjectChecksum> {
        match algorithm {
            Algorithm::Crc32c => self.crc32c,
            Algorithm::Sha256 => self.sha256,
        }
    }

    pub(crate) fn sum(&self, proof: Proof) -> Option<Sum> {
        match proof {
            Proof::Crc64 => self.crc64.map(Sum::Crc64),
            Proof::Other(algorithm) => self.of(algorithm).map(Sum::Other),
        }
    }
}

/// The checksums in an output of the SDK, and what it says that they are of.
macro_rules! told {
    ($output:expr, $kind:expr) => {
        $crate::sums::Told::new(
            |proof| match proof {
                $crate::sums::Proof::Crc64 => $output.checksum_crc64_nvme(),
                $crate::sums::Proof::Other(datasync_endpoint::Algorithm::Crc32c) => {
                    $output.checksum_crc32_c()
                }
                $crate::sums::Proof::Other(datasync_endpoint::Algorithm::Sha256) => {
                    $output.checksum_sha256()
                }
            },
            $kind,
        )
    };
}
pub(crate) use told;

/// A full-object checksum out of an answer; a composite one (`…-N`) is none.
fn crc64_of(text: Option<&str>, kind: Option<&ChecksumType>) -> Option<Crc64> {
    if kind.is_some_and(|kind| *kind != ChecksumType::FullObject) {
        return None;
    }
    let bytes: [u8; 8] = BASE64.decode(text?).ok()?.try_into().ok()?;
    Some(Crc64(u64::from_be_bytes(bytes)))
}

/// A composite one that does not say of how many parts it is can be compared with nothing.
fn other_of(
    algorithm: Algorithm,
    text: &str,
    kind: Option<&ChecksumType>,
) -> Option<ObjectChecksum> {
    let (text, parts) = match text.split_once('-') {
        Some((text, parts)) => (text, Some(parts.parse().ok()?)),
        None if kind == Some(&ChecksumType::Composite) => return None,
        None => (text, None),
    };
    let checksum = Checksum::from_bytes(algorithm, &BASE64.decode(text).ok()?)?;
    Some(ObjectChecksum { checksum, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROOFS: [Proof; 3] = [
        Proof::Crc64,
        Proof::Other(Algorithm::Crc32c),
        Proof::Other(Algorithm::Sha256),
    ];

    fn told(proof: Proof, text: &str, kind: Option<&ChecksumType>) -> Option<Sum> {
        let told = Told::new(|asked| (asked == proof).then_some(text), kind);
        for other in PROOFS {
            assert!(other == proof || told.sum(other).is_none());
        }
        told.sum(proof)
    }

    #[test]
    fn checksums_are_read_as_they_are_written() {
        let (full, composite) = (ChecksumType::FullObject, ChecksumType::Composite);
        for (proof, text) in PROOFS.into_iter().zip([
            "rosUhgp5mIg=",
            "4waSgw==",
            "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
        ]) {
            let sum = Sum::of(proof, b"123456789");
            assert_eq!(sum.text(), text);
            assert_eq!(text.len() as u64, proof.text_length());
            assert_eq!(told(proof, text, None), Some(sum));
            assert_eq!(told(proof, text, Some(&full)), Some(sum));
            assert_eq!(told(proof, text, Some(&composite)), None);
            for wrong in ["", "AAAA", "AAAA-2", "x", "rosUhgp5mIg=-"] {
                assert_eq!(told(proof, wrong, None), None, "{proof:?} {wrong}");
            }
        }
        assert_eq!(told(Proof::Crc64, "rosUhgp5mIg=-2", None), None);
    }

    #[test]
    fn a_checksum_of_parts_says_of_how_many() {
        let proof = Proof::Other(Algorithm::Sha256);
        let part = |content| Checksum::of(Algorithm::Sha256, content);
        let whole = ObjectChecksum::of_parts([part(b"1"), part(b"2")]).unwrap();
        let text = Sum::Other(whole).text();
        assert!(text.ends_with("=-2"), "{text}");
        for kind in [None, Some(&ChecksumType::Composite)] {
            assert_eq!(told(proof, &text, kind), Some(Sum::Other(whole)));
        }
    }
}
