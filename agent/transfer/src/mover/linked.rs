//! One name of a file that has several: the first is transferred, the others become names of what
//! that has become.

mod leader;

use std::sync::atomic::Ordering;

use datasync_endpoint::{
    Attributes, Destination, EndpointError, ErrorKind, Key, ListedObject, ObjectIdentifier,
    ObjectState, Source, is_same_entry,
};
use datasync_model::{ErrorCode, OverwriteMode};
use tokio::time::Instant;

use super::{Mover, Resumed, TRIES, skip_failure};
use crate::catalog::Entry;
use crate::journal::JournalError;
use crate::links::Name;
use crate::locate::locate;
use crate::outcome::{ItemFailure, Outcome, Write};
use crate::plan::{Facts, SkipReason};
use crate::waits::Wait;
use crate::walk::SourceEntry;
use leader::Lead;
pub(crate) use leader::{Leader, LinkedName};

/// What following a leader came to.
enum Followed {
    Done(Outcome),
    /// The name is one of another file by now.
    Apart(Box<SourceEntry>),
    /// The leader's file is another by now, or can have no further name.
    Leaderless,
}

type Done = Result<(Outcome, Option<u64>), JournalError>;

impl<S: Source, D: Destination> Mover<S, D> {
    /// Does what one name needs. As long as nobody leads, one name at a time tries to.
    ///
    /// # Errors
    /// As [`Mover::handle`].
    pub(crate) async fn link(&self, mut item: LinkedName) -> Done {
        let mut lead = match item.lead.take() {
            Some(lead) => lead,
            None => item.leader.clone().lock_owned().await,
        };
        for _ in 0..TRIES {
            let Some(leader) = lead.clone() else { break };
            let looked_at = match self.looked_at(leader, &item.name.entry).await {
                Ok(found) => found,
                Err(failure) => return Ok((Outcome::Failed(failure), None)),
            };
            *lead = looked_at.as_ref().map(|(leader, _)| leader.clone());
            let Some((leader, etag)) = looked_at else {
                break;
            };
            drop(lead);
            match self.follow(&item.name, &leader, &etag).await {
                Followed::Done(outcome) => {
                    let is_moved = matches!(outcome, Outcome::Transferred { .. });
                    return Ok((outcome, is_moved.then_some(0)));
                }
                Followed::Apart(entry) => {
                    let listed = item.name.listed.as_ref();
                    return Box::pin(self.handle(&entry, listed, None)).await;
                }
                Followed::Leaderless => {}
            }
            lead = item.leader.clone().lock_owned().await;
            if lead.as_ref().is_some_and(|now| now.key == leader.key) {
                *lead = None;
            }
        }
        self.lead(&item, lead).await
    }

    /// Transfers a name as an item of its own; what comes of it leads.
    async fn lead(&self, item: &LinkedName, mut lead: Lead) -> Done {
        let Name {
            entry,
            listed,
            known,
            ..
        } = &item.name;
        let done = match item.resumed {
            _ if item.name.is_current => (Outcome::Unchanged { learned: None }, None),
            Some(was_uploading) => {
                let resumed = Resumed {
                    entry: entry.clone(),
                    existed: listed.is_some(),
                    was_uploading,
                };
                Box::pin(self.resume(&resumed)).await?
            }
            None => {
                let facts = Facts {
                    own_names: item.own_names,
                    ..self.facts(entry, listed.as_ref(), known.as_deref())
                };
                Box::pin(self.carry_out(entry, facts)).await?
            }
        };
        *lead = Leader::after(&item.name, &done.0);
        Ok(done)
    }

    /// A leader and the ETag of its file; `None` if what is there is not what it is to be. `entry` is a
    /// name of the file at the source.
    async fn looked_at(
        &self,
        leader: Leader,
        entry: &SourceEntry,
    ) -> Result<Option<(Leader, String)>, ItemFailure> {
        if let Some(etag) = leader.etag.clone() {
            return Ok(Some((leader, etag)));
        }
        let found = self.stat(&leader.key).await;
        let found = found.map_err(|error| ItemFailure::of_destination(&error))?;
        let wanted = self.wanted(&leader.source);
        let agrees = |found: &ObjectState| {
            wanted.agrees_with(&found.metadata) && found.size == leader.source.size
        };
        let Some(found) = found.filter(agrees) else {
            return Ok(None);
        };
        // Without times only the content tells a copy from somebody's file of the same size.
        if wanted.mtime.is_none()
            && !leader.is_written
            && !self.is_copy_of(entry, (&leader.key, &found)).await?
        {
            return Ok(None);
        }
        let etag = Some(found.etag.clone());
        Ok(Some((Leader { etag, ..leader }, found.etag)))
    }

    async fn is_copy_of(
        &self,
        entry: &SourceEntry,
        (key, found): (&Key, &ObjectState),
    ) -> Result<bool, ItemFailure> {
        let source = self.verifier.source_like(entry, found.checksum).await?;
        match self.holds(key, found, &source).await {
            Err(other) if other.failure.code == ErrorCode::ChecksumMismatch => Ok(false),
            held => held,
        }
    }

