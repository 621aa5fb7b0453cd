//! What an execution may take of the agent's own disk: decided before it begins, kept while it runs.
//!
//! What grows with the tree counts: spilled runs of large directories, delete candidates, the list of
//! items that were not done, and what the catalog learns. The journal does not: it is replaced once
//! it has 16 MiB.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an execution of any size needs, in bytes: two journals, and the beginnings of lists and of
/// spilled runs.
const FLOOR: u64 = 64 << 20;
/// What each entry of the tree needs, in bytes: a record in the next catalog, and one in the log that
/// it is made of.
const ENTRY: u64 = 2 * 64;
/// What is left to others by default: a twentieth of the file system, at most so many bytes.
const RESERVE_MAX: u64 = 1 << 30;

/// Room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) total: u64,
    pub(crate) available: u64,
}

impl Room {
    /// Of the file system that holds `directory`.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub(crate) fn of(directory: &Path) -> Result<Self, DiskError> {
        let told = rustix::fs::statvfs(directory).map_err(|error| DiskError::Unknown {
            directory: directory.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            total: told.f_blocks.saturating_mul(told.f_frsize),
            available: told.f_bavail.saturating_mul(told.f_frsize),
        })
    }
}

/// Why an execution does not begin, or does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error("cannot ask for the free space of {directory}", directory = directory.display())]
    Unknown {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the execution needs about {needed_mib} MiB of disk space in {directory}; {available_mib} MiB \
         are free there, of which it may take {allowed_mib} MiB: free some or raise state_disk_max",
        needed_mib = needed.div_ceil(MIB), available_mib = available / MIB,
        allowed_mib = allowed / MIB, directory = directory.display()
    )]
    Shortage {
        needed: u64,
        available: u64,
        allowed: u64,
        directory: PathBuf,
    },
    #[error(
        "the execution has used up the {allowed_mib} MiB of disk space that it may take: free some or \
         raise state_disk_max",
        allowed_mib = allowed / MIB
    )]
    UsedUp { allowed: u64 },
}

const MIB: u64 = 1 << 20;

/// What an execution asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Entries of the tree, as the last execution left them in the catalog.
    pub(crate) entries: Option<u64>,
    /// What is known to be written besides, in bytes.
    pub(crate) known: u64,
    /// What its files have already, in bytes.
    pub(crate) written: u64,
    /// `state_disk_max`; `None`: what is free, but for a reserve.
    pub(crate) max: Option<u64>,
}

impl Demand {
    /// Bytes that the execution may take in all, what it has included.
    pub(crate) fn allowed(self, room: Room) -> u64 {
        let reserve = (room.total / 20).min(RESERVE_MAX);
        let free = room.available.saturating_sub(reserve);
        let all = free.saturating_add(self.written);
        self.max.map_or(all, |max| max.min(all))
    }

    /// [`Demand::allowed`], if that is enough to begin.
    pub(crate) fn admitted(self, room: Room, directory: &Path) -> Result<u64, DiskError> {
        let entries = self.entries.unwrap_or(0);
        let needed = FLOOR
            .saturating_add(entries.saturating_mul(ENTRY))
            .saturating_add(self.known);
        let allowed = self.allowed(room);
        if allowed >= needed {
            return Ok(allowed);
        }
        Err(DiskError::Shortage {
            needed,
            available: room.available,
            allowed,
            directory: directory.to_owned(),
        })
    }
}

/// The sum of what an execution has on disk, and its bound. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    allowed: u64,
    used: AtomicU64,
}

impl Disk {
    pub(crate) fn new(allowed: u64, used: u64) -> Self {
        Self(Arc::new(Budget {
            allowed,
            used: AtomicU64::new(used),
        }))
    }

    /// No bound.
    #[cfg(test)]
    pub(crate) fn unbounded() -> Self {
        Self::new(u64::MAX, 0)
    }

    /// Counts bytes that are about to be written.
    ///
    /// # Errors
    /// If they are too many; then none is counted.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), DiskError> {
        self.take_leaving(bytes, 0)
    }

    /// The same, if so many are left afterwards.
    fn take_leaving(&self, bytes: u64, left: u64) -> Result<(), DiskError> {
        let Budget { allowed, used } = &*self.0;
        let most = allowed.saturating_sub(left);
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
        match used.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(DiskError::UsedUp { allowed: *allowed }),
        }
    }

    /// Bytes are on disk no more.
    pub(crate) fn give_back(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        // It has no reason to fail.
        let used = &self.0.used;
        used.fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .ok();
    }

    /// Bytes that may still be taken.
    pub(crate) fn left(&self) -> u64 {
        let Budget { allowed, used } = &*self.0;
        allowed.saturating_sub(used.load(Ordering::Acquire))
    }

    /// A file of which so many bytes are counted already.
    pub(crate) fn held(&self, bytes: u64) -> Share {
        Share {
            disk: self.clone(),
            bytes,
        }
    }

    /// A file that has nothing yet.
    pub(crate) fn share(&self) -> Share {
        self.held(0)
    }
}

