//! Several files replaced at once: all of them, or none.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::files::MachineFile;

/// Why not all files are in their places.
#[derive(Debug)]
pub(crate) struct NotReplaced {
    pub(crate) error: io::Error,
    /// What is changed all the same: it could not be put back either.
    pub(crate) changed: Vec<PathBuf>,
}

impl NotReplaced {
    /// A line for the error, and one for each file that could not be put back.
    pub(crate) fn told(&self) -> Vec<String> {
        let changed = self.changed.iter();
        let changed = changed.map(|path| format!("{} was changed all the same", path.display()));
        std::iter::once(self.error.to_string())
            .chain(changed)
            .collect()
    }
}

impl From<io::Error> for NotReplaced {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            changed: Vec::new(),
        }
    }
}

/// A file beside its place.
struct Prepared {
    path: PathBuf,
    new: PathBuf,
    /// Another name of what is there now; `None` if nothing is.
    old: Option<PathBuf>,
}

/// First every file beside its place, then all into their places; the number of them. What was
/// replaced is put back if a later one fails. After a loss of power in the middle some may be old and
/// some new, each of them whole.
///
/// # Errors
/// [`NotReplaced`]
pub(crate) fn replace_all(root: &Path, files: &[MachineFile]) -> Result<usize, NotReplaced> {
    replace_by(root, files, |from, to| fs::rename(from, to))
}

fn replace_by(
    root: &Path,
    files: &[MachineFile],
    rename: impl Fn(&Path, &Path) -> io::Result<()>,
) -> Result<usize, NotReplaced> {
    let named = |path: &Path, error: io::Error| {
        let text = format!("cannot write {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    let mut prepared = Vec::new();
    for file in files {
        let path = root.join(file.path);
        match prepare(&path, file) {
            Ok(ready) => prepared.push(ready),
            Err(error) => {
                tidy(&prepared);
                return Err(named(&path, error).into());
            }
        }
    }
    let mut replaced: Vec<&Prepared> = Vec::new();
    for file in &prepared {
        if let Err(error) = rename(&file.new, &file.path) {
            let changed = replaced.into_iter().rev();
            let changed = changed.filter(|file| put_back(file, &rename).is_err());
            let changed = changed.map(|file| file.path.clone()).collect();
            tidy(&prepared);
            return Err(NotReplaced {
                error: named(&file.path, error),
                changed,
            });
        }
        replaced.push(file);
    }
    tidy(&prepared);
    for directory in prepared.iter().filter_map(|file| file.path.parent()) {
        File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(|error| named(directory, error))?;
    }
    Ok(prepared.len())
}

fn put_back(file: &Prepared, rename: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    match &file.old {
        Some(old) => rename(old, &file.path),
        None => fs::remove_file(&file.path),
    }
}

/// Removes what is beside the places.
fn tidy(prepared: &[Prepared]) {
    for file in prepared {
        // What is not there any more is in its place.
        fs::remove_file(&file.new).ok();
        if let Some(old) = &file.old {
            fs::remove_file(old).ok();
        }
    }
}

fn prepare(path: &Path, file: &MachineFile) -> io::Result<Prepared> {
    let new = path.with_extension("new");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let old = keep(path)?;
    let prepared = Prepared {
        path: path.to_owned(),
        new,
        old,
    };
    if let Err(error) = write(&prepared.new, file) {
        tidy(&[prepared]);
        return Err(error);
    }
    Ok(prepared)
}

/// Gives what is at `path` another name.
fn keep(path: &Path) -> io::Result<Option<PathBuf>> {
    let old = path.with_extension("old");
    for _ in 0..2 {
        match fs::hard_link(path, &old) {
            Ok(()) => return Ok(Some(old)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            // Of a time before.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(&old)?,
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn write(path: &Path, file: &MachineFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(file.mode);
    let mut opened = options.open(path)?;
    opened.set_permissions(Permissions::from_mode(file.mode))?;
    if file.group.is_some() {
        chown(path, None, file.group)?;
    }
    opened.write_all(file.content.as_bytes())?;
    opened.sync_all()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    fn files(content: &str) -> Vec<MachineFile> {
        let file = |path| MachineFile {
            path,
            content: content.to_owned(),
            mode: 0o600,
            group: None,
        };
        ["etc/a.conf", "etc/b.conf", "etc/c.conf"]
            .map(file)
            .to_vec()
    }

    fn found(root: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(root.join("etc")).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    /// Replaces two of three files that are there; renames succeed, but for those from number
    /// `first` to number `last`.
    fn replaced(root: &Path, first: u32, last: u32) -> Result<usize, NotReplaced> {
        replace_all(root, &files("old")[..2]).unwrap();
        let count = Cell::new(0);
        replace_by(root, &files("new"), |from, to| {
            count.set(count.get() + 1);
            if (first..=last).contains(&count.get()) {
                return Err(io::Error::other("no"));
            }
            fs::rename(from, to)
        })
    }

    #[test]
    fn all_files_are_replaced_and_nothing_lies_beside_them() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(replaced(scratch.path(), 9, 9).unwrap(), 3);
        let found = found(scratch.path());
        assert_eq!(found.len(), 3);
        assert!(found.values().all(|content| content == "new"), "{found:?}");
    }

    #[test]
    fn where_the_last_cannot_be_placed_the_others_are_put_back() {
        let scratch = tempfile::tempdir().unwrap();
        let failed = replaced(scratch.path(), 3, 3).unwrap_err();
        assert_eq!(failed.changed, Vec::<PathBuf>::new());
        let text = failed.error.to_string();
        assert!(text.contains("etc/c.conf"), "{text}");
        let found = found(scratch.path());
        assert_eq!(found.len(), 2);
        assert!(found.values().all(|content| content == "old"), "{found:?}");
    }

    #[test]
    fn what_cannot_be_put_back_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let failed = replaced(scratch.path(), 2, 9).unwrap_err();
        assert_eq!(failed.changed, [scratch.path().join("etc/a.conf")]);
        let found = found(scratch.path());
        assert_eq!(found["a.conf"], "new");
        assert_eq!(found["b.conf"], "old");
        assert_eq!(found.len(), 2);
    }
}
