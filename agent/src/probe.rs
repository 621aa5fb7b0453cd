//! Trying a location without moving anything: mount and read the root, or write and remove a trial.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{EndpointError, ExtendedKinds, Source};
use datasync_model::{ErrorCode, Failure, Location};
use datasync_proto::{DesiredProbe, LocationProbed};
use datasync_s3::Shape;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::endpoints::{self, Endpoints, Side, SourceLocation};

const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// As many as control asks for: a few requests each, but for a server that does not answer.
const PROBES_AT_ONCE: usize = 16;
/// Listed probes above this are taken up once earlier ones are gone from the list.
const PROBES_MAX: usize = 256;

/// Probes that control wants, by id.
#[derive(Debug)]
pub(crate) struct Probes {
    endpoints: Endpoints,
    slots: Arc<Semaphore>,
    known: BTreeMap<String, Known>,
    /// Of a probe that was withdrawn before it began there is no answer.
    tasks: JoinSet<Option<LocationProbed>>,
}

#[derive(Debug)]
enum Known {
    Running {
        task: AbortHandle,
        withdrawn: CancellationToken,
        /// A probe of a destination writes and deletes: it is let to its end, which `PROBE_TIMEOUT`
        /// bounds, so that nothing stays there.
        as_destination: bool,
    },
    /// Kept until control drops the probe: the answer may have been lost on the way.
    Answered(LocationProbed),
}

impl Probes {
    pub(crate) fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            slots: Arc::new(Semaphore::new(PROBES_AT_ONCE)),
            known: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Starts what is new, ends what is not wanted any more.
    pub(crate) fn apply(&mut self, desired: Vec<DesiredProbe>) {
        let wanted: BTreeSet<&str> = desired.iter().map(|p| p.probe_id.as_str()).collect();
        self.known.retain(|id, known| {
            let keep = wanted.contains(id.as_str());
            if let (
                false,
                Known::Running {
                    task,
                    withdrawn,
                    as_destination,
                },
            ) = (keep, known)
            {
                withdrawn.cancel();
                if !*as_destination {
                    task.abort();
                }
            }
            keep
        });
        for probe in desired {
            if self.known.contains_key(&probe.probe_id) || self.known.len() >= PROBES_MAX {
                continue;
            }
            let id = probe.probe_id.clone();
            let as_destination = probe.as_destination;
            let withdrawn = CancellationToken::new();
            let (endpoints, slots) = (self.endpoints.clone(), Arc::clone(&self.slots));
            let not_wanted = withdrawn.clone();
            let task = self.tasks.spawn(async move {
                let slot = not_wanted
                    .run_until_cancelled(slots.acquire())
                    .await?;
                let result = try_location(&endpoints, &probe).await;
                drop(slot);
                if let Err(failure) = &result {
                    tracing::warn!(probe_id = probe.probe_id, %failure, event = "location.refused", "a location cannot be used");
                }
                let result = result.as_ref().copied();
                Some(LocationProbed::new(probe.probe_id, result))
            });
            self.known.insert(
                id,
                Known::Running {
                    task,
                    withdrawn,
                    as_destination,
                },
            );
        }
    }

    /// The next answer. Cancel-safe. Never resolves while nothing runs.
    pub(crate) async fn next_answer(&mut self) -> LocationProbed {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Some(answer))) => {
                    if let Some(known) = self.known.get_mut(&answer.probe_id) {
                        *known = Known::Answered(answer.clone());
                        return answer;
                    }
                }
                Some(Err(error)) if error.is_panic() => {
                    if let Some(answer) = self.answer_for_panic(error.id()) {
                        return answer;
                    }
                }
                Some(Ok(None) | Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn answer_for_panic(&mut self, task: tokio::task::Id) -> Option<LocationProbed> {
        let (id, known) = self.known.iter_mut().find(
            |(_, known)| matches!(known, Known::Running { task: own, .. } if own.id() == task),
        )?;
        let failure = Failure::new(
            ErrorCode::Internal,
            "the probe ended by a defect; see the agent's log",
        );
        let answer = LocationProbed::new(id.clone(), Err(&failure));
        *known = Known::Answered(answer.clone());
        Some(answer)
    }

    /// Every answer that control has not dropped yet.
    pub(crate) fn answers(&self) -> Vec<LocationProbed> {
        self.known
            .values()
            .filter_map(|known| match known {
                Known::Answered(answer) => Some(answer.clone()),
                Known::Running { .. } => None,
            })
            .collect()
    }
}

async fn try_location(endpoints: &Endpoints, probe: &DesiredProbe) -> Result<(), Failure> {
    let location = probe
        .location()
        .map_err(|e| Failure::new(ErrorCode::NotSupported, e.to_string()))?;
    let side = if probe.as_destination {
        Side::Destination
    } else {
        Side::Source
    };
    let tried = async {
        match side {
            Side::Source => {
                let result = try_source(endpoints, endpoints::as_source(&location)).await;
                named(endpoints, side, &location, result).await
            }
            Side::Destination => {
                let to = endpoints::as_destination(&location);
                let result = Box::pin(endpoints.try_destination(to)).await;
                named(endpoints, side, &location, result).await
            }
        }
    };
    match tokio::time::timeout(PROBE_TIMEOUT, tried).await {
        Ok(result) => result,
        Err(_) => Err(timed_out(endpoints, side, &location)),
    }
}

/// A failure in the API's words, with where the way ends.
async fn named(
    endpoints: &Endpoints,
    side: Side,
    location: &Location,
    result: Result<(), EndpointError>,
) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => {
            let failure = endpoints.failure(side, location, &error);
            Err(check::located(endpoints, location, &error, failure).await)
        }
    }
}

async fn try_source(
    endpoints: &Endpoints,
    location: SourceLocation<'_>,
) -> Result<(), EndpointError> {
    // Listing alone tells whether a bucket can be read.
    let shape = Shape::Objects {
        metadata: false,
        tags: false,
    };
    let source = endpoints
        .source(location, shape, ExtendedKinds::default())
        .await?;
    let root = source.root().await?;
    source.read_dir(&root.handle, None).await?;
    Ok(())
}

fn timed_out(endpoints: &Endpoints, side: Side, location: &Location) -> Failure {
    let detail = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
    let kind = datasync_endpoint::ErrorKind::Timeout;
    let error = EndpointError::new(kind, "probe", location.arn().to_string(), detail);
    endpoints.failure(side, location, &error)
}
