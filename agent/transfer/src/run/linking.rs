//! The stage that gives files their further names, and what it is begun with: see [`crate::links`].

use std::sync::Arc;

use datasync_endpoint::{Destination, EntryKind, ListedObject, Source};
use datasync_model::Counters;
use futures::FutureExt;
use tokio::sync::Mutex;
use tokio::task::yield_now;

use super::scanning::{Done, Scan, ScanFacts};
use super::{Ended, Engine};
use crate::catalog::Entry;
use crate::journal::{Beside, Record, Stage, State};
use crate::lanes::{Lane, Lanes, Ticket};
use crate::links::{Name, Names, is_one_file, own_names, stays};
use crate::mover::{Leader, LinkedName, LookBack, Mover};
use crate::outcome::Outcome;
use crate::plan::SINGLE_PUT_MAX;
use crate::report::ItemFacts;
use crate::sorter::Spill;
use crate::walk::SourceEntry;

/// Names in a row that are as they were share a record, at most so many.
const TOGETHER: u64 = 1024;

/// Whether an entry is one of several names of a file, for all that its server says.
pub(super) fn has_names(entry: &SourceEntry) -> bool {
    let attributes = &entry.node.attributes;
    attributes.kind == EntryKind::File && attributes.nlink > 1
}

/// The names of the file whose turn it is.
struct Family {
    first: Name,
    leader: Arc<Mutex<Option<Leader>>>,
    /// Whether the first name is as it was and leads.
    is_at_rest: bool,
    /// So many names share what the destination has of the first one.
    own_names: u32,
}

impl Family {
    fn new(first: Name, leader: Option<Leader>, (is_at_rest, own_names): (bool, u32)) -> Self {
        Self {
            first,
            leader: Arc::new(Mutex::new(leader)),
            is_at_rest,
            own_names,
        }
    }

    /// How many names share what the destination has of this one, as far as is known.
    fn own_names(&self, name: &Name) -> u32 {
        match is_one_file(name, &self.first) {
            true => self.own_names,
            false => 1,
        }
    }

    /// Makes a name the leader if there is none, and none is in the making.
    fn suggest(&self, leader: Option<Leader>) {
        if let Ok(mut lead) = self.leader.try_lock()
            && lead.is_none()
        {
            *lead = leader;
        }
    }
}

/// A name that an earlier run of the process has dealt with leads, if that was not in vain.
fn leader_after(name: &Name, listed: Option<&Outcome>) -> Option<Leader> {
    let has_failed = matches!(listed, Some(Outcome::Failed(_)));
    (!has_failed).then(|| Leader::of(name))
}

/// The stage as far as it got.
struct Linking {
    names: Names,
    lanes: Lanes<LinkedName, Done>,
    /// The number of the next name, as an item.
    next: u64,
    /// The number of the first name that no run of the process has begun.
    begun: u64,
    family: Option<Family>,
    /// Names in a row that are as they were, of which the journal does not know yet.
    kept: u64,
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Keeps a name for later.
    pub(super) async fn defer(
        &mut self,
        (entry, listed, known): (SourceEntry, Option<ListedObject>, Option<Box<Entry>>),
        look_back: LookBack,
        scan: &mut Scan,
    ) -> Result<(), Ended> {
        self.settle_passed(scan).await?;
        let (key, exists) = (entry.key.clone(), listed.is_some());
        let is_current = match look_back {
            LookBack::Unsure => false,
            LookBack::AsItWas => true,
            LookBack::Learned(learned) => {
                self.learn(&key, &learned).await;
                true
            }
        };
        let frame = Name::new(entry, listed, is_current, known).to_frame();
        self.disk.take(frame.len() as u64)?;
        self.journal.beside(Beside::Names, frame).await?;
        scan.facts.deferred += 1;
        scan.kept.pass(Some(&key)).await?;
        Ok(self
            .journal
            .append(Record::Deferred { key, exists })
            .await?)
    }

    /// `facts` are absent if the scan ended in an earlier run of the process.
    pub(super) async fn link_names(
        &mut self,
        state: &State,
        facts: Option<&ScanFacts>,
    ) -> Result<(), Ended> {
        let count = facts.map_or(state.deferred, |facts| facts.deferred);
        if count == 0 {
            return Ok(());
        }
        let begun = facts.map_or(state.next_number, |facts| facts.next_number);
        let first = facts.map_or(state.first_name, |facts| Some(facts.next_number));
        if facts.is_some() {
            self.enter(Stage::Link).await?;
        }
        let mut linking = Linking {
            names: self.sorted_names(count).await?,
            lanes: Lanes::new(),
            next: first.unwrap_or(begun),
            begun,
            family: None,
            kept: 0,
        };
        let mover = self.mover.clone();
        let mut has_ended = false;
        loop {
            while let Some(Some((ticket, done))) = linking.lanes.next().now_or_never() {
                self.finish(ticket, done).await?;
            }
            linking
                .lanes
                .start_waiting(|work| link(mover.clone(), work));
            if has_ended || !linking.lanes.has_room() {
                match linking.lanes.next().await {
                    Some((ticket, done)) => self.finish(ticket, done).await?,
                    None => return Ok(()),
                }
                continue;
            }
            // Sorted from our own disk: nobody else is waited for.
            match linking.names.next().await? {
                Some(name) => self.take_name(name, state, &mut linking).await?,
                None => {
                    has_ended = true;
                    self.settle_kept(&mut linking).await?;
                }
            }
        }
    }

