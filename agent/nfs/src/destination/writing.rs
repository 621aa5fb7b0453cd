//! Content on its way to a file: WRITEs, and the COMMIT that makes them last (RFC 1813 §3.3.7 and
//! §3.3.21).

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    BrokenOff, Crc64, Crc64Hasher, EndpointError, ErrorKind, Pace, PartStream, Payload,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::NfsDestination;
use crate::changes::{Verifier, Written};

/// WRITEs of one content in flight.
const WRITES: usize = 4;
/// How often a content is sent that a server forgets.
const SENDINGS_MAX: usize = 3;
/// What all WRITEs and the READs of content that is read back hold together, in KiB.
pub(super) const IN_HAND_KIB: usize = 16 << 10;

/// Zeros in whole blocks of so many bytes become holes.
const HOLE_BLOCK: usize = 64 << 10;

/// The zeros that `data` begins with, as far as they become a hole.
pub(super) fn leading_hole(data: &[u8]) -> usize {
    let blocks = data.chunks(HOLE_BLOCK);
    let zeros = blocks.take_while(|block| block.iter().all(|byte| *byte == 0));
    zeros.map(<[u8]>::len).sum()
}

/// Waits until so many bytes may be held.
///
/// # Errors
/// Never, as long as the destination is there.
pub(super) async fn held(
    in_hand: &Arc<Semaphore>,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, EndpointError> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let permits = Arc::clone(in_hand).acquire_many_owned(kib).await;
    permits
        .map_err(|error| EndpointError::new(ErrorKind::Unreachable, "WRITE", "", error.to_string()))
}

/// Bytes that are about to be written.
struct Slice {
    offset: u64,
    data: Bytes,
    _held: OwnedSemaphorePermit,
}

/// What WRITEs came to, together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sent {
    verifier: Option<Verifier>,
    /// The server was restarted in between.
    is_broken: bool,
    needs_commit: bool,
}

impl From<Written> for Sent {
    fn from(written: Written) -> Self {
        Self {
            verifier: Some(written.verifier),
            is_broken: false,
            needs_commit: !written.is_stable,
        }
    }
}

impl Sent {
    fn and(self, more: Self) -> Self {
        let verifiers = self.verifier.zip(more.verifier);
        let is_other = verifiers.is_some_and(|(known, other)| known != other);
        Self {
            verifier: more.verifier.or(self.verifier),
            is_broken: self.is_broken || more.is_broken || is_other,
            needs_commit: self.needs_commit || more.needs_commit,
        }
    }

    /// Whether everything is on stable storage once a COMMIT gave this verifier.
    fn is_kept(self, committed: Verifier) -> bool {
        !self.is_broken && self.verifier.is_none_or(|sent| sent == committed)
    }
}

impl NfsDestination {
    /// Writes a content at `offset` of a file; it is on stable storage afterwards.
    ///
    /// # Errors
    /// `Busy` if the server was restarted each time.
    pub(super) async fn write_payload(
        &self,
        file: &[u8],
        offset: u64,
        payload: &Payload,
    ) -> Result<(), EndpointError> {
        // One WRITE that lasts is cheaper than one and a COMMIT.
        let is_single = payload.chunks.len() <= 1 && payload.length <= u64::from(self.write_max());
        for _ in 0..SENDINGS_MAX {
            let chunks = stream::iter(payload.chunks.clone().into_iter().map(Ok));
            let pace = Arc::clone(&payload.pace);
            let sending = self.send(file, offset, Box::pin(chunks), (pace, is_single));
            if self.is_kept(file, Box::pin(sending).await?).await? {
                return Ok(());
            }
            tracing::info!("the NFS server was restarted: what it had not committed is sent again");
        }
        Err(restarted())
    }

    /// The same of what is read while it is sent. Gives the checksum of what was taken, and its
    /// length.
    ///
    /// # Errors
    /// `Busy` if the server was restarted: only its reader can give the content again.
    pub(super) async fn write_stream(
        &self,
        file: &[u8],
        offset: u64,
        part: PartStream,
    ) -> Result<(Crc64, u64), EndpointError> {
        let PartStream { chunks, pace, .. } = part;
        let mut taken = (Crc64Hasher::default(), 0);
        let counted = chunks.inspect_ok(|chunk| {
            taken.0.update(chunk);
            taken.1 += chunk.len() as u64;
        });
        let sent = Box::pin(self.send(file, offset, counted, (pace, false))).await?;
        if !self.is_kept(file, sent).await? {
            return Err(restarted());
        }
        Ok((taken.0.finish(), taken.1))
    }

    async fn is_kept(&self, file: &[u8], sent: Sent) -> Result<bool, EndpointError> {
        if sent.is_broken {
            return Ok(false);
        }
        if !sent.needs_commit {
            return Ok(true);
        }
        let committed = self.tree.changes().commit(file).await?;
        Ok(sent.is_kept(committed))
    }

