//! One suite for every source and every destination: what the engine relies on.
//!
//! A suite panics with what it found. It is run on the in-memory fakes and on the real endpoints
//! over real servers, so that both keep the same promises.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support: a broken promise must fail the test that runs the suite"
)]

mod destination;
mod source;

pub use destination::destination_contract;
pub use source::{SourceWorld, source_contract};

/// Bytes that repeat in no short period.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Names that a file system allows and that are easily damaged on the way.
fn odd_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "a",
        "a-b",
        "a.txt",
        "sp ace",
        " ",
        "né",
        "ne\u{301}",
        "new\nline",
        "\r",
        "\u{1}",
        "\u{fffe}",
        "100%",
        "a+b",
        "a#b",
        "a&b",
        "back\\slash",
        "\u{10f7ff}",
        "...",
        "~",
        "<>\"'",
        "%2F",
        "?x=1",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b"\xff".to_vec());
    names.push(b"a\x80b".to_vec());
    names.push(vec![b'n'; 255]);
    names
}
