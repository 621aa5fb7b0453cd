//! Where seeds are: on disks of the machine, or with the hypervisor. Everything that is read is bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use super::nocloud::{self, Documents};
use super::ovf;
use super::seed::Seed;
use super::vmware;

/// The longest document, in bytes.
const DOCUMENT_MAX: u64 = 64 * 1024;
/// Labels of disks with a NoCloud seed.
const LABELS: &[&str] = &["cidata", "CIDATA"];
/// Optical drives that may hold the environment of OVF.
const DRIVES: &[&str] = &["sr0", "sr1", "sr2", "sr3"];
const ENVIRONMENT: &str = "ovf-env.xml";

/// What lies at a place.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Found {
    NoCloud(Documents),
    Ovf(String),
}

impl Found {
    pub(super) fn read(&self) -> Result<Seed, Vec<String>> {
        match self {
            Self::NoCloud(documents) => nocloud::read(documents),
            Self::Ovf(document) => ovf::read(document),
        }
    }

    /// SHA-256 of what it says: names a seed that has no name. Of an OVF environment that are the
    /// properties: hypervisors write the rest anew at every power-on.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: Option<&str>| {
            hash.update(text.map_or(0, str::len).to_le_bytes());
            hash.update(text.unwrap_or_default());
        };
        match self {
            Self::NoCloud(documents) => {
                add(documents.meta_data.as_deref());
                add(documents.user_data.as_deref());
                add(documents.network_config.as_deref());
            }
            Self::Ovf(document) => match ovf::properties(document) {
                Ok(properties) => {
                    for (key, value) in &properties {
                        add(Some(key));
                        add(Some(value));
                    }
                }
                Err(_) => add(Some(document)),
            },
        }
        hex::encode(hash.finalize())
    }
}

/// The first seed that there is, with where it was.
///
/// # Errors
/// If one is there and cannot be read.
pub(super) fn find(root: &Path) -> Result<Option<(String, Found)>, String> {
    for device in devices(root) {
        let shown = device.display().to_string();
        if let Some(found) = on_device(&device).map_err(|error| format!("{shown}: {error}"))? {
            return Ok(Some((shown, found)));
        }
    }
    let document = vmware::environment(root)?;
    Ok(document.map(|document| (vmware::PLACE.to_owned(), Found::Ovf(document))))
}

fn devices(root: &Path) -> Vec<PathBuf> {
    let labelled = LABELS
        .iter()
        .map(|label| root.join("dev/disk/by-label").join(label));
    let drives = DRIVES.iter().map(|name| root.join("dev").join(name));
    let mut there: Vec<PathBuf> = labelled
        .chain(drives)
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    there.dedup();
    there
}

/// Looks at a disk that is mounted for it, read-only, with nothing on it that could be executed. An
/// optical drive without a disc has nothing.
fn on_device(device: &Path) -> io::Result<Option<Found>> {
    let directory = PathBuf::from("/run/datasync-seed");
    fs::create_dir_all(&directory)?;
    let mounted = Command::new("mount")
        .args(["-t", "iso9660,vfat"])
        .args(["-o", "ro,nosuid,nodev,noexec,nosymfollow"])
        .arg(device)
        .arg(&directory)
        .stdin(Stdio::null())
        .output()?;
    if !mounted.status.success() {
        let is_drive = device
            .file_name()
            .is_some_and(|name| DRIVES.iter().any(|d| name == *d));
        let complaint = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
        return if is_drive {
            Ok(None)
        } else {
            Err(io::Error::other(complaint))
        };
    }
    let found = in_directory(&directory);
    Command::new("umount").arg(&directory).status()?;
    found
}

/// Looks at the files of a seed; `None` if there is none.
///
/// # Errors
/// If the directory or a file cannot be read, or one is longer than 64 KiB or no text.
pub(super) fn in_directory(directory: &Path) -> io::Result<Option<Found>> {
    // One that is not there is not one without files.
    fs::read_dir(directory)?;
    if let Some(document) = document(&directory.join(ENVIRONMENT))? {
        return Ok(Some(Found::Ovf(document)));
    }
    let documents = Documents {
        meta_data: document(&directory.join("meta-data"))?,
        user_data: document(&directory.join("user-data"))?,
        network_config: document(&directory.join("network-config"))?,
    };
    Ok((documents != Documents::default()).then_some(Found::NoCloud(documents)))
}

fn document(path: &Path) -> io::Result<Option<String>> {
    let named = |error: io::Error| {
        let name = path.file_name().unwrap_or_default().display().to_string();
        io::Error::new(error.kind(), format!("{name}: {error}"))
    };
    // What lies there may come from anywhere: no link is followed, and no FIFO waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    let file = match opened {
        Ok(file) => File::from(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(error)),
    };
    let is_file = file.metadata().map_err(named)?.is_file();
    if !is_file {
        return Err(named(io::Error::other("not a regular file")));
    }
    bounded(file).map(Some).map_err(named)
}

/// # Errors
/// If it is no text, or longer than 64 KiB.
pub(super) fn bounded(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(DOCUMENT_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > DOCUMENT_MAX {
        let what = format!("longer than {DOCUMENT_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_holds_one_kind_of_seed_or_none() {
        let scratch = tempfile::tempdir().unwrap();
        let there = || in_directory(scratch.path());
        assert!(there().unwrap().is_none());
        fs::write(scratch.path().join("meta-data"), "instance-id: a\n").unwrap();
        let first = there().unwrap().unwrap();
        assert_eq!(first.read().unwrap().instance.as_deref(), Some("a"));
        fs::write(scratch.path().join("user-data"), "").unwrap();
        assert_eq!(first.digest(), there().unwrap().unwrap().digest());
        fs::write(scratch.path().join("user-data"), "a: b\n").unwrap();
        assert_ne!(first.digest(), there().unwrap().unwrap().digest());
        fs::write(scratch.path().join(ENVIRONMENT), "<Environment/>").unwrap();
        assert!(matches!(there().unwrap(), Some(Found::Ovf(_))));
        let missing = in_directory(&scratch.path().join("missing"));
        assert!(missing.is_err(), "not there is not empty");
    }

    #[test]
    fn an_environment_is_the_same_while_its_properties_are() {
        let document = |version: &str, control: &str| {
            Found::Ovf(format!(
                "<Environment><PlatformSection><Version>{version}</Version></PlatformSection>\
                 <PropertySection><Property key=\"control\" value=\"{control}\"/>\
                 </PropertySection></Environment>"
            ))
        };
        let first = document("7.0.3", "one:1").digest();
        assert_eq!(first, document("8.0.0", "one:1").digest());
        assert_ne!(first, document("7.0.3", "two:1").digest());
    }

    #[test]
    fn links_and_other_things_are_no_documents() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("user-data");
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(in_directory(scratch.path()).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = in_directory(scratch.path()).err().unwrap().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn what_is_too_long_or_no_text_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("user-data");
        for content in [vec![b'a'; 64 * 1024 + 1], vec![0xff]] {
            fs::write(&path, content).unwrap();
            let error = in_directory(scratch.path()).err().unwrap().to_string();
            assert!(error.starts_with("user-data: "), "{error}");
        }
    }
}
