//! What a crash leaves of a journal.

use std::path::Path;

/// Length and checksum before each record.
const HEADER: usize = 8;

/// Ends of the whole records, each with whether somebody waited until it was on disk.
fn records(bytes: &[u8]) -> Vec<(usize, bool)> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 4) {
        let length = head
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | usize::from(*byte));
        let Some(payload) = bytes.get(at + HEADER..at + HEADER + length) else {
            break;
        };
        at += HEADER + length;
        ends.push((at, is_waited_for(payload)));
    }
    ends
}

/// A snapshot begins a file, which is synced before it has its name; uploads and stages are
/// announced before they begin.
fn is_waited_for(payload: &[u8]) -> bool {
    let tags = [&b"{\"s\":"[..], b"{\"i\":", b"{\"u\":", b"{\"g\":"];
    tags.iter().any(|tag| payload.starts_with(tag))
}

/// Cuts the journal of `directory` as a power cut may: what somebody waited for stays, and the last
/// record that is left may be torn. Whether anything was lost.
///
/// # Errors
/// If the file cannot be used.
pub(crate) fn power_cut(directory: &Path, n: u64) -> std::io::Result<bool> {
    let file = directory.join("journal");
    let Ok(mut bytes) = std::fs::read(&file) else {
        return Ok(false);
    };
    let durable = records(&bytes).into_iter().filter(|(_, waited)| *waited);
    let durable = durable.map(|(end, _)| end).next_back();
    let durable = durable.unwrap_or(bytes.len());
    let spare = (bytes.len() - durable) as u64;
    let kept = durable + usize::try_from(n % (spare + 1)).unwrap_or(0);
    let is_torn = kept < bytes.len();
    bytes.truncate(kept);
    // A block that was never written holds anything.
    bytes.extend(std::iter::repeat_n(
        0xa5,
        usize::try_from(n % 13).unwrap_or(0),
    ));
    std::fs::write(&file, bytes)?;
    Ok(is_torn)
}

/// Cuts the journal after any record but the first. Whether anything was lost.
///
/// # Errors
/// If the file cannot be used.
pub(crate) fn prefix(directory: &Path, n: u64) -> std::io::Result<bool> {
    let file = directory.join("journal");
    let Ok(bytes) = std::fs::read(&file) else {
        return Ok(false);
    };
    let ends = records(&bytes);
    let Some(chosen) = n.checked_rem(ends.len() as u64) else {
        return Ok(false);
    };
    let (end, _) = ends[usize::try_from(chosen).unwrap_or(0)];
    let loses = end < bytes.len();
    std::fs::write(&file, &bytes[..end])?;
    Ok(loses)
}
