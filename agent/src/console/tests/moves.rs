//! Keys, outcomes and time.

use std::time::Duration;

use super::super::app::{Agent, App, Effect, Event, Screen};
use super::super::command::{Command, Outcome};
use super::super::key::Key;
use super::super::page::Line;
use super::super::topic::Topic;
use super::super::update::update;
use super::{app, online};
use crate::appliance::{ControlSettings, NetworkSettings, good};

const SIZE: (u16, u16) = (80, 25);

/// The console under test, at a time that stands still unless it is moved.
struct Desk {
    app: App,
    now: Duration,
    effects: Vec<Effect>,
}

impl Desk {
    fn new(is_appliance: bool, has_password: bool) -> Self {
        Self {
            app: app(is_appliance, has_password, SIZE),
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        let (app, effects) = update(self.app.clone(), event, self.now);
        self.app = app;
        self.effects = effects;
        self
    }

    fn key(&mut self, key: Key) -> &mut Self {
        self.event(Event::Key(key))
    }

    fn typed(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.key(Key::Char(c));
        }
        self
    }

    fn command(&self) -> Option<&Command> {
        match self.effects.as_slice() {
            [Effect::Run { command, .. }] => Some(command),
            _ => None,
        }
    }

    fn done(&mut self, outcome: Outcome) -> &mut Self {
        let ticket = self.app.ticket;
        self.event(Event::Done { ticket, outcome })
    }

    fn shown(&self) -> String {
        let rows: Vec<_> = self
            .app
            .page()
            .rows
            .into_iter()
            .map(|row| row.text)
            .collect();
        rows.join("\n")
    }
}

#[test]
fn each_digit_opens_its_item_and_escape_comes_back() {
    let expected = [
        (None, true),
        (Some(Command::ReadNetwork), false),
        (None, true),
        (None, true),
        (Some(Command::CheckResources), false),
        (None, false),
        (None, false),
        (Some(Command::ReadLog), false),
        (None, true),
        (None, true),
    ];
    for (digit, (command, is_form)) in expected.into_iter().enumerate() {
        let mut desk = Desk::new(true, true);
        desk.app.screen = Screen::Menu { at: 0 };
        desk.typed(&digit.to_string());
        assert_eq!(desk.command(), command.as_ref(), "{digit}");
        assert_eq!(
            matches!(desk.app.screen, Screen::Form(..)),
            is_form,
            "{digit}"
        );
        assert!(!matches!(desk.app.screen, Screen::Menu { .. }), "{digit}");
        desk.key(Key::Back);
        assert!(matches!(desk.app.screen, Screen::Menu { .. }), "{digit}");
    }
}

#[test]
fn arrows_and_enter_do_as_well() {
    let mut desk = Desk::new(false, false);
    desk.key(Key::Down).key(Key::Down).key(Key::Enter);
    assert_eq!(desk.command(), Some(&Command::TestConnection));
    desk.key(Key::Char('q'))
        .key(Key::PageDown)
        .key(Key::Down)
        .key(Key::Enter);
    assert!(matches!(desk.app.screen, Screen::Form(Topic::Password, _)));
    desk.key(Key::Back).key(Key::PageUp).key(Key::Up);
    assert!(matches!(desk.app.screen, Screen::Menu { at: 0 }));
}

#[test]
fn a_machine_of_ones_own_is_left_and_the_appliance_is_locked() {
    let mut own = Desk::new(false, false);
    assert_eq!(own.key(Key::Char('q')).effects, [Effect::Quit]);
    let mut appliance = Desk::new(true, true);
    appliance.app.screen = Screen::Menu { at: 0 };
    assert!(appliance.key(Key::Back).effects.is_empty());
    assert!(matches!(appliance.app.screen, Screen::Locked(_)));
}

