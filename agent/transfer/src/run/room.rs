//! The disk space that an execution is granted at its start.

use std::io;
use std::path::Path;

use tokio::fs;

use super::{Ended, Settings};
use crate::catalog::Catalog;
use crate::disk::{Demand, Disk, Room};
use crate::journal::Journal;

/// Looks whether there is room for an execution. One that was begun goes on with what is left.
pub(super) async fn granted(
    directory: &Path,
    failures: &Path,
    settings: &Settings,
) -> Result<Disk, Ended> {
    let entries = match &settings.catalog_file {
        Some(file) => Catalog::entries(file).await,
        None => None,
    };
    let mut written = sum(directory).await?;
    if failures.parent() != Some(directory) {
        written += fs::metadata(failures).await.map_or(0, |list| list.len());
    }
    let demand = Demand {
        known: 0,
        entries,
        written,
        max: settings.state_disk_max_bytes,
    };
    let room = Room::of(directory)?;
    let allowed = if Journal::exists(directory).await? {
        demand.allowed(room)
    } else {
        demand.admitted(room, directory)?
    };
    Ok(Disk::new(allowed, written))
}

/// Of the files of a directory, in bytes.
async fn sum(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut files = fs::read_dir(directory).await?;
    while let Some(file) = files.next_entry().await? {
        sum += file.metadata().await?.len();
    }
    Ok(sum)
}
