//! The dashboard asks for metrics that there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// Names and kinds, by the rows of the tables.
fn listed() -> Vec<(String, String)> {
    let row = Regex::new(r"(?m)^\| `(datasync_[a-z0-9_]+)` \| ([a-z]+) \|").unwrap();
    let document = read("docs/metrics.md");
    let rows = row.captures_iter(&document);
    rows.map(|row| (row[1].to_owned(), row[2].to_owned()))
        .collect()
}

#[test]
fn every_metric_of_the_dashboard_is_in_the_document() {
    let mut known = BTreeSet::new();
    for (name, kind) in listed() {
        if kind == "histogram" {
            for suffix in ["_bucket", "_sum", "_count"] {
                known.insert(format!("{name}{suffix}"));
            }
        } else {
            known.insert(name);
        }
    }
    let dashboard = read("packaging/grafana/datasync.json");
    let name = Regex::new(r"datasync_(agent|control)_[a-z0-9_]+").unwrap();
    let asked: BTreeSet<String> = name
        .find_iter(&dashboard)
        .map(|found| found.as_str().to_owned())
        .collect();
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(asked.len() > 30, "{asked:?}");
}

#[test]
fn panels_have_ids_of_their_own_and_lie_beside_each_other() {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/datasync.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|p| p["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |member: &str| panel["gridPos"][member].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
        let is_row = panel["type"] == "row";
        assert!(is_row || !panel["targets"].as_array().unwrap().is_empty());
    }
}
