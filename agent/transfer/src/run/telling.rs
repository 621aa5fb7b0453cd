//! What the report tells, along the stages of an execution.

use datasync_endpoint::{Destination, Integrity, Key, Source};
use datasync_model::{ExecutionSpec, Failure, ReportResult, VerifyMode};
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{Ended, Engine, Settings};
use crate::outcome::Outcome;
use crate::report::{ItemFacts, Reporter, VERIFIED_FILE};

/// Who makes the entries of an execution's report; `None` without one.
pub(super) fn reporter<D: Destination>(
    spec: &ExecutionSpec,
    settings: &Settings,
    destination: &D,
) -> Option<Reporter> {
    let report = spec.extensions.report.clone()?;
    let integrity = destination.abilities().integrity;
    Some(Reporter {
        report,
        mode: spec.task_mode,
        options: spec.options.clone(),
        tells_crc64: matches!(integrity, Integrity::Crc64 | Integrity::ReadBack),
        now_seconds: settings.now_seconds,
    })
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Whether the receipt of an item is its verification.
    pub(super) fn receipts_verify(&self) -> bool {
        self.spec.options.verify_mode == VerifyMode::OnlyFilesTransferred
    }

    /// What the report tells of an item that ended, as frames.
    pub(super) async fn told(
        &self,
        key: &Key,
        facts: ItemFacts,
        outcome: &Outcome,
    ) -> Result<Vec<u8>, Ended> {
        let Some(teller) = &self.teller else {
            return Ok(Vec::new());
        };
        let reporter = teller.reporter();
        let frames = reporter.of_outcome(key, facts, outcome, self.receipts_verify());
        Ok(teller.admit(frames).await?)
    }

    /// Begins the entries of the end check, anew after a restart.
    pub(super) async fn begin_verified(&mut self) -> Result<(), Ended> {
        let Some(teller) = &self.teller else {
            return Ok(());
        };
        // Also where it was given up: what an earlier run of the process told takes room.
        let file = File::create(self.directory.join(VERIFIED_FILE)).await?;
        if teller.given_up().is_none() {
            self.verified = Some(BufWriter::new(file));
            return Ok(());
        }
        self.remove_verified().await
    }

    async fn remove_verified(&mut self) -> Result<(), Ended> {
        self.verified = None;
        Ok(fs::remove_file(self.directory.join(VERIFIED_FILE)).await?)
    }

    /// Tells what the end check made of an item.
    pub(super) async fn tell_verified(
        &mut self,
        key: &Key,
        facts: ItemFacts,
        result: Result<(), &Failure>,
    ) -> Result<(), Ended> {
        if let Some(log) = &self.log {
            log.verified(key, facts.object.map(|found| found.size), result);
        }
        let (Some(teller), Some(file)) = (&self.teller, &mut self.verified) else {
            return Ok(());
        };
        let frames = teller.reporter().of_verified(key, facts, result);
        let frames = teller.admit(frames).await?;
        if teller.given_up().is_none() {
            return Ok(file.write_all(&frames).await?);
        }
        self.remove_verified().await
    }

    /// Gives all entries of the end check to the kernel.
    pub(super) async fn end_verified(&mut self) -> Result<(), Ended> {
        if let Some(file) = &mut self.verified {
            file.flush().await?;
        }
        Ok(())
    }

    /// What is known of the report before it is written: that it was given up.
    pub(super) fn report_result(&self) -> Option<ReportResult> {
        let failure = self.teller.as_ref()?.given_up()?;
        Some(ReportResult::error(failure))
    }
}
