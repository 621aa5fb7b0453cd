//! What the report tells, along the stages of an execution.

use std::sync::Arc;

use datasync_endpoint::{Destination, Integrity, Key, Source};
use datasync_model::{ExecutionSpec, Failure, VerifyMode};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{Ended, Engine, Settings};
use crate::outcome::Outcome;
use crate::report::{ItemFacts, Reporter, VERIFIED_FILE};

/// Who makes the entries of an execution's report; `None` without one.
pub(super) fn reporter<D: Destination>(
    spec: &ExecutionSpec,
    settings: &Settings,
    destination: &D,
) -> Option<Arc<Reporter>> {
    let report = spec.extensions.report.clone()?;
    let integrity = destination.abilities().integrity;
    Some(Arc::new(Reporter {
        report,
        mode: spec.task_mode,
        options: spec.options.clone(),
        tells_crc64: matches!(integrity, Integrity::Crc64 | Integrity::ReadBack),
        now_seconds: settings.now_seconds,
    }))
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Whether the receipt of an item is its verification.
    pub(super) fn receipts_verify(&self) -> bool {
        self.spec.options.verify_mode == VerifyMode::OnlyFilesTransferred
    }

    /// What the report tells of an item that ended, as frames.
    pub(super) fn told(
        &self,
        key: &Key,
        facts: ItemFacts,
        outcome: &Outcome,
    ) -> Result<Vec<u8>, Ended> {
        let Some(reporter) = &self.reporter else {
            return Ok(Vec::new());
        };
        let frames = reporter.of_outcome(key, facts, outcome, self.receipts_verify());
        self.disk.take(frames.len() as u64)?;
        Ok(frames)
    }

    /// Begins the entries of the end check, anew after a restart.
    pub(super) async fn begin_verified(&mut self) -> Result<(), Ended> {
        if self.reporter.is_some() {
            let file = File::create(self.directory.join(VERIFIED_FILE)).await?;
            self.verified = Some(BufWriter::new(file));
        }
        Ok(())
    }

    /// Tells what the end check made of an item.
    pub(super) async fn tell_verified(
        &mut self,
        key: &Key,
        facts: ItemFacts,
        result: Result<(), &Failure>,
    ) -> Result<(), Ended> {
        let (Some(reporter), Some(file)) = (&self.reporter, &mut self.verified) else {
            return Ok(());
        };
        let frames = reporter.of_verified(key, facts, result);
        self.disk.take(frames.len() as u64)?;
        Ok(file.write_all(&frames).await?)
    }

    /// Gives all entries of the end check to the kernel.
    pub(super) async fn end_verified(&mut self) -> Result<(), Ended> {
        if let Some(file) = &mut self.verified {
            file.flush().await?;
        }
        Ok(())
    }
}
