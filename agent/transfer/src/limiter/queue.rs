//! Deficit round robin: who is served next. Pure.

use std::collections::{HashMap, VecDeque};

/// Bytes that a stream earns each time the round comes to it: small, so that a stream of large
/// slices waits while the others have asked for as much.
const QUANTUM: u64 = 4 * 1024;

/// Requests of many streams.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    streams: HashMap<u64, Waiting<T>>,
    /// Streams that have requests, the next one first.
    round: VecDeque<u64>,
    len: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    deficit: u64,
    requests: VecDeque<(u64, T)>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            streams: HashMap::new(),
            round: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, stream: u64, bytes: u64, request: T) {
        let waiting = self.streams.entry(stream).or_insert_with(|| {
            self.round.push_back(stream);
            Waiting {
                deficit: 0,
                requests: VecDeque::new(),
            }
        });
        waiting.requests.push_back((bytes, request));
        self.len += 1;
    }

    /// The next request that `is_wanted`; others are dropped without costing their stream. A
    /// request costs at most `bytes_max`: no more is served of it.
    pub(super) fn pop(&mut self, bytes_max: u64, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        while let Some(stream) = self.round.pop_front() {
            let Some(waiting) = self.streams.get_mut(&stream) else {
                continue;
            };
            while waiting
                .requests
                .front()
                .is_some_and(|(_, request)| !is_wanted(request))
            {
                waiting.requests.pop_front();
                self.len -= 1;
            }
            let Some((bytes, _)) = waiting.requests.front() else {
                self.streams.remove(&stream);
                continue;
            };
            let bytes = (*bytes).min(bytes_max);
            if waiting.deficit < bytes {
                waiting.deficit += QUANTUM;
            }
            if waiting.deficit < bytes {
                self.round.push_back(stream);
                continue;
            }
            waiting.deficit -= bytes;
            let served = waiting.requests.pop_front();
            self.len -= 1;
            if waiting.requests.is_empty() {
                self.streams.remove(&stream);
            } else {
                self.round.push_back(stream);
            }
            return served.map(|(_, request)| request);
        }
        None
    }
}
