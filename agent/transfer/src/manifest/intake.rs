//! From the bytes of a manifest to the file that an execution works by.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::csv::{Decoder, Fault, Row};
use super::frozen;
use super::line::Line;
use crate::disk::{Demand, Disk, DiskError, Room};
use crate::outcome::chain;
use crate::sorter::{RunWriter, SortError, Sorter, Spill, blocking};

/// Where lines are sorted that do not fit the memory, in the execution's directory.
const SPILL: &str = "manifest-spill";
/// Bytes of a block of the file.
const BLOCK_BYTES: usize = 64 * 1024;

/// Why a manifest cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It breaks a rule; the text names the line.
    #[error("{0}")]
    Invalid(String),
    /// The agent's own disk.
    #[error("{0}")]
    Local(String),
}

impl From<Fault> for ManifestError {
    fn from(fault: Fault) -> Self {
        Self::Invalid(fault.to_string())
    }
}

impl From<SortError> for ManifestError {
    fn from(error: SortError) -> Self {
        Self::Local(chain(&error))
    }
}

impl From<DiskError> for ManifestError {
    fn from(error: DiskError) -> Self {
        Self::Local(chain(&error))
    }
}

/// Whether the execution with this directory has its manifest.
///
/// # Errors
/// If that cannot be seen.
pub async fn is_frozen(directory: &Path) -> std::io::Result<bool> {
    tokio::fs::try_exists(frozen::path(directory)).await
}

/// What a manifest takes of the disk at most, in its own size: sorted runs, those that are merged, and
/// the sorted copy. Asked for before it is read, since reading it again would cost as much each time.
const COPIES: u64 = 3;

/// Takes a manifest in, piece by piece, in bounded memory.
pub struct ManifestIntake {
    directory: PathBuf,
    disk: Disk,
    decoder: Decoder,
    rows: Vec<Row>,
    sorter: Sorter<Line>,
}

impl std::fmt::Debug for ManifestIntake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestIntake").finish_non_exhaustive()
    }
}