/// What one file takes; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    disk: Disk,
    bytes: u64,
}

impl Share {
    /// Counts bytes that are about to be added to the file.
    ///
    /// # Errors
    /// As [`Disk::take`].
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.grow_leaving(bytes, 0)
    }

    /// The same, if so many may still be taken afterwards.
    ///
    /// # Errors
    /// As [`Disk::take`].
    pub(crate) fn grow_leaving(&mut self, bytes: u64, left: u64) -> Result<(), DiskError> {
        self.disk.take_leaving(bytes, left)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.disk.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        total: 10_000 * MIB,
        available: 1_000 * MIB,
    };
    const DEMAND: Demand = Demand {
        known: 0,
        entries: None,
        written: 0,
        max: None,
    };

    #[test]
    fn by_default_all_that_is_free_but_for_a_reserve_may_be_taken() {
        assert_eq!(DEMAND.allowed(ROOM), 500 * MIB);
        let huge = Room {
            total: u64::MAX,
            available: 5 << 30,
        };
        assert_eq!(DEMAND.allowed(huge), 4 << 30);
        let full = Room {
            available: 400 * MIB,
            ..ROOM
        };
        assert_eq!(DEMAND.allowed(full), 0);
    }

    #[test]
    fn a_bound_holds_where_more_is_free_and_counts_what_is_written() {
        let max = |max, written| {
            let max = Some(max);
            Demand {
                max,
                written,
                ..DEMAND
            }
        };
        assert_eq!(max(100 * MIB, 0).allowed(ROOM), 100 * MIB);
        assert_eq!(max(100 * MIB, 60 * MIB).allowed(ROOM), 100 * MIB);
        assert_eq!(max(900 * MIB, 60 * MIB).allowed(ROOM), 560 * MIB);
    }

    #[test]
    fn an_execution_that_needs_more_than_it_may_take_is_told_the_numbers() {
        let of = |entries| Demand {
            entries: Some(entries),
            ..DEMAND
        };
        let directory = Path::new("/state/executions/e");
        assert_eq!(of(3_000_000).admitted(ROOM, directory).unwrap(), 500 * MIB);
        let error = of(4_000_000).admitted(ROOM, directory).unwrap_err();
        let told = error.to_string();
        for word in [
            "553 MiB",
            "1000 MiB",
            "500 MiB",
            "/state/executions/e",
            "state_disk_max",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let unknown = Demand {
            max: Some(FLOOR - 1),
            ..DEMAND
        };
        assert!(unknown.admitted(ROOM, directory).is_err());
        assert!(of(u64::MAX).admitted(ROOM, directory).is_err());
        let known = |known| Demand { known, ..DEMAND }.admitted(ROOM, directory);
        assert!(known(400 * MIB).is_ok() && known(500 * MIB).is_err());
    }

    #[test]
    fn the_sum_of_all_files_stays_in_the_bound() {
        let disk = Disk::new(10, 2);
        let mut first = disk.share();
        let mut second = disk.share();
        first.grow(5).unwrap();
        second.grow(3).unwrap();
        assert!(second.grow(1).is_err());
        drop(first);
        second.grow(5).unwrap();
        assert!(disk.take(1).is_err());
        assert!(disk.take(u64::MAX).is_err());
        drop(second);
        assert_eq!(disk.left(), 8);
        disk.take(8).unwrap();
        disk.give_back(8);
        let mut third = disk.held(2);
        assert!(third.grow_leaving(6, 3).is_err());
        third.grow_leaving(5, 3).unwrap();
        drop(third);
        assert_eq!(disk.left(), 10);
    }

    #[test]
    fn the_file_system_is_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let room = Room::of(scratch.path()).unwrap();
        assert!(room.available <= room.total && room.total > 0, "{room:?}");
        let error = Room::of(Path::new("/absent/directory")).unwrap_err();
        assert!(error.to_string().contains("/absent/directory"), "{error}");
    }
}
