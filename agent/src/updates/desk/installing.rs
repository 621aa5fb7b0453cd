//! A bundle comes in, is put in line, and may be taken back until it is started.

use std::sync::Arc;

use bytes::Bytes;
use datasync_model::{ReleaseVersion, UpdateState};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{Start, Updates, Wish};
use crate::state::StateError;
use crate::supervisor::Phase;
use crate::updates::bundle::Refusal;
use crate::updates::fetch;
use crate::updates::standing::Release;

/// Parts of a bundle between whoever sends it and the disk.
pub(in crate::updates) const PARTS_WAITING: usize = 4;

/// Why something cannot be installed now.
#[derive(Debug, thiserror::Error)]
pub(in crate::updates) enum InstallError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("another bundle is being installed")]
    Busy,
    #[error("{0} is being tried: wait until it has reached control or was taken back")]
    Trying(ReleaseVersion),
    #[error(
        "the agent is not activated: whether an update works is seen by its session with control"
    )]
    NotActivated,
    #[error("the bundle was not taken in to its end")]
    Interrupted,
}

impl From<StateError> for InstallError {
    fn from(error: StateError) -> Self {
        Self::Refused(error.into())
    }
}

/// What to install, and for whom.
#[derive(Debug, Clone)]
pub(in crate::updates) struct Order {
    pub(in crate::updates) allow_downgrade: bool,
    /// Of control's wish.
    pub(in crate::updates) request: Option<String>,
}

impl Updates {
    /// Takes a bundle in, part by part, verifies it, and puts it in line. Ends once `parts` does.
    pub(in crate::updates) async fn install(
        &self,
        order: Order,
        parts: mpsc::Receiver<Bytes>,
    ) -> Result<ReleaseVersion, InstallError> {
        let turn = Arc::clone(&self.0.taking).try_lock_owned();
        let turn = turn.map_err(|_| InstallError::Busy)?;
        if !matches!(*self.0.phase.borrow(), Phase::Active { .. }) {
            return Err(InstallError::NotActivated);
        }
        if let Some(tried) = self.standing().tried() {
            return Err(InstallError::Trying(tried.clone()));
        }
        let updates = self.clone();
        let mut taking = JoinSet::new();
        taking.spawn_blocking(move || {
            // Held to the end, also if nobody waits for it any more.
            let _turn = turn;
            updates.take_in(order, parts)
        });
        match taking.join_next().await {
            Some(Ok(taken)) => taken,
            Some(Err(_)) | None => Err(InstallError::Interrupted),
        }
    }

    /// Blocks.
    fn take_in(
        &self,
        order: Order,
        mut parts: mpsc::Receiver<Bytes>,
    ) -> Result<ReleaseVersion, InstallError> {
        let shelf = &self.0.shelf;
        let mut intake = shelf.intake(&self.0.here, order.allow_downgrade);
        while let Some(part) = parts.blocking_recv() {
            intake.take(&part)?;
        }
        let manifest = intake.finish()?;
        // What waits in line gives way first: its files may be those that are replaced.
        self.withdraw_if(|_| true)?;
        shelf.shelve(&manifest, &self.standing())?;
        let version = manifest.version;
        let packaged = &self.0.packaged;
        let release = Release {
            version: version.clone(),
            older_than: (version <= *packaged).then(|| packaged.clone()),
        };
        self.change(|standing| {
            standing.stage(release, order.request.clone());
            true
        })?;
        let (shown, made_at) = (version.to_string(), manifest.made_at);
        tracing::info!(
            version = shown,
            made_at,
            event = "update.installed",
            "an update is installed, and starts when it may"
        );
        Ok(version)
    }

    /// Takes back what is in line and was not started, if `fits` its request.
    pub(super) fn withdraw_if(
        &self,
        fits: impl Fn(Option<&str>) -> bool,
    ) -> Result<bool, StateError> {
        let withdrawn = self.change(|standing| {
            let waits = standing.candidate.as_ref().filter(|c| c.starts == 0);
            let withdrawn = waits.is_some_and(|waits| fits(waits.request.as_deref()));
            if withdrawn {
                standing.withdraw();
            }
            withdrawn
        })?;
        if withdrawn {
            self.0.start.send_replace(None);
            self.0.shelf.tidy(&self.standing())?;
        }
        Ok(withdrawn)
    }

    /// Takes back what was installed on this machine and was not started yet.
    pub(in crate::updates) fn withdraw_local(&self) -> Result<(), StateError> {
        self.withdraw_if(|request| request.is_none()).map(|_| ())
    }

    /// Lets what is in line start.
    pub(in crate::updates) fn start(&self, start: Start) {
        self.0.start.send_replace(Some(start));
    }

    /// Goes back to the packaged program at the next start.
    pub(in crate::updates) fn leave_all(&self) -> Result<bool, StateError> {
        self.change(|standing| {
            let is_other = standing.needed().next().is_some();
            standing.leave_all();
            is_other
        })
    }

    /// Whether `version` is in line and was not started.
    pub(in crate::updates) fn waits(&self, version: &ReleaseVersion) -> bool {
        let standing = self.standing();
        let candidate = standing.candidate.as_ref();
        candidate.is_some_and(|c| c.starts == 0 && c.release.version == *version)
    }

    /// Gets control's wish here and puts it in line.
    pub(super) async fn follow(&self, wish: &Wish, control: Channel) -> Result<(), String> {
        self.tell_wish(UpdateState::Fetching, wish, None);
        let (parts, received) = mpsc::channel(PARTS_WAITING);
        let order = Order {
            allow_downgrade: wish.allow_downgrade,
            request: Some(wish.request.clone()),
        };
        let installed = self.install(order, received);
        let (fetched, installed) =
            tokio::join!(fetch::fetch(control, &wish.version, parts), installed);
        match (installed, fetched) {
            // Whatever came after its end.
            (Ok(version), _) if version == wish.version => {
                self.start(if wish.drain {
                    Start::AtOnce
                } else {
                    Start::WhenIdle
                });
                Ok(())
            }
            (Ok(version), _) => {
                let request = Some(wish.request.as_str());
                let withdrawn = self.withdraw_if(|waits| waits == request);
                withdrawn.map_err(|error| error.to_string())?;
                Err(format!(
                    "control's bundle of {} is of {version}",
                    wish.version
                ))
            }
            // Then it was not taken in to its end, which says less.
            (Err(_), Err(error @ fetch::FetchError::Control(_))) => Err(error.to_string()),
            (Err(error), _) => Err(error.to_string()),
        }
    }
}
