//! Checksums by which a store may prove a content, besides the CRC-64/NVME that every content has
//! ("Checking object integrity in Amazon S3", Amazon S3 User Guide).

use std::fmt;
use std::str::FromStr;

use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Computed by the processor's own instructions where it has them, as CRC-64/NVME is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 with the Castagnoli polynomial (RFC 3720).
    Crc32c,
    /// FIPS 180-4.
    Sha256,
}

impl Algorithm {
    /// S3's word (`ChecksumAlgorithm`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crc32c => "CRC32C",
            Self::Sha256 => "SHA256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The checksum of some bytes. As text: the algorithm, a colon, hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Checksum {
    /// Of [`Algorithm::Crc32c`], in network order.
    Crc32c([u8; 4]),
    /// Of [`Algorithm::Sha256`].
    Sha256([u8; 32]),
}

/// Not a checksum of a known algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a checksum such as CRC32C:e3069283")]
pub struct NotAChecksum;

impl Checksum {
    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The checksum with these bytes; `None` if their number is not the algorithm's.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Crc32c => bytes.try_into().ok().map(Self::Crc32c),
            Algorithm::Sha256 => bytes.try_into().ok().map(Self::Sha256),
        }
    }

    /// Which one it is of.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Crc32c(_) => Algorithm::Crc32c,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// Its bytes, as S3 writes them in base64.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Crc32c(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

/// Hexadecimal digits.
impl fmt::LowerHex for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        format!("{}:{checksum:x}", checksum.algorithm())
    }
}

impl TryFrom<String> for Checksum {
    type Error = NotAChecksum;

    fn try_from(text: String) -> Result<Self, NotAChecksum> {
        text.parse()
    }
}

impl FromStr for Checksum {
    type Err = NotAChecksum;

    fn from_str(text: &str) -> Result<Self, NotAChecksum> {
        let (name, digits) = text.split_once(':').ok_or(NotAChecksum)?;
        let algorithm = [Algorithm::Crc32c, Algorithm::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(NotAChecksum)?;
        let bytes = hex::decode(digits).map_err(|_| NotAChecksum)?;
        Self::from_bytes(algorithm, &bytes).ok_or(NotAChecksum)
    }
}

/// Computes a [`Checksum`] piece by piece.
#[derive(Debug, Clone)]
pub struct ChecksumHasher(State);

#[derive(Debug, Clone)]
enum State {
    Crc32c(crc_fast::Digest),
    Sha256(Sha256),
}

impl ChecksumHasher {
    /// Of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Crc32c => State::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
        })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32c(digest) => digest.update(bytes),
            State::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The checksum of everything taken in.
    #[must_use]
    pub fn finish(self) -> Checksum {
        match self.0 {
            State::Crc32c(digest) => {
                let crc = digest.finalize().to_be_bytes();
                Checksum::Crc32c([crc[4], crc[5], crc[6], crc[7]])
            }
            State::Sha256(hasher) => Checksum::Sha256(hasher.finalize().into()),
        }
    }
}

/// A store's checksum of an object. As text: hexadecimal digits, and `-N` if it is of N parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// Of the content, or of the checksums of its parts, one after the other.
    pub checksum: Checksum,
    /// How many parts it is of; `None`: of the content as a whole.
    pub parts: Option<u32>,
}

impl ObjectChecksum {
    /// The checksum of a content that is sent as a whole.
    #[must_use]
    pub fn whole(checksum: Checksum) -> Self {
        Self {
            checksum,
            parts: None,
        }
    }

    /// What a store tells of an object in parts with these checksums (S3's type `COMPOSITE`); `None`
    /// if there are none, or of several algorithms.
    pub fn of_parts(parts: impl IntoIterator<Item = Checksum>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let first = parts.next()?;
        let algorithm = first.algorithm();
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(first.as_bytes());
        let mut number = 1;
        for part in parts {
            if part.algorithm() != algorithm {
                return None;
            }
            hasher.update(part.as_bytes());
            number += 1;
        }
        Some(Self {
            checksum: hasher.finish(),
            parts: Some(number),
        })
    }
}

impl fmt::Display for ObjectChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.checksum)?;
        match self.parts {
            Some(parts) => write!(f, "-{parts}"),
            None => Ok(()),
        }
    }
}

/// Computes an [`ObjectChecksum`] over a content, as a store does that gets it in parts.
#[derive(Debug)]
pub struct ObjectHasher {
    algorithm: Algorithm,
    /// Of every part but the last, in bytes; `None`: the content is sent as a whole.
    part: Option<u64>,
    ended: Vec<Checksum>,
    present: ChecksumHasher,
    /// What the present part has, in bytes.
    taken: u64,
}

impl ObjectHasher {
    /// For parts of `part` bytes; `None`: for a content that is sent as a whole.
    #[must_use]
    pub fn new(algorithm: Algorithm, part: Option<u64>) -> Self {
        Self {
            algorithm,
            part: part.map(|bytes| bytes.max(1)),
            ended: Vec::new(),
            present: ChecksumHasher::new(algorithm),
            taken: 0,
        }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.part {
            let room = usize::try_from(part - self.taken).unwrap_or(usize::MAX);
            let Some((last, rest)) = bytes.split_at_checked(room) else {
                break;
            };
            self.present.update(last);
            let next = ChecksumHasher::new(self.algorithm);
            self.ended
                .push(std::mem::replace(&mut self.present, next).finish());
            (self.taken, bytes) = (0, rest);
        }
        self.present.update(bytes);
        self.taken += bytes.len() as u64;
    }

    /// The checksum of everything taken in.
    #[must_use]
    pub fn finish(self) -> ObjectChecksum {
        let last = self.present.finish();
        let whole = ObjectChecksum::whole(last);
        if self.part.is_none() {
            return whole;
        }
        let is_rest = self.taken > 0 || self.ended.is_empty();
        let rest = is_rest.then_some(last);
        ObjectChecksum::of_parts(self.ended.into_iter().chain(rest)).unwrap_or(whole)
    }
}

#[cfg(test)]
mod tests;
