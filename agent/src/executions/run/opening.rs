//! Opening source and destination, tried again while what goes wrong may pass.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{Destination, EndpointError, Source};
use datasync_model::Location;
use datasync_transfer::Interrupted;

use super::super::Assignment;
use super::super::fence::{Fence, Fenced};
use super::interruption::interruptible;
use super::{Halt, Runner, halt};
use crate::backoff;
use crate::check;
use crate::endpoints::{self, AnyDestination, DestinationLocation, Side};

/// Attempts to open one side while its error is transient.
pub(in crate::executions) const ATTEMPTS_MAX: u32 = 6;
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

impl Runner {
    pub(super) async fn open_destination(
        &self,
        assignment: &Assignment,
        location: DestinationLocation<'_>,
        fence: &Fence,
    ) -> Result<Fenced<AnyDestination>, Halt> {
        let spec = &assignment.spec;
        let opening = self.open(assignment, Side::Destination, &spec.destination, || async {
            // To find out about the destination, it is written to.
            let opening = pin!(async {
                let extended = endpoints::extended(spec);
                if spec.extensions.dry_run {
                    self.endpoints.destination_to_look(location, extended).await
                } else {
                    let algorithm = spec.extensions.checksum_algorithm;
                    let directory = &assignment.directory;
                    self.endpoints
                        .destination(location, (algorithm, extended), directory)
                        .await
                }
            });
            fence.guard(opening).await
        });
        let destination = tokio::select! {
            biased;
            () = fence.shut() => {
                let is_stopped = assignment.stop.is_cancelled();
                return Err(halt(Interrupted::Stopped, is_stopped, false));
            }
            opened = opening => opened?,
        };
        Ok(Fenced::new(Arc::new(destination), fence.clone()))
    }

    /// Whether the roots are two directories, whatever their locations are called.
    pub(super) async fn roots_are_apart<S: Source, D: Destination>(
        &self,
        assignment: &Assignment,
        source: &S,
        destination: &D,
    ) -> Result<(), Halt> {
        let Some(tree) = destination.tree() else {
            return Ok(());
        };
        let spec = &assignment.spec;
        let of_source = self.open(assignment, Side::Source, &spec.source, || source.root());
        let from = of_source.await?.attributes;
        let of_tree = self.open(assignment, Side::Destination, &spec.destination, || {
            tree.root()
        });
        let to = of_tree.await?.attributes;
        // The versions of NFS number file systems differently. A root that is a copy of the other in
        // all but its file system has another ctime, once it was written to.
        let is_one_system = from.fsid == to.fsid || !spec.extensions.dry_run;
        if !is_one_system || (from.file_id, from.ctime) != (to.file_id, to.ctime) {
            return Ok(());
        }
        let (source, destination) = (&spec.source, &spec.destination);
        Err(Halt::Failed(endpoints::one_in_the_other(
            source,
            destination,
        )))
    }

    pub(super) async fn open<T, F, O>(
        &self,
        assignment: &Assignment,
        side: Side,
        location: &Location,
        open: O,
    ) -> Result<T, Halt>
    where
        O: Fn() -> F,
        F: Future<Output = Result<T, EndpointError>>,
    {
        let owed_aborts = self.remembered(&assignment.spec, "owed-aborts");
        interruptible(assignment, &owed_aborts, async {
            let mut failures = 0;
            loop {
                let result = tokio::time::timeout(OPEN_TIMEOUT, open()).await;
                let error = match result {
                    Ok(Ok(opened)) => return Ok(opened),
                    Ok(Err(error)) => error,
                    Err(_) => timed_out(location),
                };
                failures += 1;
                let failure = self.endpoints.failure(side, location, &error);
                if !error.kind.is_transient() || failures >= ATTEMPTS_MAX {
                    return Err(check::located(&self.endpoints, location, &error, failure).await);
                }
                let delay = backoff::STORAGE
                    .random_delay(failures)
                    .max(error.retry_after.unwrap_or_default().min(backoff::STORAGE.cap));
                tracing::warn!(%failure, failures, retry_ms = delay.as_millis(), event = "location.unavailable", "cannot open a location");
                tokio::time::sleep(delay).await;
            }
        })
        .await
    }
}

fn timed_out(location: &Location) -> EndpointError {
    EndpointError::new(
        datasync_endpoint::ErrorKind::Timeout,
        "open",
        endpoints::place(location),
        format!("no answer within {} s", OPEN_TIMEOUT.as_secs()),
    )
}
