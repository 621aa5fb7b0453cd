//! From one state to the next.

use std::time::Duration;

use super::app::{App, Effect, Event, Screen};
use super::command::Command;
use super::form::{Form, Pressed};
use super::key::Key;
use super::outcomes::{finish, progress};
use super::page::Line;
use super::report::Report;
use super::screens::{activation, connection, lock, log_level, network, storage, support};
use super::topic::Topic;

/// The next state, and what is to be done. `now` is the time since the console was started.
pub(super) fn update(mut app: App, event: Event, now: Duration) -> (App, Vec<Effect>) {
    let effects = match event {
        Event::Key(Key::Redraw) => vec![Effect::Clear],
        Event::Key(key) => {
            app.active_at = now;
            press(&mut app, key, now)
        }
        Event::Resize(width, height) => {
            app.size = (width, height);
            vec![Effect::Clear]
        }
        Event::Tick => tick(&mut app, now),
        Event::Progress { ticket, lines } => {
            progress(&mut app, ticket, lines);
            Vec::new()
        }
        Event::Done { ticket, outcome } => {
            finish(&mut app, ticket, outcome, now);
            Vec::new()
        }
    };
    (app, effects)
}

fn tick(app: &mut App, now: Duration) -> Vec<Effect> {
    let is_idle = lock::is_idle(now, app.active_at);
    if app.has_password && is_idle && !matches!(app.screen, Screen::Locked(_)) {
        app.screen = Screen::Locked(lock::form());
        app.ticket += 1;
    }
    let shows_agent = matches!(
        app.screen,
        Screen::Menu { .. } | Screen::Status(_) | Screen::Execution(_)
    );
    if !shows_agent || app.is_asking {
        return Vec::new();
    }
    app.is_asking = true;
    vec![Effect::Run {
        ticket: 0,
        command: Command::Ask,
    }]
}

fn press(app: &mut App, key: Key, now: Duration) -> Vec<Effect> {
    let room = app.room();
    match &mut app.screen {
        Screen::Locked(form) => {
            if form.press(key) != Pressed::Submit {
                return Vec::new();
            }
            if let Err(wait) = app.attempts.allowed(now) {
                form.clear_secrets();
                form.problem = Some(wait);
                return Vec::new();
            }
            let password = form.value(lock::PASSWORD).to_owned();
            form.clear_secrets();
            form.problem = Some("Please wait...".to_owned());
            run(app, Command::Unlock { password })
        }
        Screen::FirstPassword(form) => match form.press(key) {
            Pressed::Submit => submit(app, Topic::Password),
            Pressed::Nothing | Pressed::Leave => Vec::new(),
        },
        Screen::Menu { at } => {
            let at = *at;
            press_menu(app, key, at)
        }
        Screen::Form(topic, form) => {
            let topic = *topic;
            match form.press(key) {
                Pressed::Nothing => Vec::new(),
                Pressed::Leave => back(app, topic),
                Pressed::Submit => submit(app, topic),
            }
        }
        Screen::Report(report) | Screen::Status(report) | Screen::Execution(report) => match key {
            Key::Back | Key::Char('q') => {
                app.ticket += 1;
                app.screen = Screen::Menu { at: 0 };
                Vec::new()
            }
            Key::Char('r') if !report.is_waiting => match report.again.clone() {
                Some(command) => {
                    report.is_waiting = true;
                    report.lines = vec![Line::plain("Please wait...")];
                    run(app, command)
                }
                None => Vec::new(),
            },
            Key::Char('l') if !report.is_waiting => match report.level.clone() {
                Some(command) => run(app, command),
                None => Vec::new(),
            },
            key => {
                report.press(key, room);
                Vec::new()
            }
        },
    }
}

