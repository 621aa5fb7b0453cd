//! Where an update stands, for control and for whoever looks on.

use datasync_model::{ReleaseVersion, UpdateState};
use datasync_proto::UpdateStatus;
use serde::{Deserialize, Serialize};

use super::standing::Standing;

/// The longest reason that is told, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// Where the last update stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpdateTold {
    pub(crate) state: UpdateState,
    /// What it is about.
    pub(crate) version: Option<ReleaseVersion>,
    /// Of control's wish.
    pub(crate) request: Option<String>,
    /// Why it was refused or taken back.
    pub(crate) detail: Option<String>,
}

impl Default for UpdateTold {
    fn default() -> Self {
        Self {
            state: UpdateState::None,
            version: None,
            request: None,
            detail: None,
        }
    }
}

impl UpdateTold {
    pub(super) fn of(standing: &Standing) -> Self {
        if let Some(candidate) = &standing.candidate {
            let state = if candidate.starts == 0 {
                UpdateState::Waiting
            } else {
                UpdateState::Trying
            };
            return Self {
                state,
                version: Some(candidate.release.version.clone()),
                request: candidate.request.clone(),
                detail: None,
            };
        }
        let Some(last) = &standing.last else {
            return Self::default();
        };
        let state = match last.rolled_back {
            Some(_) => UpdateState::RolledBack,
            None => UpdateState::Confirmed,
        };
        Self {
            state,
            version: Some(last.version.clone()),
            request: last.request.clone(),
            detail: last.rolled_back.as_deref().map(bounded),
        }
    }

    /// An update that control wishes for and that is not installed yet.
    pub(super) fn of_wish(
        state: UpdateState,
        (version, request): (&ReleaseVersion, &str),
        detail: Option<&str>,
    ) -> Self {
        Self {
            state,
            version: Some(version.clone()),
            request: Some(request.to_owned()),
            detail: detail.map(bounded),
        }
    }

    pub(crate) fn message(&self) -> UpdateStatus {
        let version = self.version.as_ref();
        UpdateStatus {
            state: self.state.to_string(),
            version: version.map(ToString::to_string).unwrap_or_default(),
            request_id: self.request.clone().unwrap_or_default(),
            detail: self.detail.clone().unwrap_or_default(),
        }
    }
}

fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(DETAIL_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}
