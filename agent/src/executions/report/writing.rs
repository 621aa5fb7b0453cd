//! Writing the objects of a report, each in its turn.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{EndpointError, Pace};
use datasync_model::{ReportKind, ReportObject, TaskReport};
use datasync_s3::S3Objects;
use datasync_transfer::ReportEntries;

use super::page::{Full, Page};
use super::signed::signed;
use super::{Concluded, Fault, keys, summary};
use crate::backoff;
use crate::countersigning::SigningDesk;
use crate::executions::Assignment;
use crate::executions::run::ATTEMPTS_MAX;

/// The report of one execution on its way to the bucket.
pub(super) struct Writing<'a> {
    pub(super) assignment: &'a Assignment,
    pub(super) asked: &'a TaskReport,
    pub(super) concluded: &'a Concluded,
    pub(super) signing: &'a SigningDesk,
    pub(super) bucket: S3Objects,
    /// Asked before every slice that is written.
    pub(super) pace: Arc<dyn Pace>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) objects: usize,
    /// Whether it tells of a cancelled execution.
    pub(super) cancelled: bool,
}

impl Writing<'_> {
    /// Writes all objects, the summary after the entries and the signatures last. A cancel that comes
    /// before the end changes the summary.
    pub(super) async fn all(&self) -> Result<Written, Fault> {
        let entries = self.entries().await?;
        let cancel = &self.assignment.cancel;
        loop {
            let cancelled = cancel.is_cancelled();
            let mut objects = entries.clone();
            objects.push(self.summary(cancelled).await?);
            let written = Written {
                objects: objects.len(),
                cancelled,
            };
            let signing = signed(self.signing, self.assignment, objects);
            let document = tokio::select! {
                biased;
                () = cancel.cancelled(), if !cancelled => continue,
                document = signing => document.map_err(Fault::Unsigned)?,
            };
            if let Some(document) = document {
                let key = keys::signature(&self.asked.prefix, self.execution());
                self.put(&key, document).await?;
            }
            if cancel.is_cancelled() == cancelled {
                return Ok(written);
            }
        }
    }

    fn execution(&self) -> &datasync_model::TaskExecutionArn {
        &self.assignment.spec.execution
    }

    async fn entries(&self) -> Result<Vec<ReportObject>, Fault> {
        let mut objects = Vec::new();
        for kind in ReportKind::ALL {
            let mut entries = ReportEntries::of(&self.assignment.directory, *kind);
            let mut page = Page::new(self.execution(), *kind);
            let mut number = 0;
            loop {
                let entry = entries.next().await.map_err(Fault::Local)?;
                let full = match &entry {
                    Some(entry) => page.add(entry),
                    None => page.take(),
                };
                if let Some(full) = full {
                    number += 1;
                    objects.push(self.entries_of(*kind, number, full).await?);
                }
                if entry.is_none() {
                    break;
                }
            }
        }
        Ok(objects)
    }

    async fn entries_of(
        &self,
        kind: ReportKind,
        number: u32,
        full: Full,
    ) -> Result<ReportObject, Fault> {
        let key = keys::detailed(&self.asked.prefix, self.execution(), kind, number);
        self.put(&key, full.content).await?;
        Ok(full.tree.named(keys::name(&key)))
    }

    async fn summary(&self, cancelled: bool) -> Result<ReportObject, Fault> {
        let report = self.concluded.report_if(cancelled);
        let spec = &self.assignment.spec;
        let summary = summary::summary(spec, &report, self.concluded.ended_at_ms).to_string();
        let key = keys::summary(&self.asked.prefix, self.execution());
        let mut tree = datasync_model::ObjectTree::default();
        tree.push(summary.as_bytes());
        self.put(&key, summary.into_bytes()).await?;
        Ok(tree.named(keys::name(&key)))
    }

    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), Fault> {
        let content = Bytes::from(content);
        retried(|| {
            let (content, pace) = (content.clone(), Arc::clone(&self.pace));
            self.bucket.put(key, "application/json", content, pace)
        })
        .await
    }
}

/// Tries again while an error is transient, a bounded number of times.
pub(super) async fn retried<T, F>(call: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, EndpointError>>,
{
    let mut failures = 0;
    loop {
        let error = match call().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        if !error.kind.is_transient() || failures >= ATTEMPTS_MAX {
            return Err(Fault::Store(error));
        }
        let delay = backoff::STORAGE.random_delay(failures);
        tracing::warn!(%error, failures, retry_ms = delay.as_millis(), "cannot write the task report");
        tokio::time::sleep(delay).await;
    }
}
