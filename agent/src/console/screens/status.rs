//! The agent's id and status.

use datasync_model::UpdateState;

use super::super::app::{Agent, Place};
use super::super::page::{Grade, Line};
use super::storage::offset;
use crate::local::{SessionState, Snapshot};
use crate::supervisor::Phase;
use crate::updates::UpdateTold;

pub(in super::super) fn lines(place: &Place, agent: &Agent) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(faults) = &place.faults {
        lines.push(Line::fail(format!("Configuration: {faults}")));
    }
    match agent {
        Agent::Unknown => lines.push(Line::plain("Asking the agent...")),
        Agent::Down(reason) => {
            lines.push(Line::fail(format!("Agent: not running ({reason})")));
            let advice = if place.is_appliance {
                "It is started again by itself, unless its configuration cannot be used; the log \
                 (7) says why it ended."
            } else {
                "Start it, for example: systemctl start datasync-agent"
            };
            lines.push(Line::plain(advice));
        }
        Agent::Up(snapshot) => lines.extend(up(snapshot)),
    }
    if !place.control.address.is_empty() {
        lines.push(Line::plain(format!(
            "Control     {}",
            place.control.address
        )));
    }
    lines
}

fn up(snapshot: &Snapshot) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut push = |name: &str, value: &str| lines.push(Line::plain(format!("{name:<11} {value}")));
    match &snapshot.phase {
        Phase::Active { arn } => {
            push("Agent id", arn.id());
            push("ARN", &arn.to_string());
        }
        _ => push("Agent id", "none: not activated"),
    }
    push("Version", &snapshot.version);
    let running = snapshot
        .executions
        .iter()
        .filter(|report| !report.status.is_terminal());
    push("Executions", &format!("{} not ended", running.count()));
    lines.push(status(snapshot));
    if let SessionState::Open {
        control,
        ahead_seconds,
    } = &snapshot.session
    {
        lines.push(Line::plain(format!("Session     with {control}")));
        let clock = offset(*ahead_seconds, "control's");
        lines.push(Line::plain(format!("Clock       {clock}")));
    }
    lines.extend(update(&snapshot.update));
    lines
}

/// Where the last update stands, if there was one.
fn update(told: &UpdateTold) -> Option<Line> {
    let version = told
        .version
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let detail = told.detail.as_deref().unwrap_or("no reason is known");
    Some(match told.state {
        UpdateState::None => return None,
        UpdateState::Fetching => Line::plain(format!("Update      {version} is being fetched")),
        UpdateState::Refused => Line::fail(format!("Update: {version} was refused: {detail}")),
        UpdateState::Waiting => {
            Line::plain(format!("Update      {version} waits for executions to end"))
        }
        UpdateState::Trying => Line::plain(format!("Update      {version} is being tried")),
        UpdateState::Confirmed => Line::plain(format!("Update      {version} is installed")),
        UpdateState::RolledBack => {
            Line::fail(format!("Update: {version} was taken back: {detail}"))
        }
    })
}

fn status(snapshot: &Snapshot) -> Line {
    match (&snapshot.phase, &snapshot.session) {
        (Phase::Active { .. }, SessionState::Open { .. }) => Line::ok("Status: ONLINE"),
        (Phase::Active { .. }, SessionState::None) => {
            Line::graded(Grade::Warning, "Status: connecting to control")
        }
        (Phase::Active { .. }, SessionState::Lost { reason }) => {
            Line::fail(format!("Status: no session with control: {reason}"))
        }
        (Phase::AwaitingActivation { address }, _) => Line::graded(
            Grade::Warning,
            format!("Status: waiting for activation on {address}"),
        ),
        (Phase::Claiming, _) => Line::graded(Grade::Warning, "Status: claiming an activation key"),
        (Phase::Starting, _) => Line::graded(Grade::Warning, "Status: starting"),
        (Phase::Stopped, _) => Line::fail("Status: stopping"),
    }
}
