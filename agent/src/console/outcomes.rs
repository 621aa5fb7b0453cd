//! What came of commands, put where it was asked for.

use std::time::Duration;

use super::app::{Agent, App, Screen};
use super::command::Outcome;
use super::page::Line;
use super::report::Report;
use super::screens::{lock, log_level, network};
use super::topic::Topic;

/// Shows what the command with this ticket is at.
pub(super) fn progress(app: &mut App, ticket: u64, lines: Vec<Line>) {
    if ticket != app.ticket {
        return;
    }
    if let Screen::Report(report) = &mut app.screen
        && report.is_waiting
    {
        report.lines = lines;
    }
}

fn password_report(room: (usize, usize)) -> Report {
    let mut report = Report::waiting(Topic::Password.title(), None);
    report.finish(vec![Line::ok("The password is set.")], room);
    report
}

/// Takes what came of the command with this ticket.
pub(super) fn finish(app: &mut App, ticket: u64, outcome: Outcome, now: Duration) {
    if let Outcome::Agent(said) = outcome {
        app.is_asking = false;
        app.agent = match said {
            Ok(snapshot) => Agent::Up(snapshot),
            Err(reason) => Agent::Down(reason),
        };
        app.refresh();
        return;
    }
    if ticket != app.ticket {
        return;
    }
    let room = app.room();
    match (outcome, &mut app.screen) {
        (Outcome::Unlocked(Ok(true)), Screen::Locked(_)) => {
            app.attempts = lock::Attempts::default();
            app.screen = Screen::Menu { at: 0 };
        }
        (Outcome::Unlocked(said), Screen::Locked(form)) => {
            app.attempts.failed(now);
            form.problem = Some(match said {
                Ok(_) => "Wrong password.".to_owned(),
                Err(reason) => reason,
            });
        }
        (Outcome::PasswordSet(Ok(())), Screen::Form(..) | Screen::FirstPassword(_)) => {
            app.has_password = true;
            app.screen = Screen::Report(password_report(room));
        }
        (
            Outcome::PasswordSet(Err(reason)),
            Screen::Form(_, form) | Screen::FirstPassword(form),
        ) => {
            form.clear_secrets();
            form.problem = Some(reason);
        }
        (Outcome::PasswordThere, Screen::Form(..) | Screen::FirstPassword(_)) => {
            app.has_password = true;
            app.screen = Screen::Locked(lock::form());
        }
        (Outcome::Network(settings), Screen::Report(_)) => {
            app.screen = Screen::Form(Topic::Network, network::form(&settings));
        }
        (Outcome::LogLevel(level), Screen::Report(_)) => {
            app.screen = Screen::Form(Topic::Log, log_level::form(&level));
        }
        (
            Outcome::Control {
                control,
                faults,
                lines,
            },
            screen,
        ) => {
            app.place.control = control;
            app.place.faults = faults;
            if let Screen::Report(report) = screen {
                report.finish(lines, room);
            }
        }
        (Outcome::Lines(lines), Screen::Report(report)) => report.finish(lines, room),
        (
            Outcome::Lines(lines),
            Screen::Locked(form) | Screen::FirstPassword(form) | Screen::Form(_, form),
        ) => {
            let text: Vec<_> = lines.into_iter().map(|line| line.text).collect();
            form.problem = Some(text.join(" "));
        }
        _ => {}
    }
}