#[test]
fn network_is_shown_outside_the_appliance_and_configured_in_it() {
    let mut own = Desk::new(false, false);
    assert_eq!(own.typed("1").command(), Some(&Command::ShowNetwork));
    let mut appliance = Desk::new(true, true);
    appliance.app.screen = Screen::Menu { at: 0 };
    assert_eq!(appliance.typed("1").command(), Some(&Command::ReadNetwork));
    let settings = NetworkSettings {
        interface: "ens3".to_owned(),
        ..NetworkSettings::default()
    };
    appliance.done(Outcome::Network(Box::new(settings.clone())));
    assert!(matches!(
        appliance.app.screen,
        Screen::Form(Topic::Network, _)
    ));
    appliance.key(Key::PageDown).key(Key::Enter);
    assert_eq!(
        appliance.command(),
        Some(&Command::ApplyNetwork(Box::new(settings)))
    );
}

#[test]
fn what_a_command_is_at_is_shown_until_its_end() {
    let mut desk = Desk::new(true, true);
    desk.app.screen = Screen::Menu { at: 0 };
    let earlier = desk.typed("1").app.ticket;
    desk.done(Outcome::Network(Box::new(good())));
    desk.key(Key::PageDown).key(Key::Enter);
    let progress = |ticket, text: &str| Event::Progress {
        ticket,
        lines: vec![Line::plain(text)],
    };
    let ticket = desk.app.ticket;
    desk.event(progress(ticket, "Please wait: networkctl reload"));
    desk.event(progress(earlier, "of a command before"));
    assert_eq!(desk.shown(), "Please wait: networkctl reload");
    desk.done(Outcome::Lines(vec![Line::ok("networkctl reload")]));
    desk.event(progress(ticket, "late"));
    assert!(desk.shown().starts_with("OK"), "{}", desk.shown());
}

#[test]
fn the_level_of_the_log_is_changed_on_the_appliance() {
    let mut own = Desk::new(false, false);
    own.typed("7").done(Outcome::Lines(vec![Line::plain("a")]));
    assert_eq!(own.typed("l").command(), None);
    let mut desk = Desk::new(true, true);
    desk.app.screen = Screen::Menu { at: 0 };
    desk.typed("7l");
    assert_eq!(desk.command(), None, "not while the log is read");
    desk.done(Outcome::Lines(vec![Line::plain("a line")]));
    assert_eq!(desk.typed("l").command(), Some(&Command::ReadLogLevel));
    desk.done(Outcome::LogLevel("info,datasync_s3=debug".to_owned()));
    assert!(desk.shown().contains("< info,datasync_s3=debug >"));
    desk.typed(" ").key(Key::Enter);
    let level = "error".to_owned();
    assert_eq!(desk.command(), Some(&Command::SetLogLevel { level }));
    desk.key(Key::Back);
    desk.typed("7").done(Outcome::Lines(Vec::new()));
    desk.typed("l").done(Outcome::LogLevel("info".to_owned()));
    desk.key(Key::Back);
    assert!(matches!(desk.app.screen, Screen::Menu { at: 7 }));
}

#[test]
fn where_control_is_can_be_said_at_the_appliance_and_is_tested() {
    let mut desk = Desk::new(true, true);
    desk.app.screen = Screen::Menu { at: 0 };
    desk.app.place.faults = Some("control: missing".to_owned());
    desk.typed("2").key(Key::PageDown).key(Key::Enter);
    assert_eq!(desk.command(), Some(&Command::TestConnection), "unchanged");
    desk.key(Key::Back).typed("2").typed("9").key(Key::PageDown);
    desk.key(Key::Enter);
    let control = ControlSettings {
        address: "control.example:94439".to_owned(),
        ..desk.app.place.control.clone()
    };
    assert_eq!(desk.command(), None);
    assert!(desk.shown().contains("control"), "{}", desk.shown());
    desk.key(Key::PageUp)
        .key(Key::Erase)
        .key(Key::Erase)
        .typed("4");
    desk.key(Key::PageDown).key(Key::Enter);
    let control = ControlSettings {
        address: "control.example:9444".to_owned(),
        ..control
    };
    assert_eq!(desk.command(), Some(&Command::SetControl(control.clone())));
    desk.done(Outcome::Control {
        control: control.clone(),
        faults: None,
        lines: vec![Line::ok("gRPC: good")],
    });
    assert!(desk.shown().contains("gRPC: good"));
    assert_eq!(desk.app.place.control, control);
    assert_eq!(desk.app.place.faults, None);
}

