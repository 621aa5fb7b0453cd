//! The text of a line: free text in BASIC mode, a JSON object in ENHANCED mode, as DataSync has it
//! (user guide: "Monitoring data transfers with Amazon CloudWatch Logs").

use std::fmt::Write as _;

use datasync_endpoint::Key;
use datasync_model::{ExecutionSpec, Failure, Severity};
use serde_json::{Map, Value, json};

use super::sign;

/// What a line has of a path or a reason, in bytes; a key of S3 has no more.
const PART_BYTES_MAX: usize = 1024;

/// The ids of both locations.
#[derive(Debug)]
pub(super) struct Places {
    source: String,
    destination: String,
}

impl Places {
    pub(super) fn of(spec: &ExecutionSpec) -> Self {
        Self {
            source: spec.source.arn().id().to_owned(),
            destination: spec.destination.arn().id().to_owned(),
        }
    }
}

/// What happened to an item.
#[derive(Debug)]
pub(super) struct Event<'a> {
    /// DataSync's word in ENHANCED mode.
    pub(super) action: &'static str,
    pub(super) severity: Severity,
    pub(super) key: &'a Key,
    /// In bytes, where it is known.
    pub(super) size: Option<u64>,
    /// Not the content.
    pub(super) is_metadata: bool,
    pub(super) failure: Option<&'a Failure>,
}

impl<'a> Event<'a> {
    pub(super) fn new(action: &'static str, severity: Severity, key: &'a Key) -> Self {
        Self {
            action,
            severity,
            key,
            size: None,
            is_metadata: false,
            failure: None,
        }
    }

    pub(super) fn basic(&self) -> String {
        let path = path(self.key);
        let mut text = match (self.action, self.failure) {
            ("VERIFY", Some(failure)) => {
                format!("Verification failed {} {path}", sign(failure.code))
            }
            ("VERIFY", None) => format!("Verified {} {path}", self.kind()),
            ("DELETE", Some(_)) => format!("Failed to delete {} {path}", self.kind()),
            ("DELETE", None) => format!("Deleted {} {path}", self.kind()),
            ("SKIP", _) => format!("Skipped {} {path}", self.kind()),
            (_, Some(_)) => format!("Failed to transfer {} {path}", self.kind()),
            (_, None) if self.is_metadata => {
                format!("Transferred metadata of {} {path}", self.kind())
            }
            (_, None) => format!("Transferred {} {path}", self.kind()),
        };
        // Writing to a String cannot fail.
        if let Some(size) = self.size {
            write!(text, ", {size} bytes").ok();
        }
        if let Some(failure) = self.failure {
            write!(text, ": {}: {}", failure.code, part(&failure.detail)).ok();
        }
        text
    }

    pub(super) fn enhanced(&self, places: &Places) -> String {
        let path = path(self.key);
        let place = |location: &str| {
            let mut place = json!({"LocationId": location, "RelativePath": path});
            if let Some(size) = self.size {
                place["Metadata"] = json!({"Type": self.kind(), "ContentSize": size});
            }
            place
        };
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("Action", self.action.into());
        put("Source", place(&places.source));
        put("Destination", place(&places.destination));
        if self.action == "TRANSFER" && self.failure.is_none() {
            let what = if self.is_metadata {
                "METADATA"
            } else {
                "CONTENT_AND_METADATA"
            };
            put("TransferType", what.into());
        }
        if let Some(failure) = self.failure {
            put("ErrorCode", failure.code.as_str().into());
            put("ErrorDetail", part(&failure.detail).into());
        }
        Value::Object(line).to_string()
    }

    fn kind(&self) -> &'static str {
        if self.key.is_directory() {
            "directory"
        } else {
            "file"
        }
    }
}

/// The path as reports and manifests have it, with a leading `/`.
fn path(key: &Key) -> String {
    let text = key.as_str();
    part(&format!("/{}", text.strip_suffix('/').unwrap_or(text)))
}

/// A text as a part of a line: cut, and without control characters.
fn part(text: &str) -> String {
    let beginning = &text[..text.floor_char_boundary(PART_BYTES_MAX)];
    let mut part = String::with_capacity(beginning.len());
    for character in beginning.chars() {
        if character.is_control() {
            part.extend(character.escape_default());
        } else {
            part.push(character);
        }
    }
    if beginning.len() < text.len() {
        part.push('…');
    }
    part
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::EntryPath;
    use datasync_model::{ErrorCode, LogLine};

    use super::*;

    fn key(name: &str, is_directory: bool) -> Key {
        EntryPath::ROOT.child(name.as_bytes()).key(is_directory)
    }

    fn places() -> Places {
        Places {
            source: "loc-1".to_owned(),
            destination: "loc-2".to_owned(),
        }
    }

    #[test]
    fn each_action_has_words_of_its_own() {
        let (file, directory) = (key("f", false), key("d", true));
        let why = Failure::new(ErrorCode::FileNotAtSource, "gone");
        let failed = |action| Event {
            failure: Some(&why),
            ..Event::new(action, Severity::Error, &file)
        };
        let sized = Event {
            size: Some(3),
            ..Event::new("TRANSFER", Severity::Info, &file)
        };
        assert_eq!(sized.basic(), "Transferred file /f, 3 bytes");
        for (event, text) in [
            (
                failed("TRANSFER"),
                "Failed to transfer file /f: FileNotAtSource: gone",
            ),
            (
                failed("VERIFY"),
                "Verification failed > /f: FileNotAtSource: gone",
            ),
            (
                failed("DELETE"),
                "Failed to delete file /f: FileNotAtSource: gone",
            ),
            (failed("SKIP"), "Skipped file /f: FileNotAtSource: gone"),
            (
                Event::new("VERIFY", Severity::Info, &directory),
                "Verified directory /d",
            ),
            (
                Event::new("DELETE", Severity::Info, &file),
                "Deleted file /f",
            ),
        ] {
            assert_eq!(event.basic(), text);
        }
        let line: Value = serde_json::from_str(&sized.enhanced(&places())).unwrap();
        let expected = json!({
            "Action": "TRANSFER",
            "Source": {"LocationId": "loc-1", "RelativePath": "/f",
                "Metadata": {"Type": "file", "ContentSize": 3}},
            "Destination": {"LocationId": "loc-2", "RelativePath": "/f",
                "Metadata": {"Type": "file", "ContentSize": 3}},
            "TransferType": "CONTENT_AND_METADATA",
        });
        assert_eq!(line, expected);
        let line: Value = serde_json::from_str(&failed("VERIFY").enhanced(&places())).unwrap();
        assert_eq!(
            (&line["ErrorCode"], &line["ErrorDetail"]),
            (&json!("FileNotAtSource"), &json!("gone"))
        );
    }

    #[test]
    fn a_line_is_one_line_of_bounded_length_whatever_the_name() {
        let hostile = key(&"\n\u{1}é\"".repeat(5000), false);
        let why = Failure::new(ErrorCode::SourceFault, "\r".repeat(100_000));
        let event = Event {
            failure: Some(&why),
            ..Event::new("TRANSFER", Severity::Error, &hostile)
        };
        for text in [event.basic(), event.enhanced(&places())] {
            assert!(!text.chars().any(char::is_control));
            assert!(text.len() <= LogLine::TEXT_BYTES_MAX, "{}", text.len());
        }
    }
}
