//! The menu, below what matters most of the agent.

use super::super::app::{Agent, App};
use super::super::page::{Line, Page, Row, wrapped};
use super::super::topic::Topic;
use crate::supervisor::Phase;

pub(in super::super) fn page(app: &App, at: usize, (width, height): (usize, usize)) -> Page {
    let mut rows: Vec<Row> = wrapped(&Line::plain(summary(app)), width)
        .into_iter()
        .map(Row::plain)
        .collect();
    rows.push(Row::default());
    let first = rows.len();
    for (number, topic) in Topic::ALL.into_iter().enumerate() {
        rows.push(Row {
            text: format!(" {number}  {} ", topic.title()),
            is_chosen: number == at,
        });
    }
    let leave = if app.place.is_appliance {
        "q lock"
    } else {
        "q leave"
    };
    Page {
        title: "DataSync agent - local console".to_owned(),
        top: (first + at + 1).saturating_sub(height),
        rows,
        cursor: None,
        hint: format!("0-9, or arrows and Enter   {leave}"),
    }
}

/// One sentence.
fn summary(app: &App) -> String {
    if let Some(faults) = &app.place.faults {
        return faults.clone();
    }
    match &app.agent {
        Agent::Unknown => "Asking the agent...".to_owned(),
        Agent::Down(reason) => format!("The agent is not running: {reason}."),
        Agent::Up(snapshot) => match &snapshot.phase {
            Phase::Starting => "The agent is starting.".to_owned(),
            Phase::Claiming => "The agent is claiming its activation key.".to_owned(),
            Phase::AwaitingActivation { .. } => {
                "The agent is not activated: get an activation key (0).".to_owned()
            }
            Phase::Active { .. } if snapshot.is_online() => {
                "The agent is connected to control.".to_owned()
            }
            Phase::Active { .. } => {
                "The agent is activated, and not connected to control (test it: 2).".to_owned()
            }
            Phase::Stopped => "The agent is stopping.".to_owned(),
        },
    }
}