impl ManifestIntake {
    /// Begins with the manifest of `size` bytes of the execution in `directory`. About `memory_bytes` are held, and
    /// at most `disk_max_bytes` of the disk are taken (`None`: what is free, but for a reserve).
    ///
    /// # Errors
    /// If the file system has no room.
    pub fn begin(
        directory: &Path,
        size: u64,
        memory_bytes: usize,
        disk_max_bytes: Option<u64>,
    ) -> Result<Self, ManifestError> {
        remove_spill(directory)?;
        let demand = Demand {
            entries: None,
            known: size.saturating_mul(COPIES),
            written: 0,
            max: disk_max_bytes,
        };
        let allowed = demand.admitted(Room::of(directory)?, directory)?;
        let disk = Disk::new(allowed, 0);
        let spill = Spill {
            directory: directory.join(SPILL),
            disk: disk.clone(),
            keeps_names: false,
        };
        Ok(Self {
            directory: directory.to_owned(),
            disk,
            decoder: Decoder::default(),
            rows: Vec::new(),
            sorter: Sorter::new(spill, memory_bytes),
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ManifestError`]; nothing more may be taken then.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), ManifestError> {
        self.decoder.push(bytes, &mut self.rows)?;
        self.take_rows().await
    }

    async fn take_rows(&mut self) -> Result<(), ManifestError> {
        for row in self.rows.drain(..) {
            self.sorter.push(Line::of(row)?).await?;
        }
        Ok(())
    }

    /// The end of the manifest: it is in force from now on. The answer is the number of its lines.
    ///
    /// # Errors
    /// [`ManifestError`]; a path that is listed twice.
    pub async fn finish(mut self) -> Result<u64, ManifestError> {
        let decoder = std::mem::take(&mut self.decoder);
        decoder.finish(&mut self.rows)?;
        self.take_rows().await?;
        let mut sorted = self.sorter.finish().await?;
        let spill = Spill {
            directory: self.directory.join(SPILL),
            disk: self.disk,
            keeps_names: true,
        };
        let mut writer = blocking(move || RunWriter::create(&spill, BLOCK_BYTES)).await?;
        let mut lines = 0;
        while let Some(line) = sorted.next().await? {
            lines += 1;
            writer.write(&line)?;
        }
        if let Some(twice) = sorted.duplicate() {
            writer.discard()?;
            return Err(ManifestError::Invalid(format!(
                "{twice:?} is listed more than once"
            )));
        }
        let directory = self.directory;
        blocking(move || put_in_place(writer, &directory)).await?;
        Ok(lines)
    }
}

fn put_in_place(writer: RunWriter, directory: &Path) -> Result<(), SortError> {
    let run = writer.finish::<Line>()?;
    let path = frozen::path(directory);
    let placed = run
        .file
        .sync_all()
        .and_then(|()| fs::rename(&run.path, &path))
        .and_then(|()| File::open(directory)?.sync_all());
    placed.map_err(|error| SortError::io(&path, error))?;
    remove_spill(directory)
}

/// Removes what was sorted on the way, also in an earlier run of the process.
fn remove_spill(directory: &Path) -> Result<(), SortError> {
    let spill = directory.join(SPILL);
    match fs::remove_dir_all(&spill) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SortError::io(&spill, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::Key;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::manifest::frozen::Frozen;

    async fn taken(text: &str, memory: usize) -> (TempDir, Result<u64, ManifestError>) {
        let directory = tempfile::tempdir().unwrap();
        let mut intake = ManifestIntake::begin(directory.path(), 0, memory, None).unwrap();
        let result = async {
            for piece in text.as_bytes().chunks(1000) {
                intake.push(piece).await?;
            }
            intake.finish().await
        };
        let result = result.await;
        (directory, result)
    }

    async fn keys(directory: &TempDir, after: Option<&str>) -> Vec<String> {
        let after = after.map(|after| Key::from_listing(after.to_owned()));
        let mut frozen = Frozen::new(frozen::path(directory.path()), after);
        let mut keys = Vec::new();
        loop {
            let some = frozen.next(7).await.unwrap();
            if some.is_empty() {
                return keys;
            }
            keys.extend(some.iter().map(ToString::to_string));
        }
    }

    #[tokio::test]
    async fn a_manifest_of_any_size_is_sorted_in_little_memory() {
        let number = |n: u64| format!("{:06}/file", n.wrapping_mul(7919) % 10_007);
        let text: String = (0..10_007).map(|n| number(n) + "\n").collect();
        let (directory, result) = taken(&text, 64 * 1024).await;
        assert_eq!(result.unwrap(), 10_007);
        let found = keys(&directory, None).await;
        assert_eq!(found.len(), 10_007);
        assert!(found.is_sorted());
        let rest = keys(&directory, Some("009999/file")).await;
        assert_eq!(rest.len(), 7);
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "nothing else is left");
    }

    #[tokio::test]
    async fn a_path_that_is_listed_twice_is_named_however_it_was_sorted() {
        let many: String = (0..5000).map(|n| format!("{n}\n")).collect();
        for (text, memory) in [("b\na\n/b", 1 << 20), (&(many + "4711\n"), 32 * 1024)] {
            let (directory, result) = taken(text, memory).await;
            let error = result.unwrap_err().to_string();
            assert!(error.contains("is listed more than once"), "{error}");
            assert!(
                error.contains("\"b\"") || error.contains("\"4711\""),
                "{error}"
            );
            assert!(!is_frozen(directory.path()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn an_empty_manifest_lists_nothing() {
        let (directory, result) = taken("", 1 << 20).await;
        assert_eq!(result.unwrap(), 0);
        assert!(keys(&directory, None).await.is_empty());
        assert!(is_frozen(directory.path()).await.unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_kept_is_what_was_listed_in_the_order_of_keys(
            names in proptest::collection::btree_set("[a-c]{1,2}(/[a-c]{1,2}){0,2}", 0..60),
            seed in any::<u64>(),
        ) {
            let mut shuffled: Vec<_> = names.iter().collect();
            shuffled.sort_by_key(|name| datasync_endpoint::Crc64::of(format!("{seed}{name}").as_bytes()).0);
            let text: String = shuffled.iter().map(|name| format!("{name}\n")).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(async {
                let (directory, result) = taken(&text, 2048).await;
                result.unwrap();
                keys(&directory, None).await
            });
            prop_assert_eq!(found, names.into_iter().collect::<Vec<_>>());
        }
    }
}
