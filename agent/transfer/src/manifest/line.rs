//! A line of a manifest as a key.

use datasync_endpoint::{EntryPath, Key};

use super::csv::{Fault, Row};
use crate::sorter::{Sortable, put_bytes, take_text};

/// What an entry costs beside its text, in bytes.
const OVERHEAD: usize = 32;

/// An item that is to be transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its key: the path, with bytes that are not UTF-8 as [`datasync_endpoint::encode_name`] writes
    /// them.
    pub(super) key: String,
}

impl Line {
    /// The key that a line names.
    ///
    /// # Errors
    /// What is no path, or has a version.
    pub(super) fn of(row: Row) -> Result<Self, Fault> {
        let Row {
            line,
            path,
            version,
        } = row;
        let fault = |rule: String| Err(Fault { line, rule });
        if version.is_some() {
            return fault(
                "it has a version id, which only objects have: the source is a file system"
                    .to_owned(),
            );
        }
        let key = path.strip_prefix('/').unwrap_or(&path);
        match Key::from_listing(key.to_owned()).path() {
            Ok(found) if found != EntryPath::ROOT => Ok(Self {
                key: key.to_owned(),
            }),
            Ok(_) | Err(_) => fault(format!(
                "{path:?} is no path of a file below the source location"
            )),
        }
    }
}

impl Sortable for Line {
    fn segment(&self) -> &str {
        &self.key
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + OVERHEAD + self.key.capacity()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.key.as_bytes());
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        take_text(input).map(|key| Self { key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, version: Option<&str>) -> Result<Line, Fault> {
        Line::of(Row {
            line: 7,
            path: path.to_owned(),
            version: version.map(str::to_owned),
        })
    }

    #[test]
    fn a_path_is_a_key_with_or_without_a_leading_slash() {
        for path in ["a/b c.txt", "/a/b c.txt"] {
            assert_eq!(line(path, None).unwrap().key, "a/b c.txt");
        }
        assert_eq!(line("directory/", None).unwrap().key, "directory/");
    }

    #[test]
    fn what_names_no_file_is_refused() {
        for path in ["/", "//a", "a//b", "a/../b", "./a", "a/.", "a\0b", "a//"] {
            let fault = line(path, None).unwrap_err().to_string();
            assert!(fault.starts_with("line 7: "), "{fault}");
            assert!(fault.contains("is no path"), "{fault}");
        }
        let fault = line("a", Some("v1")).unwrap_err().to_string();
        assert!(fault.contains("version id"), "{fault}");
    }
}
