//! What the fuzz target `nfs_reply` of `tests/fuzz` calls.

use super::*;
use crate::rpc::{accepted, reply_xid};
use crate::status::HANDLE_MAX;

/// A record of an NFS server that answers READDIRPLUS, or READDIR where the first byte is odd: it
/// is refused, or lists names that are names and goes on where it has not been.
pub fn nfs_reply(data: &[u8]) {
    let Some((procedure, record)) = data.split_first() else {
        return;
    };
    let record = Bytes::copy_from_slice(record);
    if reply_xid(&record).is_err() {
        return;
    }
    let Ok(reply) = accepted(record) else {
        return;
    };
    let listing = if procedure % 2 == 0 {
        Listing::Plus
    } else {
        Listing::Plain
    };
    let start = Position {
        cookie: u64::from(*procedure),
        verifier: [1; 8],
    };
    let length = reply.length();
    let Ok(page) = parse(reply, start, listing) else {
        return;
    };
    assert!(page.entries.len() <= ENTRIES_MAX);
    let names: usize = page.entries.iter().map(|entry| entry.name.len()).sum();
    assert!(names <= length, "more is listed than was sent");
    for entry in &page.entries {
        assert!(is_name(&entry.name) && !is_dot(&entry.name));
        assert!(!entry.name.contains(&b'/') && !entry.name.contains(&0));
        let has_more = entry.handle.is_some() || entry.attributes.is_some();
        assert!(listing == Listing::Plus || !has_more);
    }
    if let Some(next) = page.next {
        assert!(next.cookie != 0 && next.cookie != start.cookie);
    }
    let mut handles = page
        .entries
        .iter()
        .filter_map(|entry| entry.handle.as_ref());
    assert!(handles.all(|handle| (1..=HANDLE_MAX).contains(&handle.len())));
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        crate::script::seeds("nfs_reply", super::nfs_reply);
    }
}