    /// Sees to it that a name is one of the leader's file, which has this ETag.
    async fn follow(&self, name: &Name, leader: &Leader, etag: &str) -> Followed {
        let present = match self.present(name, leader).await {
            Ok(present) => present,
            Err(failed) => return failed,
        };
        let entry = present.as_deref().unwrap_or(&name.entry);
        let is_protected = self.options.overwrite_mode == OverwriteMode::Never;
        match &name.listed {
            Some(_) if is_protected => {
                let reason = skip_failure(SkipReason::OverwriteProtected);
                Followed::Done(Outcome::Skipped(reason))
            }
            Some(listed) if name.is_current && !leader.is_written && listed.etag == etag => {
                Followed::Done(Outcome::Unchanged { learned: None })
            }
            Some(listed) if is_same_entry(&listed.etag, etag) => {
                match self.stat(&entry.key).await {
                    Ok(Some(found)) if is_same_entry(&found.etag, etag) => {
                        Followed::Done(self.had(entry, listed, &found, leader))
                    }
                    Ok(_) => self.join(entry, leader, etag).await,
                    Err(error) => {
                        let failure = ItemFailure::of_destination(&error);
                        Followed::Done(Outcome::Failed(failure))
                    }
                }
            }
            _ => self.join(entry, leader, etag).await,
        }
    }

    /// The outcome of a name that leads to the leader's file already. If that has new metadata, so has
    /// the name.
    fn had(
        &self,
        entry: &SourceEntry,
        listed: &ListedObject,
        found: &ObjectState,
        leader: &Leader,
    ) -> Outcome {
        let attributes = entry.node.attributes;
        let learned = Entry::found(&attributes, listed, found).map(Box::new);
        if let Some(lacks) = &leader.lacks {
            return Outcome::Failed(lacks.clone());
        }
        if !leader.is_written {
            return Outcome::Unchanged { learned };
        }
        let write = write(attributes, leader, false);
        Outcome::Transferred {
            bytes: 0,
            learned,
            write: Box::new(write),
        }
    }

    /// The entry of a name as it is now, if it was met in another state than the leader: `None` if it
    /// was not.
    async fn present(
        &self,
        name: &Name,
        leader: &Leader,
    ) -> Result<Option<Box<SourceEntry>>, Followed> {
        let entry = &name.entry;
        if is_one_file(&entry.node.attributes, &leader.source) {
            return Ok(None);
        }
        let failed = |failure| Followed::Done(Outcome::Failed(failure));
        let locating = locate(&*self.source, &entry.path, false, &self.attempts);
        let found = self.waits().during(Wait::Source, Box::pin(locating)).await;
        let found = found.map_err(|error| failed(ItemFailure::of_source(&error)))?;
        let node = found.filter(|node| self.is_same_kind(&entry.node, node));
        let node = node.ok_or_else(|| failed(ItemFailure::vanished()))?;
        let is_one = is_one_file(&node.attributes, &leader.source);
        let present = Box::new(SourceEntry {
            node,
            ..entry.clone()
        });
        if is_one {
            Ok(Some(present))
        } else {
            Err(Followed::Apart(present))
        }
    }

    /// Gives the leader's file the name.
    async fn join(&self, entry: &SourceEntry, leader: &Leader, etag: &str) -> Followed {
        let to = ObjectIdentifier {
            key: leader.key.clone(),
            etag: etag.to_owned(),
        };
        let only_if_absent = self.options.overwrite_mode == OverwriteMode::Never;
        let began = Instant::now();
        let linking = self
            .attempts
            .run(|| self.destination.link(&entry.key, &to, only_if_absent));
        let receipt = match self.waits().during(Wait::Destination, linking).await {
            Ok(receipt) => receipt,
            Err(error) => return self.not_joined(&error, only_if_absent),
        };
        if let Some(lacks) = &leader.lacks {
            return Followed::Done(Outcome::Failed(lacks.clone()));
        }
        let attributes = entry.node.attributes;
        let content = (attributes.size, leader.crc64);
        let wanted = self.wanted(&attributes);
        let learned = Entry::written(&attributes, &wanted, content, &receipt, began.elapsed());
        Followed::Done(Outcome::Transferred {
            bytes: 0,
            learned: learned.map(Box::new),
            write: Box::new(write(attributes, leader, true)),
        })
    }

    fn not_joined(&self, error: &EndpointError, only_if_absent: bool) -> Followed {
        match error.kind {
            ErrorKind::Precondition if only_if_absent => {
                let reason = skip_failure(SkipReason::OverwriteProtected);
                Followed::Done(Outcome::Skipped(reason))
            }
            ErrorKind::NotFound => Followed::Leaderless,
            ErrorKind::NotSupported => {
                if !self.has_told_of_links.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "a file gets no further name at the destination: its names become files of their own");
                }
                Followed::Leaderless
            }
            _ => Followed::Done(Outcome::Failed(ItemFailure::of_destination(error))),
        }
    }
}

/// What became of a name of the leader's file.
fn write(attributes: Attributes, leader: &Leader, is_content: bool) -> Write {
    Write {
        attributes,
        size: attributes.size,
        is_content,
        crc64: leader.crc64,
        checksum: None,
        version_id: None,
    }
}

/// Whether two names that were met like this are of one file in one state. File ids alone are not
/// believed: some servers give them twice.
fn is_one_file(one: &Attributes, other: &Attributes) -> bool {
    let is_linked = one.nlink > 1 && other.nlink > 1;
    is_linked && one.fsid == other.fsid && one.fingerprint() == other.fingerprint()
}
