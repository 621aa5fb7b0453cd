//! Keys that are paths, and why others are none.

use datasync_endpoint::decode_name;

/// The name that a part of a key stands for.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn name_of(part: &str) -> Result<Vec<u8>, &'static str> {
    let wrong = match part {
        "" => "an empty part of a key, as by // or a / at its beginning, is no name",
        "." | ".." => "a part of a key that is . or .. is no name",
        _ if part.contains('\0') => "a part of a key with a NUL is no name",
        _ => "a part of a key uses the escapes of bytes as DataSync never does",
    };
    decode_name(part).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::encode_name;

    use super::*;

    #[test]
    fn parts_of_keys_are_names_or_refused_with_a_reason() {
        for name in [&b"a"[..], b"sp ace", "né".as_bytes(), b"\xff", b"..."] {
            assert_eq!(name_of(&encode_name(name)).unwrap(), name);
        }
        for (part, says) in [
            ("", "//"),
            (".", ". or .."),
            ("..", ". or .."),
            ("a\0b", "NUL"),
            ("\u{10f7c3}\u{10f7a9}", "escapes"),
        ] {
            assert!(name_of(part).unwrap_err().contains(says), "{part:?}");
        }
    }
}
