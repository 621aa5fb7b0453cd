//! Names to keys and back, and the order that everything is merged in.
//!
//! A name that is valid UTF-8 is its own key segment. Bytes that are not part of valid UTF-8 become
//! U+10F700 + byte; characters of U+10F780..=U+10F7FF that occur in a valid name are escaped the
//! same way, byte by byte, so that the mapping is injective and byte order of keys (the order of
//! S3 listings) can be computed from names. See `docs/semantics.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The escape of byte `b` is the character `ESCAPE_BASE + b`. Only bytes 0x80..=0xFF occur.
const ESCAPE_BASE: u32 = 0x0010_F700;
const ESCAPE_FIRST: u32 = ESCAPE_BASE + 0x80;
const ESCAPE_LAST: u32 = ESCAPE_BASE + 0xFF;

fn escape(byte: u8, into: &mut String) {
    into.extend(char::from_u32(ESCAPE_BASE + u32::from(byte)));
}

fn escaped_byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    (ESCAPE_FIRST..=ESCAPE_LAST)
        .contains(&code)
        .then(|| u8::try_from(code - ESCAPE_BASE).ok())
        .flatten()
}

/// The key segment of a name.
#[must_use]
pub fn encode_name(name: &[u8]) -> String {
    let mut segment = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if escaped_byte(character).is_some() {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    escape(byte, &mut segment);
                }
            } else {
                segment.push(character);
            }
        }
        for byte in chunk.invalid() {
            escape(*byte, &mut segment);
        }
    }
    segment
}

/// The name of a key segment; `None` if no name has this segment.
#[must_use]
pub fn decode_name(segment: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(segment.len());
    for character in segment.chars() {
        match escaped_byte(character) {
            Some(byte) => name.push(byte),
            None => name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let legal = !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.contains(&0)
        && !name.contains(&b'/');
    (legal && encode_name(&name) == segment).then_some(name)
}

/// A path below the location's root: names joined by `/`, empty for the root itself. Bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// The root.
    pub const ROOT: Self = Self(Vec::new());

    /// The path of `name` in this directory.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.0.is_empty() {
            path.extend_from_slice(&self.0);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The names from the root down; none for the root.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
    }

    /// The bytes with a leading `/`, as filters see them.
    #[must_use]
    pub fn to_absolute(&self) -> Vec<u8> {
        let mut absolute = Vec::with_capacity(self.0.len() + 1);
        absolute.push(b'/');
        absolute.extend_from_slice(&self.0);
        absolute
    }

    /// Whether nothing of it has to be escaped in its key.
    #[must_use]
    pub fn is_its_own_key(&self) -> bool {
        self.key(false).as_str().as_bytes() == self.0
    }

    /// The key of this path.
    #[must_use]
    pub fn key(&self, is_directory: bool) -> Key {
        let mut text = String::with_capacity(self.0.len() + 1);
        for name in self.names() {
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(&encode_name(name));
        }
        if is_directory && !text.is_empty() {
            text.push('/');
        }
        Key(text)
    }
}

impl fmt::Display for EntryPath {
    /// With a leading `/`; bytes that cannot be shown are written as `\xNN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.escape_ascii_controls())
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPath({self})")
    }
}

trait EscapeControls {
    fn escape_ascii_controls(&self) -> String;
}

impl EscapeControls for [u8] {
    fn escape_ascii_controls(&self) -> String {
        let mut text = String::with_capacity(self.len());
        for chunk in self.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || character == '\\' {
                    text.extend(character.escape_default());
                } else {
                    text.push(character);
                }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        text
    }
}

/// An object key relative to the location: segments joined by `/`, a trailing `/` for directories,
/// empty for the root. Ordered by the bytes of its UTF-8, as S3 lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Key(String);

/// A key that is the key of no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is not the encoding of any path")]
pub struct KeyError;

impl Key {
    /// Takes any text as a key, as found in a listing.
    #[must_use]
    pub fn from_listing(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a directory (or the root).
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }

    /// The path whose key this is.
    ///
    /// # Errors
    /// For keys such as `a//b` or `x/../y`, and keys that our encoding would not have produced.
    pub fn path(&self) -> Result<EntryPath, KeyError> {
        let text = self.0.strip_suffix('/').unwrap_or(&self.0);
        if text.is_empty() {
            return if self.0.is_empty() {
                Ok(EntryPath::ROOT)
            } else {
                Err(KeyError)
            };
        }
        let mut path = EntryPath::ROOT;
        for segment in text.split('/') {
            path = path.child(&decode_name(segment).ok_or(KeyError)?);
        }
        Ok(path)
    }

    /// The sort key of a directory's entry: its segment, with `/` appended for a directory.
    #[must_use]
    pub fn sort_segment(name: &[u8], is_directory: bool) -> String {
        let mut segment = encode_name(name);
        if is_directory {
            segment.push('/');
        }
        segment
    }

    /// The key of the entry with this [`Key::sort_segment`] in the directory with this key.
    #[must_use]
    pub fn join(&self, sort_segment: &str) -> Self {
        Self(format!("{}{sort_segment}", self.0))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
