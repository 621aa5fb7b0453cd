//! Steps of the merge: handed out, or known to need nothing.

use datasync_endpoint::{Destination, EntryPath, Key, ListedObject, Source};

use super::linking::has_names;
use super::scanning::{Scan, Work};
use super::{Ended, Engine};
use crate::deletes::{Candidate, Extra, judge};
use crate::journal::{Beside, Record};
use crate::lanes::Ticket;
use crate::merge::Step;
use crate::mover::LookBack;
use crate::outcome::{ItemFailure, Outcome};
use crate::report::ItemFacts;

/// Keys that are the key of no path are named up to a bound.
const STRANGE_KEYS_NAMED: u64 = 100;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn take(&mut self, step: Step, scan: &mut Scan) -> Result<(), Ended> {
        self.is_apart(&step).await?;
        let known = self.remembered(&step, scan).await;
        match step {
            Step::End => scan.merge_ended = true,
            Step::Entry(entry, listed) => {
                scan.facts.matched += u64::from(listed.is_some());
                scan.facts.source_has_entries |= !entry.key.as_str().is_empty();
                let failed = self.listed_outcome(&entry.key).await?;
                let look_back = match failed {
                    None => (self.mover).look_back(&entry, listed.as_ref(), known.as_deref()),
                    Some(_) => LookBack::Unsure,
                };
                if failed.is_none() && scan.gives_names && has_names(&entry) {
                    return self.defer((entry, listed, known), look_back, scan).await;
                }
                match look_back {
                    LookBack::AsItWas => return self.pass(entry.key, scan).await,
                    LookBack::Learned(learned) => {
                        self.learn(&entry.key, &learned).await;
                        return self.pass(entry.key, scan).await;
                    }
                    LookBack::Unsure => {}
                }
                let mut ticket = self
                    .hand(&entry.key, &entry.path, listed.is_some(), scan)
                    .await?;
                ticket.facts.attributes = Some(entry.node.attributes);
                ticket.facts.existed = (!self.is_blind()).then_some(listed.is_some());
                match failed {
                    Some(outcome) => self.record(ticket, outcome, None).await?,
                    None => self.start_item(ticket, Work::Met(entry, listed, known), scan),
                }
            }
            Step::Unread { directory, error } => {
                self.settle_passed(scan).await?;
                scan.shadow.cast(directory.key.clone());
                if !scan.before.unread.contains(&directory.key) {
                    self.report_unread(&directory, &error).await?;
                }
            }
            Step::Unknown { path, key, error } => {
                scan.facts.source_has_entries = true;
                scan.shadow.cast(key.join("/"));
                if scan
                    .before
                    .last_handed
                    .as_ref()
                    .is_some_and(|last| key <= *last)
                {
                    return Ok(());
                }
                let ticket = self.hand(&key, &path, false, scan).await?;
                let failure = ItemFailure::of_source(&error);
                self.record(ticket, Outcome::Failed(failure), None).await?;
            }
            Step::Extra(object) => self.take_extra(object, scan).await?,
        }
        Ok(())
    }

    async fn hand(
        &mut self,
        key: &Key,
        path: &EntryPath,
        exists: bool,
        scan: &mut Scan,
    ) -> Result<Ticket, Ended> {
        self.settle_passed(scan).await?;
        let number = scan.facts.next_number;
        scan.facts.next_number += 1;
        self.journal
            .append(Record::Handed {
                n: number,
                key: key.clone(),
                exists,
            })
            .await?;
        scan.kept.pass(Some(key)).await?;
        Ok(Ticket {
            number,
            key: key.clone(),
            path: path.clone(),
            facts: ItemFacts::default(),
        })
    }

    async fn take_extra(&mut self, object: ListedObject, scan: &mut Scan) -> Result<(), Ended> {
        let judged = judge(
            &object.key,
            &self.spec.options,
            &self.scope,
            &mut scan.shadow,
        );
        match judged {
            Extra::Candidate(_) => {}
            Extra::Kept => return Ok(()),
            Extra::Strange => {
                scan.strange_keys += 1;
                if scan.strange_keys <= STRANGE_KEYS_NAMED {
                    tracing::warn!(key = %object.key.as_str().escape_debug(), "not the key of any path: left alone");
                }
                return Ok(());
            }
        }
        scan.facts.candidates += 1;
        let candidate = Candidate {
            key: object.key,
            etag: object.etag,
        };
        self.progress.finish(&candidate.counted());
        let frame = candidate.to_frame().map_err(std::io::Error::from)?;
        self.disk.take(frame.len() as u64)?;
        Ok(self.journal.beside(Beside::Candidates, frame).await?)
    }
}