fn press_menu(app: &mut App, key: Key, at: usize) -> Vec<Effect> {
    let last = Topic::ALL.len() - 1;
    let go = |at: usize| Screen::Menu { at };
    match key {
        Key::Up => app.screen = go(at.saturating_sub(1)),
        Key::Down => app.screen = go((at + 1).min(last)),
        Key::PageUp => app.screen = go(0),
        Key::PageDown => app.screen = go(last),
        Key::Enter => return open(app, Topic::ALL[at.min(last)]),
        Key::Char('q') | Key::Back => {
            if !app.place.is_appliance {
                return vec![Effect::Quit];
            }
            app.screen = Screen::Locked(lock::form());
        }
        Key::Char(c) => {
            let digit = c.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
            if let Some(topic) = digit.and_then(|digit| Topic::ALL.get(digit)) {
                return open(app, *topic);
            }
        }
        Key::Erase | Key::Redraw => {}
    }
    Vec::new()
}

fn back(app: &mut App, topic: Topic) -> Vec<Effect> {
    app.ticket += 1;
    let at = Topic::ALL.iter().position(|known| *known == topic);
    app.screen = Screen::Menu {
        at: at.unwrap_or(0),
    };
    Vec::new()
}

/// Goes to what the operator chose.
fn open(app: &mut App, topic: Topic) -> Vec<Effect> {
    match topic {
        Topic::ActivationKey => form(app, topic, activation::form()),
        Topic::Storage => form(app, topic, storage::form()),
        Topic::Support => {
            let directory = app.place.support_directory.clone();
            form(app, topic, support::form(&directory))
        }
        Topic::Password => {
            let has_password = app.has_password;
            form(app, topic, lock::change_form(has_password))
        }
        Topic::Connection if app.place.is_appliance => {
            let control = app.place.control.clone();
            form(app, topic, connection::form(&control))
        }
        Topic::Network if app.place.is_appliance => report(app, topic, Command::ReadNetwork, false),
        Topic::Network => report(app, topic, Command::ShowNetwork, true),
        Topic::Connection => report(app, topic, Command::TestConnection, true),
        Topic::Resources => report(app, topic, Command::CheckResources, true),
        Topic::Log => {
            let effects = report(app, topic, Command::ReadLog, true);
            if let Screen::Report(report) = &mut app.screen {
                report.from_end = true;
                report.level = app.place.is_appliance.then_some(Command::ReadLogLevel);
            }
            effects
        }
        Topic::Status => live(app, Screen::Status(Report::waiting(topic.title(), None))),
        Topic::Execution => live(app, Screen::Execution(Report::waiting(topic.title(), None))),
    }
}

fn form(app: &mut App, topic: Topic, form: Form) -> Vec<Effect> {
    app.screen = Screen::Form(topic, form);
    Vec::new()
}

fn live(app: &mut App, screen: Screen) -> Vec<Effect> {
    app.screen = screen;
    app.refresh();
    Vec::new()
}

fn report(app: &mut App, topic: Topic, command: Command, can_repeat: bool) -> Vec<Effect> {
    let again = can_repeat.then(|| command.clone());
    app.screen = Screen::Report(Report::waiting(topic.title(), again));
    run(app, command)
}

fn run(app: &mut App, command: Command) -> Vec<Effect> {
    app.ticket += 1;
    vec![Effect::Run {
        ticket: app.ticket,
        command,
    }]
}

/// Takes a form that was filled in.
fn submit(app: &mut App, topic: Topic) -> Vec<Effect> {
    let (Screen::Form(_, form) | Screen::FirstPassword(form)) = &mut app.screen else {
        return Vec::new();
    };
    let asked = match topic {
        Topic::ActivationKey => activation::submit(form),
        Topic::Storage => storage::submit(form),
        Topic::Support => support::submit(form),
        Topic::Network => network::submit(form),
        Topic::Connection => connection::submit(form, &app.place.control),
        Topic::Password => lock::submit(form),
        Topic::Log => Ok(log_level::submit(form)),
        Topic::Resources | Topic::Status | Topic::Execution => return Vec::new(),
    };
    let command = match asked {
        Ok(command) => command,
        Err(problem) => {
            form.problem = Some(problem);
            return Vec::new();
        }
    };
    if topic == Topic::Password {
        // The form stays: the old password may be wrong.
        form.problem = Some("Please wait...".to_owned());
        return run(app, command);
    }
    let can_repeat = matches!(topic, Topic::ActivationKey | Topic::Storage)
        || command == Command::TestConnection;
    report(app, topic, command, can_repeat)
}
