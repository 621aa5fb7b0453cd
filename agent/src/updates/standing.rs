//! Which release runs, which is tried, and how the last trial ended. Values only: the disk is
//! elsewhere.

use datasync_model::ReleaseVersion;
use serde::{Deserialize, Serialize};

/// Starts that an update has to reach control.
pub(super) const STARTS_MAX: u32 = 3;

/// A release in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Release {
    pub(super) version: ReleaseVersion,
    /// The packaged version, where the release was installed although it is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) older_than: Option<ReleaseVersion>,
}

/// A release that has not reached control yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Candidate {
    pub(super) release: Release,
    /// Of control's wish; `None` if it was installed on this machine.
    pub(super) request: Option<String>,
    /// How often it was started. Counted before it is.
    pub(super) starts: u32,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) version: ReleaseVersion,
    pub(super) request: Option<String>,
    /// Why it was taken back; `None`: it reached control.
    pub(super) rolled_back: Option<String>,
    /// Whether the log has it.
    #[serde(default)]
    pub(super) logged: bool,
}

/// What `releases/current.json` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// It reached control, and runs unless something else is tried. `None`: the packaged program.
    #[serde(default)]
    pub(super) confirmed: Option<Release>,
    #[serde(default)]
    pub(super) candidate: Option<Candidate>,
    #[serde(default)]
    pub(super) last: Option<Outcome>,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Packaged,
    Release(ReleaseVersion),
}

impl Release {
    /// The packaged program wins once it is not older: somebody installed it after this.
    fn is_superseded(&self, packaged: &ReleaseVersion) -> bool {
        *packaged >= self.version && self.older_than.as_ref() != Some(packaged)
    }
}

impl Standing {
    /// What is to be started, and what must be on the disk before that. `verify` says of a release
    /// what is wrong with its files.
    pub(super) fn choose(
        &self,
        packaged: &ReleaseVersion,
        verify: impl Fn(&ReleaseVersion) -> Result<(), String>,
    ) -> (Self, Choice) {
        let mut next = self.clone();
        next.leave_superseded(packaged);
        if let Some(candidate) = &mut next.candidate {
            let fault = if candidate.starts >= STARTS_MAX {
                Err(format!(
                    "it was started {STARTS_MAX} times and did not reach control"
                ))
            } else {
                verify(&candidate.release.version)
            };
            match fault {
                Ok(()) => {
                    candidate.starts += 1;
                    let version = candidate.release.version.clone();
                    return (next, Choice::Release(version));
                }
                Err(reason) => next.roll_back(reason),
            }
        }
        match next.confirmed.clone() {
            None => (next, Choice::Packaged),
            Some(Release { version, .. }) => match verify(&version) {
                Ok(()) => (next, Choice::Release(version)),
                Err(reason) => {
                    next.confirmed = None;
                    next.last = Some(Outcome {
                        version,
                        request: None,
                        rolled_back: Some(reason),
                        logged: false,
                    });
                    (next, Choice::Packaged)
                }
            },
        }
    }

    fn leave_superseded(&mut self, packaged: &ReleaseVersion) {
        let is_old = |release: &Release| release.is_superseded(packaged);
        if self.candidate.as_ref().is_some_and(|c| is_old(&c.release)) {
            self.candidate = None;
        }
        if self.confirmed.as_ref().is_some_and(is_old) {
            self.confirmed = None;
            self.last = None;
        }
    }

    /// The system would not start `version`.
    pub(super) fn not_started(&mut self, version: &ReleaseVersion, reason: String) {
        if self.tried().is_some_and(|tried| tried == version) {
            self.roll_back(reason);
        } else {
            self.confirmed = None;
            self.last = Some(Outcome {
                version: version.clone(),
                request: None,
                rolled_back: Some(reason),
                logged: false,
            });
        }
    }

    /// Puts a release that was installed in line. One that was in line and not started yet gives way.
    pub(super) fn stage(&mut self, release: Release, request: Option<String>) {
        self.candidate = Some(Candidate {
            release,
            request,
            starts: 0,
        });
    }

    /// Takes back what was put in line, if it was not started yet.
    pub(super) fn withdraw(&mut self) {
        self.candidate.take_if(|candidate| candidate.starts == 0);
    }

    /// The version that is being tried.
    pub(super) fn tried(&self) -> Option<&ReleaseVersion> {
        let candidate = self.candidate.as_ref().filter(|c| c.starts > 0);
        candidate.map(|candidate| &candidate.release.version)
    }

    /// `running` has reached control. Whether that ends its trial.
    pub(super) fn confirm(&mut self, running: &ReleaseVersion) -> bool {
        if self.tried() != Some(running) {
            return false;
        }
        let Some(candidate) = self.candidate.take() else {
            return false;
        };
        self.last = Some(Outcome {
            version: candidate.release.version.clone(),
            request: candidate.request,
            rolled_back: None,
            logged: true,
        });
        self.confirmed = Some(candidate.release);
        true
    }

    /// The candidate is given up.
    pub(super) fn roll_back(&mut self, reason: String) {
        if let Some(candidate) = self.candidate.take() {
            self.last = Some(Outcome {
                version: candidate.release.version,
                request: candidate.request,
                rolled_back: Some(reason),
                logged: false,
            });
        }
    }

    /// The packaged program is to run from the next start on.
    pub(super) fn leave_all(&mut self) {
        *self = Self::default();
    }

    /// Whether control's wish `request` was carried out, one way or the other, or is about to be.
    pub(super) fn knows(&self, request: &str) -> bool {
        let candidate = self.candidate.as_ref().and_then(|c| c.request.as_deref());
        let last = self.last.as_ref().and_then(|last| last.request.as_deref());
        candidate == Some(request) || last == Some(request)
    }

    /// The versions whose files are needed.
    pub(super) fn needed(&self) -> impl Iterator<Item = &ReleaseVersion> {
        let candidate = self.candidate.as_ref().map(|c| &c.release);
        let needed = self.confirmed.iter().chain(candidate);
        needed.map(|release| &release.version)
    }
}

#[cfg(test)]
mod tests;
