//! Keys of paths and back, by the text of `docs/semantics.md`.

use datasync_endpoint::Key;

/// The character that stands for a byte.
fn stand_in(byte: u8) -> Option<char> {
    char::from_u32(0x10_F700 + u32::from(byte))
}

fn is_stand_in(character: char) -> bool {
    (0x10_F780..=0x10_F7FF).contains(&u32::from(character))
}

/// The key of a path with a leading `/`.
#[must_use]
pub fn key_of(path: &[u8], is_directory: bool) -> Key {
    let mut rest = path.strip_prefix(b"/").unwrap_or(path);
    let mut text = String::new();
    while !rest.is_empty() {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(valid) => (valid, 0),
            Err(error) => {
                let (valid, bad) = rest.split_at(error.valid_up_to());
                let length = error.error_len().unwrap_or(bad.len());
                (std::str::from_utf8(valid).unwrap_or_default(), length)
            }
        };
        for character in valid.chars() {
            if is_stand_in(character) {
                text.extend(character.to_string().bytes().filter_map(stand_in));
            } else {
                text.push(character);
            }
        }
        rest = &rest[valid.len()..];
        text.extend(rest[..invalid].iter().filter_map(|byte| stand_in(*byte)));
        rest = &rest[invalid..];
    }
    if is_directory && !text.is_empty() {
        text.push('/');
    }
    Key::from_listing(text)
}

/// The path, with a leading `/`, whose key this is; `None` if it is that of no path.
#[must_use]
pub fn path_of(key: &Key) -> Option<Vec<u8>> {
    let is_directory = key.as_str().ends_with('/');
    let text = key.as_str().strip_suffix('/').unwrap_or(key.as_str());
    let mut path = vec![b'/'];
    for character in text.chars() {
        if is_stand_in(character) {
            path.push(u8::try_from(u32::from(character) - 0x10_F700).ok()?);
        } else {
            path.extend(character.to_string().bytes());
        }
    }
    let named =
        |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
    let names_are_good = path == b"/" || path[1..].split(|byte| *byte == b'/').all(named);
    (names_are_good && key_of(&path, is_directory) == *key).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_text_have_keys_and_come_back() {
        for (path, key) in [
            (&b"/a/b"[..], "a/b"),
            (b"/\xff", "\u{10f7ff}"),
            (b"/a\x80b", "a\u{10f780}b"),
            (
                "/\u{10f7ff}".as_bytes(),
                "\u{10f7f4}\u{10f78f}\u{10f79f}\u{10f7bf}",
            ),
        ] {
            assert_eq!(key_of(path, false).as_str(), key);
            assert_eq!(path_of(&key_of(path, true)), Some(path.to_vec()));
        }
        for text in ["a//b", "x/../y", "./a", "/", "/a"] {
            assert_eq!(path_of(&Key::from_listing(text.to_owned())), None, "{text}");
        }
    }
}
