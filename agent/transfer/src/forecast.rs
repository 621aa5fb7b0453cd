//! What an item costs in requests. Pure.

use datasync_endpoint::{Abilities, Attributes};
use datasync_model::{Options, PlannedRequests, VerifyMode};

use crate::plan::{Action, Content, PartLayout, SINGLE_PUT_MAX, content_of};

/// The limits that decide how many requests it takes.
#[derive(Debug)]
pub(crate) struct Prices<'a> {
    pub(crate) options: &'a Options,
    pub(crate) abilities: &'a Abilities,
    /// Bytes of one READ.
    pub(crate) read_max: u32,
}

impl Prices<'_> {
    /// The requests for an item. One that was proven before and stays as it is is not verified
    /// again.
    pub(crate) fn of(
        &self,
        source: &Attributes,
        action: &Action,
        is_proven: bool,
    ) -> PlannedRequests {
        let mut requests = match action {
            Action::Keep(_) | Action::Skip(_) => PlannedRequests::default(),
            Action::Metadata(_) => PlannedRequests {
                copy_object: 1,
                ..PlannedRequests::default()
            },
            Action::Copy(_) => self.written(source),
        };
        let verifies = self.options.verify_mode == VerifyMode::PointInTimeConsistent;
        if verifies && !(matches!(action, Action::Keep(_)) && is_proven) {
            requests.head_object += 1;
            requests.add(&self.verified(source));
        }
        requests
    }

    fn reads(&self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.read_max.max(1))).max(1)
    }

    fn written(&self, source: &Attributes) -> PlannedRequests {
        let size = source.size;
        let whole = PlannedRequests {
            put_object: 1,
            ..PlannedRequests::default()
        };
        match content_of(source.kind, self.options) {
            Some(Content::File) if size > SINGLE_PUT_MAX.min(self.abilities.put_max) => {
                let parts = PartLayout::of(size, self.abilities.parts_max).parts();
                let reads = parts.map(|(_, _, length)| self.reads(length));
                let (mut upload_part, mut read) = (0, 0);
                for of_part in reads {
                    upload_part += 1;
                    read += of_part;
                }
                PlannedRequests {
                    read,
                    getattr: 2,
                    multipart_upload: 1,
                    upload_part,
                    ..PlannedRequests::default()
                }
            }
            Some(Content::File) => {
                let read = self.reads(size);
                PlannedRequests {
                    read,
                    getattr: u64::from(read > 1),
                    ..whole
                }
            }
            Some(Content::LinkTarget) => PlannedRequests {
                readlink: 1,
                ..whole
            },
            Some(Content::Empty) | None => whole,
        }
    }

    /// What reading an item once more takes.
    fn verified(&self, source: &Attributes) -> PlannedRequests {
        match content_of(source.kind, self.options) {
            Some(Content::File) => PlannedRequests {
                read: if source.size == 0 {
                    0
                } else {
                    self.reads(source.size)
                },
                getattr: 1,
                ..PlannedRequests::default()
            },
            Some(Content::LinkTarget) => PlannedRequests {
                readlink: 1,
                ..PlannedRequests::default()
            },
            Some(Content::Empty) | None => PlannedRequests::default(),
        }
    }
}
