//! Listing a directory, page by page.
//!
//! A cookie is the file system's own position in the directory, so a page costs its entries and
//! not those before it, and pages go on where they left off however the directory changes.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::Arc;

use nfs3_server::vfs::{DirEntryPlus, FileHandleU64, NextResult, ReadDirPlusIterator};
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::nfs3::nfsstat3::NFS3ERR_BAD_COOKIE;
use rustix::fs::{AtFlags, FileType, RawDir, SeekFrom, seek, statat};

use super::attributes::attributes;
use super::nodes::Identity;
use super::{Shared, blocking, status};

/// Entries read from the disk in one step.
const BATCH: usize = 128;

type Entry = DirEntryPlus<FileHandleU64>;

pub(super) struct Entries {
    shared: Arc<Shared>,
    directory: u64,
    cookie: u64,
    ready: VecDeque<Entry>,
    ended: bool,
}

impl Entries {
    /// Reads the first batch at once, so that a bad handle or cookie is known before the reply.
    pub(super) async fn open(
        shared: Arc<Shared>,
        directory: u64,
        cookie: u64,
    ) -> Result<Self, nfsstat3> {
        let ready = VecDeque::new();
        let mut entries = Self {
            shared,
            directory,
            cookie,
            ready,
            ended: false,
        };
        entries.fill().await?;
        Ok(entries)
    }

    async fn fill(&mut self) -> Result<(), nfsstat3> {
        let (directory, cookie) = (self.directory, self.cookie);
        let work = move |shared: &Arc<Shared>| shared.entries(directory, cookie);
        let batch = blocking(self.shared.clone(), work).await?;
        self.ended = batch.len() < BATCH;
        self.cookie = batch.last().map_or(cookie, |entry| entry.cookie);
        self.ready = batch.into();
        Ok(())
    }
}

impl ReadDirPlusIterator<FileHandleU64> for Entries {
    async fn next(&mut self) -> NextResult<Entry> {
        if self.ready.is_empty()
            && !self.ended
            && let Err(status) = self.fill().await
        {
            return NextResult::Err(status);
        }
        self.ready
            .pop_front()
            .map_or(NextResult::Eof, NextResult::Ok)
    }
}

impl Shared {
    /// Up to [`BATCH`] entries behind a cookie, without `.` and `..`.
    fn entries(&self, id: u64, cookie: u64) -> Result<Vec<Entry>, nfsstat3> {
        let (directory, _) = self.open(id, FileType::Directory)?;
        if cookie != 0 {
            seek(&directory, SeekFrom::Start(cookie)).map_err(|_| NFS3ERR_BAD_COOKIE)?;
        }
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut listing = RawDir::new(&directory, &mut buffer);
        let mut entries = Vec::with_capacity(BATCH);
        while entries.len() < BATCH {
            let Some(entry) = listing.next() else { break };
            let entry = entry.map_err(status)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // Gone since it was listed: the entry stays, without attributes and handle.
            let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
            let handle = stat
                .as_ref()
                .map(|stat| self.nodes.intern(id, name, Identity::of(stat)));
            entries.push(Entry {
                fileid: entry.ino(),
                name: name.to_vec().into(),
                cookie: entry.next_entry_cookie(),
                name_attributes: stat.as_ref().map(attributes),
                name_handle: handle.map(FileHandleU64::new),
            });
        }
        Ok(entries)
    }
}
