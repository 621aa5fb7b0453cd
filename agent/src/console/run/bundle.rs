//! The support bundle: a tar.gz of what is made for it here, and of nothing else.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tar::{Builder, Header};

use super::super::page::Line;
use super::scrub::Scrubber;
use super::{SUPPORT, World, connection, journal, machine, network};
use crate::{VERSION, local, state};

/// Bundles that stay in the state directory; older ones are removed.
const KEPT: usize = 5;
const PREFIX: &str = "datasync-support-";
const SUFFIX: &str = ".tar.gz";

/// A file of the bundle.
struct Part {
    name: &'static str,
    text: String,
}

/// Makes a bundle in `directory`.
pub(super) async fn make(world: &World, directory: &Path) -> Vec<Line> {
    let now = Timestamp::now();
    let parts = match scrubbed(world, collect(world, now).await) {
        Ok(parts) => parts,
        Err(reason) => return vec![Line::fail(reason)],
    };
    let is_own = directory == world.state_dir.join(SUPPORT);
    match write(directory, &parts, now, is_own) {
        Ok(path) => {
            let mut lines = vec![
                Line::ok("The bundle is written:"),
                Line::plain(path.display().to_string()),
                Line::plain(""),
                Line::plain("In it:"),
            ];
            lines.extend(
                parts
                    .iter()
                    .map(|part| Line::plain(format!("  {}", part.name))),
            );
            lines
        }
        Err(error) => vec![Line::fail(format!(
            "cannot write a bundle to {}: {error}",
            directory.display()
        ))],
    }
}

async fn collect(world: &World, now: Timestamp) -> Vec<Part> {
    let text = |lines: Vec<Line>| {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let part = |name, text| Part { name, text };
    let status = match local::ask(&world.state_dir).await {
        Ok(snapshot) => {
            serde_json::to_string_pretty(&snapshot).unwrap_or_else(|error| error.to_string())
        }
        Err(error) => error.to_string(),
    };
    let configured = world.configured();
    let mut settings = configured.layers.shown();
    if let Err(faults) = &configured.config {
        settings.push(format!("# cannot be used: {faults}"));
    }
    let log = match journal::read(world).await {
        Ok(lines) => lines.join("\n"),
        Err(reason) => reason,
    };
    vec![
        part(
            "bundle.txt",
            format!("datasync-agent {VERSION}\nmade {now}"),
        ),
        part("settings.txt", settings.join("\n")),
        part("status.json", status),
        part("resources.txt", text(machine::check(world).await)),
        part("network.txt", text(network::show(world))),
        part("connection.txt", text(connection::test(world).await)),
        part("log.txt", log),
    ]
}

/// Everything once more through the scrubber: texts of errors may have taken something along.
fn scrubbed(world: &World, parts: Vec<Part>) -> Result<Vec<Part>, String> {
    let scrubber = Scrubber::new(world.secrets()).map_err(|e| e.to_string())?;
    let clean = |part: Part| {
        let lines: Vec<_> = part.text.lines().map(|line| scrubber.clean(line)).collect();
        Part {
            text: lines.join("\n") + "\n",
            ..part
        }
    };
    Ok(parts.into_iter().map(clean).collect())
}

fn write(
    directory: &Path,
    parts: &[Part],
    now: Timestamp,
    is_own: bool,
) -> std::io::Result<PathBuf> {
    if is_own {
        state::make_private_directory(directory).map_err(std::io::Error::other)?;
    }
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let path = directory.join(format!("{PREFIX}{stamp}{SUFFIX}"));
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    let written = fill(&file, parts, now);
    if written.is_err() {
        std::fs::remove_file(&path).ok();
    }
    written?;
    if is_own {
        prune(directory)?;
    }
    Ok(path)
}

fn fill(file: &std::fs::File, parts: &[Part], now: Timestamp) -> std::io::Result<()> {
    let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
    for part in parts {
        let mut header = Header::new_gnu();
        header.set_size(u64::try_from(part.text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        archive.append_data(&mut header, part.name, part.text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()?;
    file.sync_all()
}

/// The names sort by age.
fn prune(directory: &Path) -> std::io::Result<()> {
    let mut bundles = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let is_one = name
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_one {
            bundles.push(name);
        }
    }
    bundles.sort();
    let surplus = bundles.len().saturating_sub(KEPT);
    for name in &bundles[..surplus] {
        std::fs::remove_file(directory.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};

    use flate2::read::GzDecoder;

    use super::super::Configured;
    use super::*;
    use crate::config::{Layers, Overrides};

    fn world(state_dir: &Path, root: &Path) -> World {
        let state = state_dir.display().to_string();
        let mut flags = Overrides::default();
        for (member, value) in [
            ("state_dir", state.as_str()),
            ("control", "127.0.0.1:1"),
            ("control_fingerprint", &"0".repeat(64)),
            ("activation_key", "CANAR-Y1111-11111-11111-11111"),
            ("https_proxy", "http://user:canary-2222@127.0.0.1:1"),
            ("no_proxy", "127.0.0.1"),
        ] {
            flags = flags.set(member, Some(value)).unwrap();
        }
        let layers = Layers::read(None, [], flags).unwrap();
        World {
            configured: Mutex::new(Arc::new(Configured::new(layers))),
            state_dir: state_dir.to_owned(),
            root: root.to_owned(),
        }
    }

    fn contents(path: &Path) -> Vec<(String, String)> {
        let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (name, text)
            })
            .collect()
    }

    #[tokio::test]
    async fn a_bundle_has_what_helps_and_no_planted_secret() {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        for secret in [
            "identity/key.pem",
            "identity/agent.json",
            "console-password",
        ] {
            let file = state.join(secret);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "canary-3333").unwrap();
        }
        let world = world(&state, scratch.path());
        let parts = scrubbed(&world, collect(&world, Timestamp::UNIX_EPOCH).await).unwrap();
        let directory = state.join(SUPPORT);
        let path = write(&directory, &parts, Timestamp::UNIX_EPOCH, true).unwrap();
        assert!(path.ends_with("datasync-support-19700101T000000Z.tar.gz"));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let contents = contents(&path);
        let names: Vec<_> = contents.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bundle.txt",
                "settings.txt",
                "status.json",
                "resources.txt",
                "network.txt",
                "connection.txt",
                "log.txt"
            ]
        );
        let all = format!("{contents:?}").to_lowercase();
        assert!(all.contains("control = 127.0.0.1:1"), "{all}");
        assert!(!all.contains("canar"), "{all}");
    }

    #[test]
    fn old_bundles_make_room() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join(SUPPORT);
        for second in 0..7 {
            let now = Timestamp::from_second(second).unwrap();
            write(&directory, &[], now, true).unwrap();
        }
        std::fs::write(directory.join("note"), "").unwrap();
        prune(&directory).unwrap();
        let left = std::fs::read_dir(&directory).unwrap().count();
        assert_eq!(left, KEPT + 1);
        // Never over an older one.
        let now = Timestamp::from_second(6).unwrap();
        assert!(write(&directory, &[], now, true).is_err());
    }
}