    async fn sorted_names(&self, count: u64) -> Result<Names, Ended> {
        let _work = self.progress.local_work();
        Ok(Names::sort(
            &self.directory,
            count,
            self.names_spill(),
            self.walk_memory(),
        )
        .await?)
    }

    pub(super) fn names_spill(&self) -> Spill {
        Spill {
            directory: self.spill(),
            disk: self.disk.clone(),
            keeps_names: false,
        }
    }

    async fn take_name(
        &mut self,
        name: Name,
        state: &State,
        linking: &mut Linking,
    ) -> Result<(), Ended> {
        let number = linking.next;
        linking.next += 1;
        let was_begun = number < linking.begun;
        let is_pending = was_begun && state.pending.contains_key(&number);
        let is_first = linking
            .family
            .as_ref()
            .is_none_or(|family| family.first.file() != name.file());
        if was_begun && !is_pending {
            return self.look_back_at(name, is_first, linking).await;
        }
        let family = linking.family.as_ref().filter(|_| !is_first);
        let stays_with = |family: &Family| family.is_at_rest && stays(&name, &family.first);
        let stays = !is_pending && family.map_or(name.is_current, stays_with);
        if is_first {
            let leader = stays.then(|| Leader::of_listed(&name));
            let facts = (stays, own_names(&name, linking.names.ahead()));
            linking.family = Some(Family::new(name.clone(), leader, facts));
        }
        if stays {
            linking.kept += 1;
            if linking.kept >= TOGETHER {
                self.settle_kept(linking).await?;
                yield_now().await;
            }
            return Ok(());
        }
        self.begin_name(number, name, is_first, state, linking)
            .await
    }

    /// A name that an earlier run of the process has dealt with.
    async fn look_back_at(
        &mut self,
        name: Name,
        is_first: bool,
        linking: &mut Linking,
    ) -> Result<(), Ended> {
        let outcome = self.listed_outcome(name.key()).await?;
        let leader = leader_after(&name, outcome.as_ref());
        match &linking.family {
            Some(family) if !is_first => family.suggest(leader),
            _ => {
                let facts = (false, own_names(&name, linking.names.ahead()));
                linking.family = Some(Family::new(name, leader, facts));
            }
        }
        Ok(())
    }

    async fn begin_name(
        &mut self,
        number: u64,
        name: Name,
        is_first: bool,
        state: &State,
        linking: &mut Linking,
    ) -> Result<(), Ended> {
        self.settle_kept(linking).await?;
        let Some(family) = &linking.family else {
            return Ok(());
        };
        let mut ticket = Ticket {
            number,
            key: name.key().clone(),
            path: name.entry.path.clone(),
            facts: ItemFacts::of(name.entry.node.attributes),
        };
        ticket.facts.existed = (!self.is_blind()).then_some(name.listed.is_some());
        let resumed = state.pending.contains_key(&number);
        if !resumed {
            let (n, key) = (number, name.key().clone());
            let exists = false;
            self.journal
                .append(Record::Handed { n, key, exists })
                .await?;
        } else if let Some(outcome) = self.listed_outcome(name.key()).await? {
            family.suggest(leader_after(&name, Some(&outcome)));
            return self.record(ticket, outcome, None).await;
        }
        // The first leads unless it fails: nobody else is to be faster.
        let lead = is_first.then(|| family.leader.clone().try_lock_owned().ok());
        let is_large = is_first && name.entry.node.attributes.size > SINGLE_PUT_MAX;
        let lane = if is_large { Lane::Large } else { Lane::Small };
        let was_uploading = state.uploads.contains_key(name.key());
        let work = LinkedName {
            leader: family.leader.clone(),
            lead: lead.flatten(),
            own_names: family.own_names(&name),
            resumed: resumed.then_some(was_uploading),
            name,
        };
        let mover = self.mover.clone();
        let start = |work| link(mover.clone(), work);
        linking.lanes.add(lane, ticket, work, start);
        Ok(())
    }

    /// Makes known which names stay as they are, before anything that comes after them.
    async fn settle_kept(&self, linking: &mut Linking) -> Result<(), Ended> {
        let names = std::mem::take(&mut linking.kept);
        if names == 0 {
            return Ok(());
        }
        let add = Counters {
            discovered: names,
            unchanged: names,
            ..Counters::default()
        };
        self.progress.finish(&add);
        Ok(self.journal.append(Record::Kept { names, add }).await?)
    }
}

async fn link<S: Source, D: Destination>(mover: Arc<Mover<S, D>>, name: LinkedName) -> Done {
    mover.link(name).await
}
