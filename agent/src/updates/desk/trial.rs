//! What goes on beside the sessions: control's wish is followed, what is in line starts when it may,
//! and a trial ends in time.

use std::time::Duration;

use datasync_model::UpdateState;
use tokio_util::sync::CancellationToken;

use super::{Start, Updates, Wish};
use crate::backoff::Backoff;
use crate::supervisor::Phase;

/// How often it is looked whether an execution is under way.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// Between two tries of what control wishes.
const AGAIN: Backoff = Backoff {
    base: Duration::from_secs(30),
    cap: Duration::from_secs(1800),
};

impl Updates {
    /// Works until `stop`, or until this process is to start anew.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.0.restart.cancelled() => {}
            () = self.follow_wishes() => {}
            () = self.start_in_time() => {}
            () = self.end_trial() => {}
        }
    }

    async fn follow_wishes(&self) {
        let (mut wishes, mut control) = (self.0.wish.subscribe(), self.0.control.subscribe());
        let mut failures = 0;
        loop {
            let wish = wishes.borrow_and_update().clone();
            let channel = control.borrow_and_update().clone();
            let changed = async {
                // Neither sender is dropped while this is polled: both are in `self`.
                tokio::select! {
                    changed = wishes.changed() => changed.map(|()| true),
                    changed = control.changed() => changed.map(|()| false),
                }
            };
            let follow = async {
                // Without a session control's wish is not known, so what it was stays.
                if channel.is_some() {
                    self.leave_what_is_not(wish.as_ref());
                }
                match (&wish, channel) {
                    (Some(wish), Some(channel)) if self.wants(wish) => {
                        let followed = self.follow(wish, channel).await;
                        if let Err(reason) = followed {
                            self.refused(wish, &reason);
                            failures += 1;
                            tokio::time::sleep(AGAIN.random_delay(failures)).await;
                        }
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = follow => {}
                changed = changed => match changed {
                    Ok(true) => failures = 0,
                    Ok(false) => {}
                    Err(_) => return,
                }
            }
        }
    }

    /// What control wished for before and was not started gives way.
    fn leave_what_is_not(&self, wish: Option<&Wish>) {
        let wished = wish.map(|wish| wish.request.as_str());
        let withdrawn = self.withdraw_if(|request| request.is_some() && request != wished);
        if let Err(error) = withdrawn {
            tracing::warn!(%error, "an update that is not wished for any more cannot be taken back");
        }
        if wish.is_none() {
            self.forget_wish();
        }
    }

    fn refused(&self, wish: &Wish, reason: &str) {
        let version = wish.version.to_string();
        tracing::warn!(
            version,
            reason,
            event = "update.refused",
            "the release that control wishes for is not installed"
        );
        self.tell_wish(UpdateState::Refused, wish, Some(reason));
    }

    async fn start_in_time(&self) {
        let mut starts = self.0.start.subscribe();
        loop {
            let start = *starts.borrow_and_update();
            let is_time = match start {
                None => false,
                Some(Start::AtOnce) => true,
                Some(Start::WhenIdle) => self.busy() == 0,
            };
            if is_time {
                tracing::info!(
                    event = "update.starting",
                    executions = self.busy(),
                    "the agent starts anew as another release"
                );
                self.0.restart.cancel();
                return;
            }
            tokio::select! {
                changed = starts.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(IDLE_POLL), if start.is_some() => {}
            }
        }
    }

    /// Takes the release that runs back if it has not reached control in time. The time begins once
    /// the agent is a member of a control plane: at once, if it was one before this release, whatever
    /// this one makes of that.
    async fn end_trial(&self) {
        if !self.is_tried() {
            return std::future::pending().await;
        }
        let mut phase = self.0.phase.clone();
        let is_member = |phase: &Phase| matches!(phase, Phase::Active { .. });
        if !self.0.was_activated && phase.wait_for(is_member).await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(self.0.trial).await;
        let reason = format!(
            "it did not reach control within {} s",
            self.0.trial.as_secs()
        );
        let running = &self.0.here.running;
        let rolled_back = self.change(|standing| {
            let is_tried = standing.tried() == Some(running);
            if is_tried {
                standing.roll_back(reason);
            }
            is_tried
        });
        match rolled_back {
            Ok(true) => self.0.restart.cancel(),
            Ok(false) => std::future::pending().await,
            Err(error) => {
                // The next start counts; this one works as well as it can.
                tracing::error!(%error, event = "update.failed", "an update cannot be taken back");
                std::future::pending().await
            }
        }
    }

    fn is_tried(&self) -> bool {
        self.standing().tried() == Some(&self.0.here.running)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::watch;

    use super::super::super::boot::Running;
    use super::super::super::shelf::Shelf;
    use super::super::super::standing::{Release, Standing};
    use super::super::super::{ReleaseKeys, UpdateSettings};
    use super::super::Surroundings;
    use super::*;
    use crate::local::Watched;

    const TRIAL: Duration = Duration::from_secs(900);

    /// Runs a release that is tried, which does not come to be a member, for `wait`; whether it is
    /// taken back.
    async fn is_taken_back(state_dir: &Path, wait: Duration) -> bool {
        let running = Running::embedded().as_release("9.0.0".parse().unwrap());
        let release = Release {
            version: running.version.clone(),
            older_than: None,
        };
        let mut standing = Standing::default();
        standing.stage(release, None);
        std::fs::create_dir_all(state_dir.join("releases")).unwrap();
        let (standing, _) = standing.choose(&running.packaged, |_| Ok(()));
        Shelf::new(state_dir, ReleaseKeys::default())
            .write(&standing)
            .unwrap();
        let settings = UpdateSettings {
            keys: ReleaseKeys::default(),
            trial: TRIAL,
        };
        let (_phase, phase) = watch::channel(Phase::Starting);
        let restart = CancellationToken::new();
        let surroundings = Surroundings {
            phase,
            executions: Watched::default(),
            restart: restart.clone(),
        };
        let updates = Updates::open(state_dir, &settings, &running, surroundings);
        tokio::time::timeout(wait, updates.run(CancellationToken::new()))
            .await
            .ok();
        restart.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_that_does_not_see_that_it_is_a_member_is_taken_back() {
        let scratch = tempfile::tempdir().unwrap();
        let long = TRIAL * 4;
        // Nobody has activated it: it may wait for that as long as it takes.
        assert!(!is_taken_back(scratch.path(), long).await);
        let identity = scratch.path().join("identity");
        std::fs::create_dir_all(&identity).unwrap();
        std::fs::write(identity.join("agent.json"), "cannot be read").unwrap();
        assert!(!is_taken_back(scratch.path(), TRIAL / 2).await);
        assert!(is_taken_back(scratch.path(), long).await);
    }
}