#[test]
fn the_lock_opens_for_the_password_alone() {
    let mut desk = Desk::new(true, true);
    // No key leads around it.
    desk.key(Key::Back).typed("0").key(Key::Erase);
    assert!(matches!(desk.app.screen, Screen::Locked(_)));
    desk.typed("secret!").key(Key::Enter);
    let password = "secret!".to_owned();
    assert_eq!(desk.command(), Some(&Command::Unlock { password }));
    assert!(!format!("{:?}{:?}", desk.app, desk.effects).contains("secret!"));
    desk.done(Outcome::Unlocked(Ok(false)));
    assert!(desk.shown().contains("Wrong password"));
    desk.done(Outcome::Unlocked(Err("the file cannot be used".to_owned())));
    assert!(matches!(desk.app.screen, Screen::Locked(_)));
    desk.done(Outcome::Unlocked(Ok(false)));
    // The third wrong one in a row costs time.
    desk.typed("again").key(Key::Enter);
    assert_eq!(desk.command(), None);
    assert!(desk.shown().contains("try again in"), "{}", desk.shown());
    desk.now += Duration::from_secs(2);
    desk.typed("right").key(Key::Enter);
    desk.done(Outcome::Unlocked(Ok(true)));
    assert!(matches!(desk.app.screen, Screen::Menu { .. }));
}

#[test]
fn an_answer_to_an_earlier_attempt_opens_nothing() {
    let mut desk = Desk::new(true, true);
    desk.typed("one").key(Key::Enter);
    let earlier = desk.app.ticket;
    desk.typed("two").key(Key::Enter);
    desk.event(Event::Done {
        ticket: earlier,
        outcome: Outcome::Unlocked(Ok(true)),
    });
    assert!(matches!(desk.app.screen, Screen::Locked(_)));
}

#[test]
fn the_first_password_must_be_chosen_on_the_appliance() {
    let mut desk = Desk::new(true, false);
    desk.key(Key::Back).typed("q");
    assert!(matches!(desk.app.screen, Screen::FirstPassword(_)));
    desk.key(Key::Erase).typed("long enough").key(Key::Enter);
    desk.typed("long enougn").key(Key::Enter).key(Key::Enter);
    assert_eq!(desk.command(), None);
    assert!(desk.shown().contains("differ"));
    desk.key(Key::Up)
        .key(Key::Erase)
        .typed("h")
        .key(Key::Down)
        .key(Key::Enter);
    assert_eq!(
        desk.command(),
        Some(&Command::SetPassword {
            old: None,
            new: "long enough".to_owned()
        })
    );
    desk.done(Outcome::PasswordSet(Err("the disk is full".to_owned())));
    assert!(matches!(desk.app.screen, Screen::FirstPassword(_)));
    desk.done(Outcome::PasswordSet(Ok(())));
    assert!(desk.shown().contains("The password is set"));
    assert!(desk.app.has_password);
    desk.key(Key::Back);
    assert!(matches!(desk.app.screen, Screen::Menu { .. }));
}

#[test]
fn a_password_that_another_line_has_set_is_asked_for() {
    let mut desk = Desk::new(true, false);
    desk.typed("long enough")
        .key(Key::Enter)
        .typed("long enough");
    desk.key(Key::Enter).key(Key::Enter);
    desk.done(Outcome::PasswordThere);
    assert!(matches!(desk.app.screen, Screen::Locked(_)));
}

