//! Updates of the agent that runs: what was installed, what control wishes, and when to start anew.

mod installing;
mod trial;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datasync_model::{ReleaseVersion, UpdateState};
use datasync_proto::{DesiredRelease, UpdateStatus};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::UpdateSettings;
use super::boot::Running;
use super::bundle::Here;
use super::shelf::Shelf;
use super::standing::Standing;
use super::told::UpdateTold;
use crate::identity;
use crate::local::Watched;
use crate::state::StateError;
use crate::supervisor::Phase;

pub(super) use installing::{Order, PARTS_WAITING};

/// A release that control wishes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(super) version: ReleaseVersion,
    pub(super) request: String,
    pub(super) drain: bool,
    pub(super) allow_downgrade: bool,
}

impl Wish {
    /// `None` where control says something that this version cannot read.
    fn read(desired: DesiredRelease) -> Option<Self> {
        match desired.version.parse() {
            Ok(version) => Some(Self {
                version,
                request: desired.request_id,
                drain: desired.drain,
                allow_downgrade: desired.allow_downgrade,
            }),
            Err(error) => {
                let version = desired.version;
                tracing::warn!(version, %error, "control wishes for a release that cannot be one");
                None
            }
        }
    }
}

/// The agent's updates. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Updates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shelf: Shelf,
    here: Here,
    packaged: ReleaseVersion,
    trial: Duration,
    /// Whether an identity was there at the start.
    was_activated: bool,
    standing: Mutex<Standing>,
    told: watch::Sender<UpdateTold>,
    wish: watch::Sender<Option<Wish>>,
    /// The session's connection with control, while there is one.
    control: watch::Sender<Option<Channel>>,
    /// What is in line may start: at once, or when nothing runs.
    start: watch::Sender<Option<Start>>,
    /// One bundle is taken in at a time.
    taking: Arc<tokio::sync::Mutex<()>>,
    phase: watch::Receiver<Phase>,
    executions: Watched,
    /// Ends this process's run, so that it starts anew.
    restart: CancellationToken,
}

/// When what is in line starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Executions stop at a checkpoint.
    AtOnce,
    WhenIdle,
}

/// What the agent knows otherwise.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) executions: Watched,
    pub(crate) restart: CancellationToken,
}

impl Updates {
    /// Takes up what is in the state directory, whose lock must be held. What cannot be read or
    /// removed is logged: an agent works without updates.
    pub(crate) fn open(
        state_dir: &Path,
        settings: &UpdateSettings,
        running: &Running,
        surroundings: Surroundings,
    ) -> Self {
        let shelf = Shelf::new(state_dir, settings.keys.clone());
        let mut standing = shelf.read().unwrap_or_else(|error| {
            tracing::error!(%error, event = "update.failed", "the packaged program runs");
            Standing::default()
        });
        if let Some(error) = &running.fault {
            tracing::error!(
                error,
                event = "update.failed",
                "not the release runs that should"
            );
        }
        log_outcome(&shelf, &mut standing);
        if let Err(error) = shelf.tidy(&standing) {
            tracing::warn!(%error, "old releases cannot be removed");
        }
        if standing.tried() == Some(&running.version) {
            let version = running.version.to_string();
            tracing::info!(version, event = "update.trying", "an update begins to run");
        }
        let Surroundings {
            phase,
            executions,
            restart,
        } = surroundings;
        Self(Arc::new(Shared {
            shelf,
            here: Here {
                architecture: std::env::consts::ARCH.to_owned(),
                running: running.version.clone(),
            },
            packaged: running.packaged.clone(),
            trial: settings.trial,
            was_activated: identity::is_there(state_dir),
            told: watch::Sender::new(UpdateTold::of(&standing)),
            standing: Mutex::new(standing),
            wish: watch::Sender::new(None),
            control: watch::Sender::new(None),
            start: watch::Sender::new(None),
            taking: Arc::default(),
            phase,
            executions,
            restart,
        }))
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0
            .standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the last update stands.
    pub(crate) fn watch(&self) -> watch::Receiver<UpdateTold> {
        self.0.told.subscribe()
    }

    /// The same, for control.
    pub(crate) fn status(&self) -> UpdateStatus {
        self.0.told.borrow().message()
    }

    /// There is a session with control: what runs has proven itself.
    pub(crate) fn connected(&self, channel: Channel) {
        self.reached();
        self.0.control.send_replace(Some(channel));
    }

    /// Control has answered this agent.
    pub(crate) fn reached(&self) {
        let changed = self.change(|standing| standing.confirm(&self.0.here.running));
        match changed {
            Ok(true) => {
                let version = self.0.here.running.to_string();
                tracing::info!(
                    version,
                    event = "update.confirmed",
                    "the update has reached control"
                );
                let tidied = self.0.shelf.tidy(&self.standing());
                if let Err(error) = tidied {
                    tracing::warn!(%error, "old releases cannot be removed");
                }
            }
            Ok(false) => {}
            // It is tried again with the next heartbeat.
            Err(error) => {
                tracing::error!(%error, event = "update.failed", "an update cannot be kept")
            }
        }
    }

    /// The session has ended.
    pub(crate) fn disconnected(&self) {
        self.0.control.send_replace(None);
    }

    /// What control wishes now.
    pub(crate) fn wish(&self, desired: Option<DesiredRelease>) {
        let wish = desired.and_then(Wish::read);
        self.0.wish.send_if_modified(|before| {
            let is_news = *before != wish;
            *before = wish;
            is_news
        });
    }

    /// Changes the standing, on the disk first. Whether there was a change.
    fn change(&self, change: impl FnOnce(&mut Standing) -> bool) -> Result<bool, StateError> {
        let mut standing = self.standing();
        let mut next = standing.clone();
        if !change(&mut next) {
            return Ok(false);
        }
        self.0.shelf.write(&next)?;
        *standing = next;
        self.0.told.send_replace(UpdateTold::of(&standing));
        Ok(true)
    }

    /// Executions that have not ended.
    pub(super) fn busy(&self) -> usize {
        let here = self.0.executions.here();
        here.iter().filter(|one| !one.status.is_terminal()).count()
    }

    /// Fires once this process is to start anew.
    pub(super) fn restarting(&self) -> &CancellationToken {
        &self.0.restart
    }

    /// Whether there is something left to do for `wish`.
    fn wants(&self, wish: &Wish) -> bool {
        let standing = self.standing();
        let is_done = standing.knows(&wish.request) || wish.version == self.0.here.running;
        !is_done && standing.tried().is_none()
    }

    /// Control does not wish any more for what was not installed.
    fn forget_wish(&self) {
        let told = UpdateTold::of(&self.standing());
        self.0.told.send_if_modified(|before| {
            let is_news = *before != told;
            *before = told;
            is_news
        });
    }

    fn tell_wish(&self, state: UpdateState, wish: &Wish, detail: Option<&str>) {
        let about = (&wish.version, wish.request.as_str());
        let told = UpdateTold::of_wish(state, about, detail);
        self.0.told.send_replace(told);
    }
}

/// The log has each trial that failed once.
fn log_outcome(shelf: &Shelf, standing: &mut Standing) {
    let Some(last) = standing.last.as_mut().filter(|last| !last.logged) else {
        return;
    };
    let version = last.version.to_string();
    let reason = last.rolled_back.as_deref().unwrap_or_default();
    tracing::error!(
        version,
        reason,
        event = "update.rolled_back",
        "the update was taken back, and what was there before it runs"
    );
    last.logged = true;
    if let Err(error) = shelf.write(standing) {
        tracing::warn!(%error, "it will be logged again");
    }
}
