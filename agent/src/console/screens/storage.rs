//! A test of the storage that tasks are to use.

use std::time::Duration;

use super::super::command::Command;
use super::super::form::{Field, Form, Kind};
use super::super::page::{Grade, Line};
use super::connection;
use crate::link::Hop;

const KIND: &str = "Kind";
const KINDS: &[&str] = &["NFS server", "S3 endpoint"];
const SERVER: &str = "Server or URL";
const PLACE: &str = "Export or bucket";

/// Stores refuse signatures that are 15 minutes off.
const SKEW_FAIL: u64 = 900;
const SKEW_WARNING: u64 = 60;

pub(in super::super) fn form() -> Form {
    Form::new(
        "Test storage",
        &[
            "NFS: host or host:port, and the path of the export.",
            "S3: the endpoint, such as https://s3.eu-north-1.amazonaws.com, and a bucket or nothing.",
        ],
        vec![
            Field::new(KIND, Kind::Choice(KINDS), KINDS[0]),
            Field::text(SERVER, ""),
            Field::text(PLACE, ""),
        ],
        "Test",
    )
}

/// # Errors
/// What is missing.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let (server, place) = (form.value(SERVER).to_owned(), form.value(PLACE).to_owned());
    if server.is_empty() {
        return Err(format!("\"{SERVER}\" is empty."));
    }
    if form.value(KIND) == KINDS[0] {
        if !place.starts_with('/') {
            return Err("The path of an export begins with \"/\".".to_owned());
        }
        return Ok(Command::TestNfs {
            server,
            path: place,
        });
    }
    if !server.starts_with("https://") && !server.starts_with("http://") {
        return Err("An endpoint begins with https:// or http://.".to_owned());
    }
    let is_bucket = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if place.len() > 255 || !place.bytes().all(is_bucket) {
        return Err("The name of a bucket has letters, digits, \"-\", \".\" and \"_\".".to_owned());
    }
    Ok(Command::TestS3 {
        endpoint: server,
        bucket: place,
    })
}

/// What came of the hops to `place`.
pub(in super::super) fn lines(place: &str, hops: &[Hop]) -> Vec<Line> {
    let mut lines = vec![Line::plain(place)];
    lines.extend(hops.iter().map(connection::hop));
    lines
}

/// What a store's answer to a HEAD without signature says of it.
pub(in super::super) fn answered(status: u16, server: Option<&str>) -> Line {
    let server = server.map_or_else(String::new, |name| format!(" ({name})"));
    let grade = match status {
        // Without a signature a store refuses: it is there.
        200..=299 | 301 | 307 | 400 | 401 | 403 | 405 | 501 => Grade::Ok,
        404 => Grade::Warning,
        _ => Grade::Fail,
    };
    let meaning = match status {
        200..=299 => "answers to everybody",
        301 | 307 => "the bucket is in another region",
        404 => "no such bucket",
        400 | 401 | 403 | 405 | 501 => "answers, and wants a signature as it should",
        _ => "unexpected",
    };
    Line::graded(grade, format!("HEAD: status {status}{server}: {meaning}"))
}

/// The store's clock against this machine's.
pub(in super::super) fn clock(ahead: Option<i64>) -> Line {
    let Some(ahead) = ahead else {
        return Line::graded(Grade::Warning, "Clock: the answer has no date");
    };
    let off = ahead.unsigned_abs();
    let grade = match off {
        SKEW_FAIL.. => Grade::Fail,
        SKEW_WARNING.. => Grade::Warning,
        _ => Grade::Ok,
    };
    Line::graded(grade, format!("Clock: {}", offset(ahead, "the store's")))
}

/// A difference of clocks in words; positive where this machine's is ahead.
pub(in super::super) fn offset(ahead: i64, whose: &str) -> String {
    let off = Duration::from_secs(ahead.unsigned_abs());
    match ahead {
        -1..=1 => format!("this machine's agrees with {whose}"),
        2.. => format!("this machine's is {} s ahead of {whose}", off.as_secs()),
        _ => format!("this machine's is {} s behind {whose}", off.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_checked_before_anything_is_sent() {
        let asked = |kind: &str, server: &str, place: &str| {
            let mut form = form();
            for (field, value) in form.fields.iter_mut().zip([kind, server, place]) {
                field.value = value.to_owned();
            }
            submit(&form)
        };
        assert_eq!(
            asked("NFS server", "nas:20490", "/export"),
            Ok(Command::TestNfs {
                server: "nas:20490".to_owned(),
                path: "/export".to_owned()
            })
        );
        assert_eq!(
            asked("S3 endpoint", "http://store:9000", ""),
            Ok(Command::TestS3 {
                endpoint: "http://store:9000".to_owned(),
                bucket: String::new()
            })
        );
        for (kind, server, place) in [
            ("NFS server", "", "/export"),
            ("NFS server", "nas", "export"),
            ("S3 endpoint", "store:9000", ""),
            ("S3 endpoint", "http://store:9000", "a/b\r\n"),
        ] {
            assert!(
                asked(kind, server, place).is_err(),
                "{kind} {server} {place}"
            );
        }
    }

    #[test]
    fn answers_and_clocks_are_graded() {
        for (status, grade) in [
            (200, Grade::Ok),
            (403, Grade::Ok),
            (404, Grade::Warning),
            (503, Grade::Fail),
        ] {
            assert_eq!(answered(status, None).grade, Some(grade), "{status}");
        }
        for (ahead, grade) in [
            (Some(1), Grade::Ok),
            (Some(-59), Grade::Ok),
            (Some(60), Grade::Warning),
            (Some(-900), Grade::Fail),
            (None, Grade::Warning),
        ] {
            assert_eq!(clock(ahead).grade, Some(grade), "{ahead:?}");
        }
        assert_eq!(
            clock(Some(-70)).text,
            "Clock: this machine's is 70 s behind the store's"
        );
    }
}
