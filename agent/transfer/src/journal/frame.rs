//! Frames: length (u32), CRC-32C of the payload (u32), payload; little-endian.

use crc_fast::{CrcAlgorithm, checksum};

/// The longest payload in bytes; a longer announced length means damage. Snapshots are the largest:
/// a few hundred keys of at most 1 KiB, and for each large file that is in flight at most 3 MiB.
const PAYLOAD_MAX: usize = 256 * 1024 * 1024;
const HEADER: usize = 8;

fn crc(payload: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, payload)).unwrap_or(u32::MAX)
}

/// Appends a frame to `out`.
pub(crate) fn write_frame(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The payloads of the longest undamaged prefix of `bytes`, each with the offset of its end. None
/// is empty: zeros, which a power cut may leave at the end of a file, are no frame.
pub(crate) fn read_frames(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = bytes.get(at..at + HEADER)?;
        let length = u32::from_le_bytes(header[..4].try_into().ok()?);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (1..=PAYLOAD_MAX).contains(length))?;
        let expected = u32::from_le_bytes(header[4..].try_into().ok()?);
        let payload = bytes.get(at + HEADER..at + HEADER + length)?;
        if crc(payload) != expected {
            return None;
        }
        at += HEADER + length;
        Some((payload, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn damage_costs_only_what_follows(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..20),
            cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for payload in &payloads {
                write_frame(payload, &mut bytes);
                ends.push(bytes.len());
            }
            let read = |bytes: &[u8]| read_frames(bytes).map(|(p, _)| p.to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(read(&bytes), payloads.clone());
            let cut = cut.index(bytes.len());
            let whole = ends.iter().filter(|end| **end <= cut).count();
            prop_assert_eq!(read(&bytes[..cut]), payloads[..whole].to_vec());
            let flip = flip.index(bytes.len());
            bytes[flip] ^= 1 << bit;
            let before = ends.iter().filter(|end| **end <= flip).count();
            prop_assert_eq!(read(&bytes), payloads[..before].to_vec());
        }
    }
}