    /// Sends everything once.
    async fn send(
        &self,
        file: &[u8],
        offset: u64,
        chunks: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + Unpin,
        (pace, is_single): (Arc<dyn Pace>, bool),
    ) -> Result<Sent, EndpointError> {
        self.slices(chunks, offset, pace)
            .map_ok(|slice| self.write_slice(file, slice, is_single))
            .try_buffer_unordered(WRITES)
            .try_fold(Sent::default(), async |sent, more| Ok(sent.and(more)))
            .await
    }

    /// The content in the order of its bytes, each slice with its grant. Zeros are left out, but for the
    /// last byte, which makes the file as long as it is to be: nothing is there yet, and what a file has
    /// not been given is read as zeros.
    fn slices<'a>(
        &'a self,
        chunks: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + Unpin + 'a,
        offset: u64,
        pace: Arc<dyn Pace>,
    ) -> impl Stream<Item = Result<Slice, EndpointError>> + Send + 'a {
        let write_max = self.write_max() as usize;
        let cutting = (chunks.fuse(), Bytes::new(), (offset, false), pace);
        stream::try_unfold(
            cutting,
            move |(mut chunks, mut front, (mut offset, mut in_hole), pace)| async move {
                while front.is_empty() {
                    match chunks.next().await {
                        Some(Ok(chunk)) => front = chunk,
                        Some(Err(broken)) => return Err(broken_off(broken)),
                        None if in_hole => {
                            front = Bytes::from_static(&[0]);
                            offset -= 1;
                            break;
                        }
                        None => return Ok(None),
                    }
                    let hole = leading_hole(&front);
                    offset += hole as u64;
                    front = front.split_off(hole);
                    in_hole = front.is_empty();
                }
                let asked = front.len().min(write_max).min(pace.slice_max().max(1));
                let held = held(&self.in_hand, asked).await?;
                let granted = match Arc::clone(&pace).grant(asked) {
                    Some(grant) => grant.await.clamp(1, asked),
                    None => asked,
                };
                let slice = Slice {
                    offset,
                    data: front.split_to(granted),
                    _held: held,
                };
                let next = offset + granted as u64;
                Ok(Some((slice, (chunks, front, (next, false), pace))))
            },
        )
    }

    /// Writes a slice, whatever number of WRITEs the server makes of it: one for each byte takes no more
    /// memory than one.
    async fn write_slice(
        &self,
        file: &[u8],
        slice: Slice,
        is_single: bool,
    ) -> Result<Sent, EndpointError> {
        let (mut offset, mut rest) = (slice.offset, slice.data);
        let mut sent = Sent::default();
        while !rest.is_empty() {
            let written = self
                .tree
                .changes()
                .write(file, offset, &rest, is_single)
                .await?;
            // At least one byte, and no more than there are.
            let count = (written.count as usize).min(rest.len());
            rest = rest.split_off(count);
            offset += count as u64;
            sent = sent.and(written.into());
        }
        Ok(sent)
    }
}

/// The error of what the server forgot: it is to be sent again.
pub(super) fn restarted() -> EndpointError {
    let detail = "the server was restarted before it had committed what was written: it is sent \
                  again";
    EndpointError::new(ErrorKind::Busy, "COMMIT", "", detail)
}

fn broken_off(broken: BrokenOff) -> EndpointError {
    EndpointError::new(ErrorKind::Invalid, "WRITE", "", broken.to_string()).caused_by(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(verifier: u8, is_stable: bool) -> Written {
        Written {
            count: 1,
            is_stable,
            verifier: [verifier; 8],
        }
    }

    #[test]
    fn zeros_become_holes_by_whole_blocks() {
        let mut data = vec![0; 3 * HOLE_BLOCK];
        assert_eq!(leading_hole(&data), data.len());
        assert_eq!(leading_hole(&data[..10]), 10, "all that there is");
        data[HOLE_BLOCK + 5] = 1;
        assert_eq!(leading_hole(&data), HOLE_BLOCK);
        data[0] = 1;
        assert_eq!(leading_hole(&data), 0);
        assert_eq!(leading_hole(&[]), 0);
    }

    #[test]
    fn what_was_written_in_two_lives_of_the_server_is_not_kept() {
        let sent = |all: &[Written]| {
            let all = all.iter().copied().map(Sent::from);
            all.fold(Sent::default(), Sent::and)
        };
        let one = sent(&[written(1, false), written(1, true)]);
        assert!(one.needs_commit && one.is_kept([1; 8]));
        assert!(!one.is_kept([2; 8]), "it was restarted before the COMMIT");
        assert!(!sent(&[written(1, true)]).needs_commit);
        let two = sent(&[written(1, false), written(2, false)]);
        assert!(two.is_broken && !two.is_kept([2; 8]));
        // Stable data of a life before is on disk, but not worth a rule of its own.
        assert!(sent(&[written(1, true), written(2, true)]).is_broken);
        assert!(!sent(&[]).is_broken);
        assert!(two.and(sent(&[])).is_broken && sent(&[]).and(two).is_broken);
        assert!(one.and(sent(&[])).is_kept([1; 8]));
    }
}
