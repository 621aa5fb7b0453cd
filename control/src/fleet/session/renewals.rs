//! When an agent is asked to renew its certificate: once for each stage of a rotation of the CA
//! that it is not ready to leave.

use datasync_proto::Renew;
use datasync_proto::control_message::Message as Down;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use crate::ca::rotation::{Stage, lacks};
use crate::ca::{Authorities, Trusted};
use crate::records::AgentCertificate;

/// What nothing is known of counts as good for as long as the agent shows it.
const UNKNOWN_LIFE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

pub(super) struct Renewals {
    trusted: watch::Receiver<Arc<Trusted>>,
    /// What control issued to the agent last; `None` if that was before this release.
    held: Option<AgentCertificate>,
    asked: Option<Stage>,
}

impl Renewals {
    pub(super) fn new(authorities: &Authorities, held: Option<AgentCertificate>) -> Self {
        Self {
            trusted: authorities.changes(),
            held,
            asked: None,
        }
    }

    /// Waits for another CA or another stage; for ever once control stops.
    pub(super) async fn changed(&mut self) {
        if self.trusted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What to tell the agent now, if anything.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Down> {
        let under_way = self.trusted.borrow_and_update().under_way()?;
        let (stage, end) = (under_way.stage, now + UNKNOWN_LIFE);
        let is_lacking = lacks(stage, &under_way.next, self.held.as_ref(), end, now);
        if !is_lacking || self.asked == Some(stage) {
            return None;
        }
        self.asked = Some(stage);
        Some(Down::Renew(Renew {}))
    }
}
