//! What of an upload is on stable storage, beside the file itself: a record for each part, at the place
//! of its number. Plain functions of values.

use datasync_endpoint::{Crc64, StoredPart};

/// Bytes of a record: number, length, checksum, and the checksum of these.
pub(super) const RECORD: u64 = 32;
/// The most parts of an upload.
pub(super) const PARTS_MAX: u32 = 10_000;

/// A part that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartRecord {
    pub(super) number: u32,
    pub(super) length: u64,
    pub(super) crc64: Crc64,
}

impl PartRecord {
    pub(super) fn etag(&self) -> String {
        format!("\"{:016x}-{:x}\"", self.crc64.0, self.length)
    }

    /// Where the record is.
    pub(super) fn offset(number: u32) -> u64 {
        u64::from(number) * RECORD
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(&u64::from(self.number).to_be_bytes());
        bytes.extend_from_slice(&self.length.to_be_bytes());
        bytes.extend_from_slice(&self.crc64.0.to_be_bytes());
        let check = Crc64::of(&bytes);
        bytes.extend_from_slice(&check.0.to_be_bytes());
        bytes
    }

    /// The record of a part of this number; `None` for what is none, such as the zeros before a part
    /// was sent.
    fn read(bytes: &[u8; 32], number: u32) -> Option<Self> {
        let (content, check) = bytes.split_first_chunk::<24>()?;
        let word = |at: usize| {
            let word = content.get(at..at + 8)?;
            Some(u64::from_be_bytes(word.try_into().ok()?))
        };
        if Crc64::of(content).0.to_be_bytes() != check || word(0)? != u64::from(number) {
            return None;
        }
        Some(Self {
            number,
            length: word(8)?,
            crc64: Crc64(word(16)?),
        })
    }
}

/// The parts that the file of records has, in order.
pub(super) fn read_records(file: &[u8]) -> Vec<PartRecord> {
    let (records, _) = file.as_chunks::<32>();
    (0..)
        .zip(records)
        .skip(1)
        .filter_map(|(number, bytes)| PartRecord::read(bytes, number))
        .collect()
}

/// As a listing of the upload tells them. The server computes no checksum: only who sent a part knows
/// that it is right.
pub(super) fn stored(record: &PartRecord) -> StoredPart {
    StoredPart {
        number: record.number,
        etag: record.etag(),
        length: record.length,
        crc64: None,
        checksum: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> PartRecord {
        PartRecord {
            number,
            length: 8 << 20,
            crc64: Crc64(u64::from(number) + 7),
        }
    }

    #[test]
    fn records_are_found_at_their_places_and_holes_are_none() {
        let mut file = vec![0; 5 * 32];
        for number in [1, 3, 4] {
            let at = usize::try_from(PartRecord::offset(number)).unwrap();
            file[at..at + 32].copy_from_slice(&record(number).to_bytes());
        }
        assert_eq!(read_records(&file), [record(1), record(3), record(4)]);
        // A record that was torn, and one at another's place.
        file[3 * 32 + 9] ^= 1;
        file.copy_within(4 * 32..5 * 32, 2 * 32);
        assert_eq!(read_records(&file), [record(1), record(4)]);
        assert_eq!(read_records(&file[..40]), []);
    }
}
