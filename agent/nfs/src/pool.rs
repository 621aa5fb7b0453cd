//! Buffers for replies, used again: fresh megabytes cost more CPU in page faults than the network.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Replies shorter than this are not worth a place in the pool.
const POOLED_MIN: usize = 32 << 10;
/// Capacity of the smallest buffers; each class doubles it.
const CLASS_MIN: usize = 64 << 10;
/// What a READ reply adds to its payload, rounded up.
const HEADER_ROOM: usize = 4 << 10;
/// 64 KiB to 4 MiB.
const CLASSES: usize = 7;
/// Bytes that may lie idle in one pool.
const IDLE_MAX: usize = 32 << 20;

#[derive(Debug, Default)]
struct Idle {
    classes: [Vec<Vec<u8>>; CLASSES],
    bytes: usize,
}

/// Idle buffers by size class; the classes double, so that a payload pins at most twice its size.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Idle>);

/// The class whose buffers hold `length` bytes.
fn class_of(length: usize) -> Option<usize> {
    if length < POOLED_MIN {
        return None;
    }
    (0..CLASSES).find(|class| length <= capacity_of(*class))
}

fn capacity_of(class: usize) -> usize {
    (CLASS_MIN << class) + HEADER_ROOM
}

impl Pool {
    fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let Some(class) = class_of(length) else {
            return Buffer {
                storage: vec![0; length],
                length: 0,
                home: None,
            };
        };
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.classes[class].pop();
        if found.is_some() {
            idle.bytes -= capacity_of(class);
        }
        drop(idle);
        Buffer {
            storage: found.unwrap_or_else(|| vec![0; capacity_of(class)]),
            length: 0,
            home: Some((Arc::clone(self), class)),
        }
    }

    fn give_back(&self, class: usize, storage: Vec<u8>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.bytes + capacity_of(class) <= IDLE_MAX {
            idle.bytes += capacity_of(class);
            idle.classes[class].push(storage);
        }
    }
}

/// A buffer that is being filled, then frozen; its storage goes back to its pool at the end.
#[derive(Debug)]
pub(crate) struct Buffer {
    storage: Vec<u8>,
    length: usize,
    home: Option<(Arc<Pool>, usize)>,
}

impl Buffer {
    /// An empty buffer without storage.
    pub(crate) fn empty() -> Self {
        Self {
            storage: Vec::new(),
            length: 0,
            home: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The next `more` bytes, to be overwritten in full by the caller; they count as filled.
    pub(crate) fn extend(&mut self, more: usize, pool: &Arc<Pool>) -> &mut [u8] {
        let start = self.length;
        let end = start + more;
        if end > self.storage.len() {
            let mut larger = pool.take(end);
            larger.storage[..start].copy_from_slice(&self.storage[..start]);
            *self = larger;
        }
        self.length = end;
        &mut self.storage[start..end]
    }

    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.storage[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some((pool, class)) = self.home.take() {
            pool.give_back(class, std::mem::take(&mut self.storage));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(pool: &Pool) -> usize {
        pool.0.lock().unwrap().bytes
    }

    #[test]
    fn storage_comes_back_when_the_last_slice_is_gone() {
        let pool = Arc::new(Pool::default());
        let mut buffer = Buffer::empty();
        buffer.extend(1 << 20, &pool).fill(7);
        let frozen = buffer.freeze();
        let slice = frozen.slice(1000..1004);
        drop(frozen);
        assert_eq!(idle(&pool), 0);
        assert_eq!(slice, [7; 4].as_slice());
        drop(slice);
        assert_eq!(idle(&pool), (1 << 20) + HEADER_ROOM);
        let again = pool.take(700 << 10);
        assert_eq!(idle(&pool), 0);
        drop(again);
        assert_eq!(idle(&pool), (1 << 20) + HEADER_ROOM);
    }

    #[test]
    fn growing_keeps_what_is_there() {
        let pool = Arc::new(Pool::default());
        let mut buffer = Buffer::empty();
        for piece in [3usize, 40 << 10, 100 << 10, 1 << 20] {
            let mark = u8::try_from(piece % 251).unwrap();
            buffer.extend(piece, &pool).fill(mark);
        }
        let bytes = buffer.freeze();
        assert_eq!(bytes.len(), 3 + (140 << 10) + (1 << 20));
        assert_eq!(bytes[..3], [3, 3, 3]);
        assert_eq!(usize::from(bytes[3]), (40 << 10) % 251);
        assert_eq!(usize::from(bytes[bytes.len() - 1]), (1 << 20) % 251);
    }

    #[test]
    fn idle_bytes_are_bounded() {
        let pool = Arc::new(Pool::default());
        let taken: Vec<Buffer> = (0..64).map(|_| pool.take(1 << 20)).collect();
        drop(taken);
        assert!(idle(&pool) <= IDLE_MAX);
        assert!(idle(&pool) > IDLE_MAX / 2);
    }
}
