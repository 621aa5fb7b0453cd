//! The state of the console.

use std::time::Duration;

use super::command::{Command, Outcome};
use super::form::Form;
use super::key::Key;
use super::page::{Line, Page, room};
use super::report::Report;
use super::screens::{execution, lock, menu, status};
use super::topic::Topic;
use crate::appliance::ControlSettings;
use crate::local::Snapshot;

/// What does not change while the console runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// This machine's name.
    pub(super) name: String,
    /// Where control is, as configured; empty if that is not known.
    pub(super) control: ControlSettings,
    /// Whether the console configures this machine.
    pub(super) is_appliance: bool,
    /// What is wrong with the seed and with the agent's configuration, in sentences.
    pub(super) faults: Option<String>,
    /// Where support bundles go unless another place is named.
    pub(super) support_directory: String,
    /// Whether the terminal knows nothing but ASCII.
    pub(super) is_ascii: bool,
}

/// What is known of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agent {
    /// It has not been asked yet.
    Unknown,
    /// Why it does not answer.
    Down(String),
    Up(Box<Snapshot>),
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Screen {
    /// The password is asked for.
    Locked(Form),
    /// The first password is to be chosen: nothing else can be done.
    FirstPassword(Form),
    Menu {
        /// Index into [`Topic::ALL`].
        at: usize,
    },
    /// Input for a topic.
    Form(Topic, Form),
    Report(Report),
    /// Drawn anew whenever the agent has said where it stands.
    Status(Report),
    /// Likewise.
    Execution(Report),
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    pub(super) place: Place,
    pub(super) has_password: bool,
    pub(super) screen: Screen,
    pub(super) agent: Agent,
    /// Whether [`Command::Ask`] is under way.
    pub(super) is_asking: bool,
    /// The command whose outcome the screen waits for; those of earlier ones are not shown.
    pub(super) ticket: u64,
    pub(super) attempts: lock::Attempts,
    /// When a key was last pressed.
    pub(super) active_at: Duration,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
}

/// What happens to the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Key(Key),
    /// Columns and rows.
    Resize(u16, u16),
    /// Comes every second.
    Tick,
    /// A command is not at its end yet.
    Progress {
        ticket: u64,
        /// What it has done, and what it is at.
        lines: Vec<Line>,
    },
    Done {
        ticket: u64,
        outcome: Outcome,
    },
}

/// What is to be done besides drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Run {
        ticket: u64,
        command: Command,
    },
    /// Draw everything anew.
    Clear,
    Quit,
}

impl App {
    /// The first state: locked where there is a password; on an appliance without one, it is to be
    /// chosen.
    pub(super) fn new(place: Place, has_password: bool, size: (u16, u16)) -> Self {
        let screen = if has_password {
            Screen::Locked(lock::form())
        } else if place.is_appliance {
            Screen::FirstPassword(lock::first_form())
        } else {
            Screen::Menu { at: 0 }
        };
        Self {
            place,
            has_password,
            screen,
            agent: Agent::Unknown,
            is_asking: false,
            ticket: 0,
            attempts: lock::Attempts::default(),
            active_at: Duration::ZERO,
            size,
        }
    }

    pub(super) fn room(&self) -> (usize, usize) {
        room(self.size)
    }

    /// What is to be drawn.
    pub(super) fn page(&self) -> Page {
        let room = self.room();
        match &self.screen {
            Screen::Locked(form) | Screen::FirstPassword(form) => form.page(room, false),
            Screen::Menu { at } => menu::page(self, *at, room),
            Screen::Form(_, form) => form.page(room, true),
            Screen::Report(report) | Screen::Status(report) | Screen::Execution(report) => {
                report.page(room)
            }
        }
    }

    /// Puts what the agent said into the screen that shows it.
    pub(super) fn refresh(&mut self) {
        match &mut self.screen {
            Screen::Status(report) => report.lines = status::lines(&self.place, &self.agent),
            Screen::Execution(report) => report.lines = execution::lines(&self.agent),
            _ => {}
        }
    }
}
