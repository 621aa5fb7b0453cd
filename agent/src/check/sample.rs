//! Whether what is in a location can be read, by a sample: the first entries, breadth first.

use std::collections::VecDeque;
use std::time::Duration;

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, ErrorKind, Handle, Source};
use tokio::time::Instant;

/// Directories that are listed, one page of each.
const DIRECTORIES_MAX: usize = 64;
/// Files of which one byte is read.
const FILES_MAX: usize = 256;
/// Longer than that it does not take; less than a step may.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Entries that can be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sample {
    directories: usize,
    files: usize,
    first_file: Option<Handle>,
}

/// What cannot be read.
struct Unreadable {
    path: EntryPath,
    kind: ErrorKind,
    text: String,
}

impl Unreadable {
    fn at(path: &EntryPath) -> impl Fn(&EndpointError) -> Self + '_ {
        |error| Self {
            path: path.clone(),
            kind: error.kind,
            text: error.to_string(),
        }
    }
}

/// Reads until something cannot be read, or there is enough of it; the first file that was read.
/// `advice` is for what is refused.
///
/// # Errors
/// The first entry that cannot be read, by name, and what to do.
pub(super) async fn read<S: Source>(
    source: &S,
    advice: &str,
) -> Result<(Option<Handle>, String), String> {
    match sample(source).await {
        Ok(Sample {
            directories,
            files,
            first_file,
        }) => Ok((
            first_file,
            format!("listed {directories} directories, read the first byte of {files} files"),
        )),
        Err(Unreadable { path, kind, text }) => Err(match kind {
            ErrorKind::PermissionDenied => format!("{path} cannot be read: {text}; {advice}"),
            _ => format!("{path} cannot be read: {text}"),
        }),
    }
}

async fn sample<S: Source>(source: &S) -> Result<Sample, Unreadable> {
    let until = Instant::now() + TIME_MAX;
    let root = source.root().await;
    let root = root.map_err(|error| Unreadable::at(&EntryPath::ROOT)(&error))?;
    let mut waiting = VecDeque::from([(EntryPath::ROOT, root.handle)]);
    let mut found = Sample::default();
    while Instant::now() < until
        && let Some((path, directory)) = waiting.pop_front()
    {
        let page = source.read_dir(&directory, None).await;
        let page = page.map_err(|error| Unreadable::at(&path)(&error))?;
        found.directories += 1;
        for entry in page.entries {
            let below = path.child(&entry.name);
            let node = entry.node.map_err(|error| Unreadable::at(&below)(&error))?;
            match node.attributes.kind {
                EntryKind::Directory if found.directories + waiting.len() < DIRECTORIES_MAX => {
                    waiting.push_back((below, node.handle));
                }
                EntryKind::File if found.files < FILES_MAX => {
                    let byte = source.read(&node.handle, 0, 1).await;
                    byte.map_err(|error| Unreadable::at(&below)(&error))?;
                    found.files += 1;
                    found.first_file.get_or_insert(node.handle);
                }
                _ => {}
            }
            if Instant::now() >= until {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_entry_that_cannot_be_read_is_named() {
        let tree = Tree::new().file("a/one", "1").file("a/two", "2");
        let source = MemorySource::new(tree);
        let (_, text) = read(&source, "do this").await.unwrap();
        assert_eq!(text, "listed 2 directories, read the first byte of 2 files");
        let denied = Action::Fail(ErrorKind::PermissionDenied);
        let fault = Fault::new(Operation::Read, denied).at("/a/two");
        source.script().add(fault);
        let error = read(&source, "do this").await.unwrap_err();
        assert!(error.starts_with("/a/two cannot be read: READ"), "{error}");
        assert!(error.ends_with("; do this"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_location_of_any_size_is_read_in_a_bounded_time() {
        let mut tree = Tree::new();
        for number in 0..500 {
            tree.add_dir(format!("d{number}"));
        }
        let source = MemorySource::new(tree);
        let slow = Action::Delay(Duration::from_millis(500));
        source.script().add(Fault::new(Operation::ReadDir, slow));
        let began = Instant::now();
        let (_, text) = read(&source, "").await.unwrap();
        assert!(
            began.elapsed() <= TIME_MAX + Duration::from_secs(1),
            "{text}"
        );
        assert!(text.starts_with("listed "), "{text}");
    }
}
