//! What the fuzz target `nfs_reply` of `tests/fuzz` calls for listings.

use super::*;
use crate::status::HANDLE_MAX;

/// Results of READDIRPLUS or READDIR that were asked for behind the cookie `asked`: they are refused,
/// or list names that are names and go on where they have not been.
///
/// # Panics
/// If that does not hold.
pub(crate) fn listing(reply: Reply, asked: u8, listing: Listing) {
    let start = Position {
        cookie: u64::from(asked),
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
