//! The stage that deletes what the source no longer has.

use datasync_endpoint::{Destination, Source};
use datasync_model::{Counters, PreserveDeletedFiles};

use super::scanning::ScanFacts;
use super::{Ended, Engine};
use crate::deletes::{Candidates, DeleteError, Deleter, GuardFacts, SILENT_CANDIDATES_MAX, guard};
use crate::history::Root;
use crate::journal::{Record, State};
use crate::outcome::ItemFailure;
use crate::silence::Silence;

impl<S: Source, D: Destination> Engine<S, D> {
    /// `facts` are absent if the scan ended in an earlier run of the process.
    pub(super) async fn delete(
        &mut self,
        state: &State,
        facts: Option<ScanFacts>,
    ) -> Result<(), Ended> {
        let root = self
            .attempts
            .run(|| self.source.root())
            .await
            .map_err(|error| ItemFailure::of_source(&error))?;
        let present = Root::of(&root.attributes);
        let remembered = match &self.settings.history_file {
            Some(file) => Root::recall(file).await?,
            None => None,
        };
        if self.spec.options.preserve_deleted_files == PreserveDeletedFiles::Remove {
            let facts = match facts {
                Some(facts) => facts,
                None => self.recall_facts(state).await?,
            };
            // What an earlier run of the process met may be gone, and all that followed it.
            let source_has_entries = facts.source_has_entries
                || (state.last_handed.is_some() && self.source_has_entries().await?);
            let roots = remembered.into_iter().chain(self.root);
            let allowed = guard(GuardFacts {
                candidates: facts.candidates,
                matched: facts.matched,
                source_has_entries,
                same_root: roots.map(|root| root == present).reduce(|a, b| a && b),
                share_max_percent: self.spec.extensions.delete_share_max.percent(),
            });
            if let Err(withheld) = allowed {
                tracing::warn!(%withheld, event = "deletes.withheld", "deletes withheld");
                let failure = withheld.clone();
                self.withheld = Some(withheld);
                return Ok(self.journal.append(Record::Withheld { failure }).await?);
            }
            self.delete_candidates(state).await?;
        }
        // Another root is accepted only by a run that deletes nothing.
        let deletes = self.spec.options.preserve_deleted_files == PreserveDeletedFiles::Remove;
        let is_news = remembered != Some(present) && (remembered.is_none() || !deletes);
        match &self.settings.history_file {
            Some(file) if is_news => Ok(present.remember(file).await?),
            _ => Ok(()),
        }
    }

    async fn recall_facts(&self, state: &State) -> Result<ScanFacts, Ended> {
        Ok(ScanFacts {
            candidates: self.recall_candidates().await?,
            matched: state.matched,
            ..ScanFacts::default()
        })
    }

    /// Counts what an earlier run of the process found to delete; gives its number.
    pub(super) async fn recall_candidates(&self) -> Result<u64, Ended> {
        let _work = self.progress.local_work();
        let mut candidates = Candidates::open(&self.directory).await?;
        let mut count = Counters::default();
        loop {
            let chunk = candidates.next_chunk(1024).await?;
            if chunk.is_empty() {
                break;
            }
            for candidate in &chunk {
                count.add(&candidate.counted());
            }
        }
        self.progress.finish(&count);
        Ok(count.to_delete)
    }

    async fn delete_candidates(&mut self, state: &State) -> Result<(), Ended> {
        let deleter = Deleter {
            source: self.source.clone(),
            destination: self.destination.clone(),
            attempts: self.attempts.clone(),
            journal: self.journal.clone(),
            progress: self.progress.clone(),
            failures_max: self.settings.failures_max,
            source_silence: Silence::new(SILENT_CANDIDATES_MAX),
            destination_silence: Silence::new(SILENT_CANDIDATES_MAX),
            teller: self.teller.clone(),
            log: self.log.clone(),
        };
        let candidates = Candidates::open(&self.directory).await?;
        let last = state.last_deleted.as_ref();
        deleter
            .run(last, candidates, &mut self.failures)
            .await
            .map_err(|error| match error {
                DeleteError::Journal(error) => error.into(),
                DeleteError::Candidates(error) => error.into(),
                DeleteError::List(error) => error.into(),
                DeleteError::Failed(failure) => Ended::Failed(failure),
            })
    }
}
