//! What is there: states, and contents that are read back.

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Crc64Hasher, EndpointError, EntryKind, ErrorKind, Handle, Key, Node, ObjectState,
    ReadBack, Source,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::NfsDestination;
use super::writing::held;
use crate::changes::NewAttributes;

/// READs of one content in flight.
const READS: usize = 4;

/// Bytes of a file that are about to be read.
struct Range {
    offset: u64,
    length: usize,
    held: OwnedSemaphorePermit,
}

impl NfsDestination {
    pub(super) async fn state(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let Some(node) = self.entry(key).await? else {
            return Ok(None);
        };
        let mut state = ObjectState::of_entry(&node.attributes);
        if !self.tree.extended_kinds().is_none() {
            state.extended = Some(Box::new(self.tree.extended(&node).await?));
        }
        Ok(Some(state))
    }

    pub(super) async fn content(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let Some(found) = self.entry(key).await? else {
            let detail = "there is no such entry";
            return Err(self.fault(ErrorKind::NotFound, "LOOKUP", key, detail));
        };
        match found.attributes.kind {
            EntryKind::File => {
                let read = self.read_file(&found.handle, found.attributes.size).await?;
                self.restore_atime(&found).await?;
                Ok(read)
            }
            EntryKind::Symlink => {
                let target = self.tree.read_link(&found.handle).await?;
                Ok(ReadBack {
                    size: target.len() as u64,
                    crc64: Crc64::of(&target),
                })
            }
            EntryKind::Directory
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::BlockDevice
            | EntryKind::CharDevice => Ok(ReadBack {
                size: 0,
                crc64: Crc64::EMPTY,
            }),
        }
    }

    /// Undoes what reading did to the time of access, where the server lets us: files that others own
    /// are not ours to change.
    async fn restore_atime(&self, before: &Node) -> Result<(), EndpointError> {
        let after = self.tree.attributes(&before.handle).await?;
        if after.atime == before.attributes.atime {
            return Ok(());
        }
        let atime = NewAttributes {
            atime: Some(before.attributes.atime),
            ..NewAttributes::default()
        };
        let changes = self.tree.changes();
        let set = changes.set_attributes(&before.handle.0, &atime, None).await;
        match set {
            Err(error) if error.kind != ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads a file back that has no name yet: what is read later would change its time of access.
    ///
    /// # Errors
    /// `ChecksumRefused` if it does not hold what was sent.
    pub(super) async fn holds(
        &self,
        key: &Key,
        file: &Bytes,
        sent: ReadBack,
    ) -> Result<(), EndpointError> {
        let found = self.read_file(&Handle(file.clone()), sent.size).await?;
        self.is_sent(key, sent, found)
    }

    /// # Errors
    /// `ChecksumRefused` if what was read back is not what was sent.
    pub(super) fn is_sent(
        &self,
        key: &Key,
        sent: ReadBack,
        found: ReadBack,
    ) -> Result<(), EndpointError> {
        if found == sent {
            return Ok(());
        }
        let detail = format!(
            "{} bytes with the CRC-64 {:016x} were sent, {} with {:016x} are read back",
            sent.size, sent.crc64.0, found.size, found.crc64.0
        );
        Err(self.fault(ErrorKind::ChecksumRefused, "READ", key, detail))
    }

    /// Reads `size` bytes, or those that there are.
    async fn read_file(&self, file: &Handle, size: u64) -> Result<ReadBack, EndpointError> {
        let reads = self
            .ranges(size)
            .map_ok(|range| self.read_range(file, range))
            .try_buffered(READS);
        let mut reads = Box::pin(reads);
        let (mut hasher, mut length) = (Crc64Hasher::default(), 0);
        while let Some((chunks, asked, _held)) = reads.next().await.transpose()? {
            let before = length;
            for chunk in chunks {
                hasher.update(&chunk);
                length += chunk.len() as u64;
            }
            // The end of the file, wherever its size has it.
            if length - before < asked {
                break;
            }
        }
        Ok(ReadBack {
            size: length,
            crc64: hasher.finish(),
        })
    }

    /// Ranges in the order of the bytes, so that the one that is waited for holds what it needs.
    fn ranges(&self, size: u64) -> impl Stream<Item = Result<Range, EndpointError>> + Send + '_ {
        let step = u64::from(self.tree.read_max().max(1));
        stream::try_unfold(0, move |offset| async move {
            if offset >= size {
                return Ok(None);
            }
            let length = step.min(size - offset);
            let bytes = usize::try_from(length).unwrap_or(usize::MAX);
            let held = held(&self.in_hand, bytes).await?;
            let range = Range {
                offset,
                length: bytes,
                held,
            };
            Ok(Some((range, offset + length)))
        })
    }

    /// A range, in as many READs as the server makes of it, and its length; less at the end of the file.
    async fn read_range(
        &self,
        file: &Handle,
        range: Range,
    ) -> Result<(Vec<Bytes>, u64, OwnedSemaphorePermit), EndpointError> {
        let Range {
            mut offset,
            mut length,
            held,
        } = range;
        let whole = length as u64;
        let mut chunks = Vec::with_capacity(1);
        while length > 0 {
            let asked = u32::try_from(length).unwrap_or(u32::MAX);
            let reply = self.tree.read(file, offset, asked).await?;
            let read = reply.data.len().min(length);
            if read > 0 {
                chunks.push(reply.data.slice(..read));
            }
            offset += read as u64;
            length -= read;
            if reply.eof || read == 0 {
                break;
            }
        }
        Ok((chunks, whole, held))
    }
}
