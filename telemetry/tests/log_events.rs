//! `docs/logging.md` lists the events that log lines name, all of them and no others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Rust sources below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn named_in(text: &str, pattern: &Regex) -> BTreeSet<String> {
    let all = pattern.captures_iter(text);
    all.map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_list_of_events_is_what_the_programs_log() {
    let root = root();
    let mut files = Vec::new();
    for folder in [
        "agent/src",
        "agent/transfer/src",
        "agent/nfs/src",
        "agent/s3/src",
        "control/src",
        "telemetry/src",
    ] {
        sources(&root.join(folder), &mut files);
    }
    let in_code = Regex::new(r#"(?-u:\b)event = "([^"]*)""#).unwrap();
    let mut logged = BTreeSet::new();
    for file in files {
        logged.extend(named_in(&fs::read_to_string(&file).unwrap(), &in_code));
    }
    let document = fs::read_to_string(root.join("docs/logging.md")).unwrap();
    let in_table = Regex::new(r"(?m)^\| `([a-z-]+\.[a-z_]+)` \|").unwrap();
    let listed = named_in(&document, &in_table);
    let form = Regex::new(r"^[a-z][a-z-]*\.[a-z][a-z_]*$").unwrap();
    for event in &logged {
        assert!(form.is_match(event), "{event:?} is not noun.verb");
    }
    let missing: Vec<_> = logged.difference(&listed).collect();
    let surplus: Vec<_> = listed.difference(&logged).collect();
    assert!(missing.is_empty(), "not in docs/logging.md: {missing:?}");
    assert!(surplus.is_empty(), "logged nowhere: {surplus:?}");
    assert!(logged.len() > 20, "{logged:?}");
}
