//! The objects of a report against the list that was signed.

use std::collections::BTreeSet;

use datasync_model::{ObjectTree, ReportKind, ReportObject};
use serde_json::value::RawValue;

use super::files::Files;
use super::{CheckError, Finding};

/// What is wrong with the objects, in the order of the list; what was added comes last.
///
/// # Errors
/// [`CheckError`] of a file that cannot be read.
pub(super) fn findings(
    execution: &str,
    files: &Files,
    signed: &[ReportObject],
) -> Result<Vec<Finding>, CheckError> {
    let mut findings = Vec::new();
    for object in signed {
        let name = object.name.clone();
        match files.object(&name)? {
            None => findings.push(Finding::Missing { object: name }),
            Some(Err(finding)) => findings.push(finding),
            Some(Ok(content)) => match read(execution, &name, &content) {
                Err(how) => findings.push(Finding::Altered { object: name, how }),
                Ok(found) => findings.extend(compared(object, &found, signed)),
            },
        }
    }
    let listed: BTreeSet<&String> = signed.iter().map(|object| &object.name).collect();
    let added = files.names().filter(|name| !listed.contains(name));
    findings.extend(added.map(|name| Finding::Added {
        object: name.clone(),
    }));
    Ok(findings)
}

fn compared(signed: &ReportObject, found: &ReportObject, all: &[ReportObject]) -> Option<Finding> {
    if signed == found {
        return None;
    }
    let object = signed.name.clone();
    let has_the_same = |other: &&ReportObject| other.root == found.root && other.set == found.set;
    Some(if let Some(other) = all.iter().find(has_the_same) {
        let how = format!("it has what {} had when it was signed", other.name);
        Finding::OtherOrder { object, how }
    } else if signed.set == found.set {
        let how = "its entries are in another order".to_owned();
        Finding::OtherOrder { object, how }
    } else if found.entries < signed.entries {
        Finding::EntriesRemoved {
            object,
            missing: signed.entries - found.entries,
            signed: signed.entries,
        }
    } else if found.entries > signed.entries {
        Finding::EntriesAdded {
            object,
            added: found.entries - signed.entries,
            signed: signed.entries,
        }
    } else {
        let how = "at least one entry is not what was signed".to_owned();
        Finding::Altered { object, how }
    })
}

/// The object with its entries as they are in the file.
///
/// # Errors
/// Why no agent wrote it so.
fn read(execution: &str, name: &str, content: &[u8]) -> Result<ReportObject, String> {
    let mut tree = ObjectTree::default();
    match kind_of(execution, name) {
        None => tree.push(content),
        Some(kind) => {
            for entry in entries(execution, kind, content)? {
                tree.push(entry.get().as_bytes());
            }
        }
    }
    Ok(tree.named(name))
}

/// Which array an object has; `None` of a summary, which is one entry as a whole.
fn kind_of(execution: &str, name: &str) -> Option<ReportKind> {
    let rest = name.strip_prefix(execution)?.strip_prefix(".files-")?;
    let (word, _) = rest.split_once('-')?;
    let kinds = ReportKind::ALL.iter();
    kinds
        .copied()
        .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
}

/// Everything around the entries is known beforehand, byte by byte.
fn entries<'a>(
    execution: &str,
    kind: ReportKind,
    content: &'a [u8],
) -> Result<Vec<&'a RawValue>, String> {
    let head = format!("{{\"TaskExecutionId\":\"{execution}\",\"{kind}\":");
    let array = content
        .strip_prefix(head.as_bytes())
        .and_then(|rest| rest.strip_suffix(b"}"))
        .ok_or_else(|| format!("it does not begin with {head} and end with a brace"))?;
    let entries: Vec<&RawValue> =
        serde_json::from_slice(array).map_err(|error| format!("its entries: {error}"))?;
    let between = entries.len().saturating_sub(1) + "[]".len();
    let bytes: usize = entries.iter().map(|entry| entry.get().len()).sum();
    if bytes + between != array.len() {
        return Err("there is white space between its entries".to_owned());
    }
    Ok(entries)
}
