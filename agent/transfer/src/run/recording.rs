//! The ends of items, made durable and known.

use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, Source};
use datasync_model::{Counters, ErrorCode, Failure};

use super::scanning::Done;
use super::{Ended, Engine};
use crate::failures::Verdict;
use crate::journal::Record;
use crate::lanes::Ticket;
use crate::outcome::{ItemFailure, Outcome, counted};
use crate::report::ItemFacts;
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn finish(
        &mut self,
        ticket: Ticket,
        done: Result<Done, tokio::task::JoinError>,
    ) -> Result<(), Ended> {
        let (outcome, planned) = match done {
            Ok(done) => done?,
            Err(panicked) => {
                let failure = ItemFailure::new(ErrorCode::Internal, panicked.to_string());
                (Outcome::Failed(failure), None)
            }
        };
        self.record(ticket, outcome, planned).await
    }

    /// Makes the end of an item durable and known.
    pub(super) async fn record(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        planned: Option<u64>,
    ) -> Result<(), Ended> {
        let mut add = outcome.counters(planned);
        if self.receipts_verify() {
            add.verified = add.transferred;
        }
        let add = counted(&ticket.key, add);
        let listed = match &outcome {
            Outcome::Failed(failed) => Some((Verdict::Failed, &failed.failure)),
            Outcome::Skipped(failure) => Some((Verdict::Skipped, failure)),
            Outcome::Unchanged { .. } | Outcome::Transferred { .. } => None,
        };
        if let Some((verdict, failure)) = listed {
            self.failures
                .add(&ticket.path, &ticket.key, verdict, failure)
                .await?;
        }
        self.remember(&ticket.key, &outcome).await;
        self.progress.finish(&add);
        let told = self.told(&ticket.key, ticket.facts, &outcome).await?;
        let last = Record::Final {
            n: ticket.number,
            add,
        };
        self.journal.told(last, told).await?;
        if let Some(log) = &self.log {
            log.outcome(&ticket.key, &outcome, self.receipts_verify());
        }
        match outcome {
            Outcome::Failed(failed) => self.survive(failed),
            Outcome::Transferred { .. } | Outcome::Unchanged { .. } => {
                self.silence.is_broken();
                Ok(())
            }
            Outcome::Skipped(_) => Ok(()),
        }
    }

    pub(super) async fn report_unread(
        &mut self,
        directory: &SourceEntry,
        error: &Arc<EndpointError>,
    ) -> Result<(), Ended> {
        let ItemFailure {
            failure,
            endpoint_wide,
            ..
        } = ItemFailure::of_source(error);
        if endpoint_wide {
            return Err(Ended::Failed(failure));
        }
        let failure = Failure::new(
            failure.code,
            format!(
                "the directory cannot be read to its end, nothing below it is deleted: {}",
                failure.detail
            ),
        );
        self.failures
            .add(&directory.path, &directory.key, Verdict::Failed, &failure)
            .await?;
        let add = Counters {
            discovered: 1,
            failed: 1,
            directories_unlisted: 1,
            ..Counters::default()
        }
        .of_directories();
        self.progress.finish(&add);
        let key = directory.key.clone();
        let failed = ItemFailure {
            failure,
            endpoint_wide: false,
            is_in_place: false,
        };
        let facts = ItemFacts::of(directory.node.attributes);
        let outcome = Outcome::Failed(failed.clone());
        let told = self.told(&key, facts, &outcome).await?;
        if let Some(log) = &self.log {
            log.outcome(&key, &outcome, false);
        }
        self.journal.told(Record::Unread { key, add }, told).await?;
        self.survive(failed)
    }
}
