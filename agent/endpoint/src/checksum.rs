//! CRC-64/NVME, the checksum that travels with every payload.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};
use serde::{Deserialize, Serialize};

/// A CRC-64/NVME value (S3's `x-amz-checksum-crc64nvme`, there big-endian in base64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Crc64(pub u64);

impl Crc64 {
    /// The checksum of no bytes at all.
    pub const EMPTY: Self = Self(0);

    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes))
    }

    /// The checksum of this content followed by `next_length` bytes with checksum `next`.
    #[must_use]
    pub fn followed_by(self, next: Self, next_length: u64) -> Self {
        // A checksum of zero adds nothing to what comes after it, whatever has it: no content, for one.
        // Combining takes longer than a small file does.
        if self == Self::EMPTY {
            return next;
        }
        Self(checksum_combine(
            CrcAlgorithm::Crc64Nvme,
            self.0,
            next.0,
            next_length,
        ))
    }
}

/// Computes a [`Crc64`] piece by piece.
#[derive(Debug)]
pub struct Crc64Hasher(Digest);

impl Default for Crc64Hasher {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }
}

impl Crc64Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of everything taken in.
    #[must_use]
    pub fn finish(&self) -> Crc64 {
        Crc64(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(Crc64::of(b"123456789"), Crc64(0xae8b_1486_0a79_9888));
        assert_eq!(Crc64::of(b""), Crc64::EMPTY);
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(a: Vec<u8>, b: Vec<u8>) {
            let mut hasher = Crc64Hasher::default();
            hasher.update(&a);
            hasher.update(&b);
            let whole = hasher.finish();
            prop_assert_eq!(Crc64::of(&a).followed_by(Crc64::of(&b), b.len() as u64), whole);
        }
    }
}
