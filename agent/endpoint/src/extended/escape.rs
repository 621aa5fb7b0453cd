//! Bytes as visible characters that end no field: what is anything else is `%` and two hexadecimal
//! digits.

use std::fmt::Write;

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b',' | b':' | b'=')
}

pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_plain(*byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            write!(text, "%{byte:02X}").unwrap_or_default();
        }
    }
    text
}

/// The bytes of a text that [`escaped`] gives; `None` for any other.
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_first_chunk::<2>()?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            bytes.push(byte[0]);
            rest = after;
        } else if is_plain(*first) {
            bytes.push(*first);
            rest = after;
        } else {
            return None;
        }
    }
    Some(bytes)
}
