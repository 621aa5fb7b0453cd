//! The candidates in the order in which they are deleted.

use std::collections::VecDeque;

use datasync_endpoint::Key;

use super::{Candidate, Candidates, CandidatesError};

/// Gives candidates in the order of their keys; of a tree a directory comes after what is in it.
#[derive(Debug)]
pub(super) struct Feed {
    candidates: Candidates,
    /// How far an earlier run of the process came.
    done: Option<Key>,
    order: Order,
    ready: VecDeque<Due>,
    is_at_end: bool,
}

/// A candidate whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) candidate: Candidate,
    /// How far deleting has come once this is deleted.
    pub(super) passed: Key,
}

impl Feed {
    pub(super) fn new(candidates: Candidates, done: Option<Key>, is_tree: bool) -> Self {
        let order = if is_tree {
            Order::DirectoriesLast(Vec::new())
        } else {
            Order::Keys
        };
        Self {
            candidates,
            done,
            order,
            ready: VecDeque::new(),
            is_at_end: false,
        }
    }

    /// At most `limit` more; none at the end.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<Due>, CandidatesError> {
        while self.ready.len() < limit && !self.is_at_end {
            let chunk = self.candidates.next_chunk(limit).await?;
            self.is_at_end = chunk.is_empty();
            for candidate in chunk {
                let done = self.done.as_ref();
                self.order.take(candidate, done, &mut self.ready);
            }
        }
        if self.is_at_end {
            self.order.leave(None, &mut self.ready);
        }
        let count = limit.min(self.ready.len());
        Ok(self.ready.drain(..count).collect())
    }
}

#[derive(Debug)]
enum Order {
    Keys,
    /// The directories that lead to the last key, which are candidates too.
    DirectoriesLast(Vec<Candidate>),
}

impl Order {
    /// Takes the next candidate in the order of keys. What is `done` is left out.
    fn take(&mut self, candidate: Candidate, done: Option<&Key>, ready: &mut VecDeque<Due>) {
        self.leave(Some(&candidate.key), ready);
        let is_due = |passed: &Key| done.is_none_or(|done| passed > done);
        if let Self::DirectoriesLast(open) = self
            && candidate.key.is_directory()
        {
            if is_due(&end_of(&candidate.key)) {
                open.push(candidate);
            }
            return;
        }
        let passed = candidate.key.clone();
        if is_due(&passed) {
            ready.push_back(Due { candidate, passed });
        }
    }

    /// Gives the directories that `next` is not in.
    fn leave(&mut self, next: Option<&Key>, ready: &mut VecDeque<Due>) {
        let Self::DirectoriesLast(open) = self else {
            return;
        };
        let leads_to = |directory: &Candidate| {
            next.is_some_and(|next| next.as_str().starts_with(directory.key.as_str()))
        };
        while let Some(directory) = open.pop_if(|directory| !leads_to(directory)) {
            let passed = end_of(&directory.key);
            ready.push_back(Due {
                candidate: directory,
                passed,
            });
        }
    }
}

/// A key after all that is in a directory.
fn end_of(directory: &Key) -> Key {
    directory.join("\u{10ffff}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 9] = [
        "a", "b/", "b/c", "b/d/", "b/d/e/", "b/d/e/f", "b/g", "h/", "i/j",
    ];

    fn all(is_tree: bool, done: Option<&Key>) -> Vec<Due> {
        let mut order = if is_tree {
            Order::DirectoriesLast(Vec::new())
        } else {
            Order::Keys
        };
        let mut ready = VecDeque::new();
        for key in KEYS {
            let candidate = Candidate {
                key: Key::from_listing(key.to_owned()),
                etag: String::new(),
            };
            order.take(candidate, done, &mut ready);
        }
        order.leave(None, &mut ready);
        ready.into()
    }

    fn keys(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.candidate.key.as_str()).collect()
    }

    #[test]
    fn directories_of_a_tree_come_after_what_is_in_them() {
        assert_eq!(keys(&all(false, None)), KEYS);
        let wanted = [
            "a", "b/c", "b/d/e/f", "b/d/e/", "b/d/", "b/g", "b/", "h/", "i/j",
        ];
        assert_eq!(keys(&all(true, None)), wanted);
    }

    #[test]
    fn a_restart_goes_on_after_what_was_done_and_nothing_else_is_left_out() {
        for is_tree in [false, true] {
            let whole = all(is_tree, None);
            for (place, due) in whole.iter().enumerate() {
                let rest = all(is_tree, Some(&due.passed));
                assert_eq!(rest, whole[place + 1..], "{is_tree} after {:?}", due.passed);
            }
        }
    }
}
