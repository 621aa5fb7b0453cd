//! Files that are rolled must be nobody else's: what is renamed over them would be gone.

use std::path::{Component, Path, PathBuf};

use crate::config::layers::Layers;
use crate::rolling::RollingSettings;

/// What control keeps in its state directory, files and directories.
const STATE: &[&str] = &[
    "control.sqlite3",
    "control.sqlite3-wal",
    "control.sqlite3-shm",
    "control.sqlite3-journal",
    "sealing.key",
    "sealing.key.lock",
    "ca",
    "open.lock",
    "serve.lock",
    "control.id",
];
/// Settings that name files which control reads.
const READ: &[&str] = &[
    "sealing_key_file",
    "api_certificate_file",
    "api_key_file",
    "ca_bundle_file",
    "database_ca_file",
    "event_webhook_secret_file",
    "otlp_headers_file",
];

/// A file or directory and what it is.
pub(super) type Other = (PathBuf, String);

/// Everything that control has besides its outputs.
pub(super) fn of_others(layers: &mut Layers, state_dir: Option<&Path>) -> Vec<Other> {
    let mut others = Vec::new();
    for name in STATE {
        if let Some(directory) = state_dir {
            others.push((directory.join(name), "a part of control's state".to_owned()));
        }
    }
    for name in READ {
        if let Some(path) = layers.optional(name).filter(|path| !path.is_empty()) {
            others.push((path.into(), format!("the file of {name}")));
        }
    }
    others
}

/// A fault for each file of `ours` that is one of another setting, or one of `others` or below it.
/// Links are not followed.
pub(super) fn clashes(
    ours: &[(&'static str, &Option<RollingSettings>)],
    others: &[Other],
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut taken: Vec<Other> = others
        .iter()
        .map(|(path, what)| (plain(path), what.clone()))
        .collect();
    for (name, settings) in ours {
        let Some(settings) = settings else { continue };
        let files: Vec<PathBuf> = settings.files().map(|file| plain(&file)).collect();
        let clash = files.iter().find_map(|file| {
            let taken = taken.iter().find(|(path, _)| file.starts_with(path))?;
            Some((file, &taken.1))
        });
        if let Some((file, what)) = clash {
            faults.push(format!(
                "{name}: {} would be written or renamed, and is {what}: choose another name",
                file.display()
            ));
        }
        let what = format!("written or renamed by {name}");
        taken.extend(files.into_iter().map(|file| (file, what.clone())));
    }
    faults
}

/// Absolute, and without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolling(path: &str) -> Option<RollingSettings> {
        Some(RollingSettings {
            path: path.into(),
            bytes_max: 1,
        })
    }

    fn found(events: &str, audit: &str) -> Vec<String> {
        let (events, audit) = (rolling(events), rolling(audit));
        let database = (
            "/state/control.sqlite3".into(),
            "a part of control's state".to_owned(),
        );
        let ca = ("/state/ca".into(), "a part of control's state".to_owned());
        clashes(
            &[("event_file", &events), ("audit_file", &audit)],
            &[database, ca],
        )
    }

    #[test]
    fn rolled_files_have_names_of_their_own() {
        assert_eq!(found("/state/events.jsonl", "/state/audit.jsonl"), [""; 0]);
        for (events, audit, setting, file) in [
            ("/log/x", "/log/./y/../x", "audit_file", "/log/x "),
            ("/log/x", "/log/x.1", "audit_file", "/log/x.1 "),
            ("/log/x.3", "/log/x", "audit_file", "/log/x.3 "),
            (
                "/state/control.sqlite3",
                "/log/x",
                "event_file",
                "control.sqlite3 ",
            ),
            (
                "/log/x",
                "/state/ca/ca.pem",
                "audit_file",
                "/state/ca/ca.pem ",
            ),
        ] {
            let faults = found(events, audit);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with(setting), "{faults:?}");
            assert!(faults[0].contains(file), "{faults:?}");
        }
    }
}
