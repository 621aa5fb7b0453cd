//! The merge of sorted runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::run::RunReader;
use super::{SortError, Sortable};

/// Merges runs; of equal segments the one of the earliest run comes first.
pub(super) struct Merge<T> {
    runs: Vec<RunReader<T>>,
    heads: Vec<Option<T>>,
    /// Segment of a head, index of its run.
    order: BinaryHeap<Reverse<(String, usize)>>,
}

impl<T: Sortable> Merge<T> {
    pub(super) fn new(runs: Vec<RunReader<T>>) -> Result<Self, SortError> {
        let heads = runs.iter().map(|_| None).collect();
        let mut merge = Self {
            heads,
            order: BinaryHeap::new(),
            runs,
        };
        for index in 0..merge.runs.len() {
            merge.advance(index)?;
        }
        Ok(merge)
    }

    pub(super) fn next(&mut self) -> Result<Option<T>, SortError> {
        let Some(Reverse((_, index))) = self.order.pop() else {
            return Ok(None);
        };
        let item = self.heads.get_mut(index).and_then(Option::take);
        self.advance(index)?;
        Ok(item)
    }

    fn advance(&mut self, index: usize) -> Result<(), SortError> {
        if let (Some(run), Some(head)) = (self.runs.get_mut(index), self.heads.get_mut(index)) {
            *head = run.next()?;
            if let Some(item) = head {
                self.order.push(Reverse((item.segment().to_owned(), index)));
            }
        }
        Ok(())
    }
}