#[test]
fn an_idle_console_locks_itself_where_there_is_a_password() {
    for (has_password, is_locked) in [(true, true), (false, false)] {
        let mut desk = Desk::new(false, has_password);
        desk.app.screen = Screen::Menu { at: 0 };
        desk.now = Duration::from_secs(500);
        desk.key(Key::Down);
        desk.now += Duration::from_secs(599);
        desk.event(Event::Tick);
        assert!(matches!(desk.app.screen, Screen::Menu { .. }));
        desk.now += Duration::from_secs(1);
        desk.event(Event::Tick);
        assert_eq!(matches!(desk.app.screen, Screen::Locked(_)), is_locked);
    }
}

#[test]
fn the_agent_is_asked_once_at_a_time_and_where_it_is_shown() {
    let mut desk = Desk::new(false, false);
    assert_eq!(desk.event(Event::Tick).command(), Some(&Command::Ask));
    assert_eq!(desk.event(Event::Tick).command(), None);
    desk.event(Event::Done {
        ticket: 0,
        outcome: Outcome::Agent(Err("no agent".to_owned())),
    });
    assert_eq!(desk.app.agent, Agent::Down("no agent".to_owned()));
    assert_eq!(desk.event(Event::Tick).command(), Some(&Command::Ask));
    // An answer reaches the screen that is shown by then.
    desk.typed("5");
    let Agent::Up(snapshot) = online(Vec::new()) else {
        panic!("not up");
    };
    desk.event(Event::Done {
        ticket: 0,
        outcome: Outcome::Agent(Ok(snapshot)),
    });
    assert!(desk.shown().contains("ONLINE"), "{}", desk.shown());
    desk.key(Key::Back).typed("4").event(Event::Tick);
    assert_eq!(desk.command(), None);
}

#[test]
fn a_result_is_shown_where_it_was_asked_for_and_can_be_repeated() {
    let mut desk = Desk::new(false, false);
    desk.typed("4");
    let asked = desk.app.ticket;
    desk.key(Key::Back).typed("2");
    desk.event(Event::Done {
        ticket: asked,
        outcome: Outcome::Lines(vec![Line::ok("of the screen before")]),
    });
    assert!(desk.shown().contains("Please wait"));
    desk.typed("r");
    assert_eq!(desk.command(), None, "not while it runs");
    desk.done(Outcome::Lines(vec![Line::ok("DNS: good")]));
    assert!(desk.shown().contains("DNS: good"));
    desk.typed("r");
    assert_eq!(desk.command(), Some(&Command::TestConnection));
    desk.typed("q");
    assert!(matches!(desk.app.screen, Screen::Menu { .. }));
}

#[test]
fn forms_say_what_is_wrong_and_run_what_is_right() {
    let mut desk = Desk::new(false, false);
    desk.typed("3")
        .key(Key::Down)
        .typed("nas")
        .key(Key::Enter)
        .typed("export");
    desk.key(Key::Enter).key(Key::Enter);
    assert_eq!(desk.command(), None);
    assert!(desk.shown().contains("begins with"), "{}", desk.shown());
    desk.key(Key::Up);
    for _ in 0..6 {
        desk.key(Key::Erase);
    }
    desk.typed("/export").key(Key::Enter).key(Key::Enter);
    assert_eq!(
        desk.command(),
        Some(&Command::TestNfs {
            server: "nas".to_owned(),
            path: "/export".to_owned()
        })
    );
}

#[test]
fn another_size_is_taken_over_and_noise_is_drawn_over() {
    let mut desk = Desk::new(false, false);
    assert_eq!(desk.event(Event::Resize(60, 20)).effects, [Effect::Clear]);
    assert_eq!(desk.app.size, (60, 20));
    assert_eq!(desk.key(Key::Redraw).effects, [Effect::Clear]);
}
