//! Every screen at 80x25 and at 60x20, as text. `DATASYNC_GOLDEN=write` writes the files anew.

use std::path::{Path, PathBuf};

use datasync_model::ExecutionReport;
use datasync_proto::HostFacts;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::app::{Agent, App, Screen};
use super::super::command::Command;
use super::super::draw::draw;
use super::super::form::Form;
use super::super::page::Line;
use super::super::report::Report;
use super::super::screens::resources::Found;
use super::super::screens::{
    activation, connection, lock, log_level, network, resources, storage, support,
};
use super::super::topic::Topic;
use super::{app, down, online, running, taken_back, waiting};
use crate::appliance::NetworkSettings;
use crate::link::Hop;

const SIZES: [(u16, u16); 2] = [(80, 25), (60, 20)];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/console/tests/golden")
        .join(name)
}

fn frame(app: &App) -> String {
    let (width, height) = app.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Compares at both sizes what `make` shows.
fn compare(name: &str, make: impl Fn((u16, u16)) -> App) {
    for size in SIZES {
        let shown = frame(&make(size));
        let file = golden(&format!("{name}-{}x{}.txt", size.0, size.1));
        if std::env::var("DATASYNC_GOLDEN").is_ok_and(|word| word == "write") {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, shown).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&file).unwrap();
        assert_eq!(shown, expected, "{}", file.display());
    }
}

fn with(agent: Agent, screen: Screen) -> impl Fn((u16, u16)) -> App {
    move |size| {
        let mut app = app(true, true, size);
        app.agent = agent.clone();
        app.screen = screen.clone();
        app.refresh();
        app
    }
}

fn form(topic: Topic, form: Form) -> impl Fn((u16, u16)) -> App {
    with(online(Vec::new()), Screen::Form(topic, form))
}

fn report(title: &'static str, lines: &[Line]) -> impl Fn((u16, u16)) -> App {
    let mut report = Report::waiting(title, None);
    report.finish(lines.to_vec(), (76, 21));
    with(online(Vec::new()), Screen::Report(report))
}

fn status(agent: Agent) -> impl Fn((u16, u16)) -> App {
    let report = Report::waiting(Topic::Status.title(), None);
    with(agent, Screen::Status(report))
}

fn execution(executions: Vec<ExecutionReport>) -> impl Fn((u16, u16)) -> App {
    let report = Report::waiting(Topic::Execution.title(), None);
    with(online(executions), Screen::Execution(report))
}

#[test]
fn locks() {
    compare("locked", |size| app(true, true, size));
    compare("first-login", |size| {
        let mut app = app(true, false, size);
        if let Screen::FirstPassword(form) = &mut app.screen {
            form.fields[0].value = "a secret".to_owned();
            form.at = 2;
            form.problem = Some("The two new passwords differ.".to_owned());
        }
        app
    });
    compare("password", form(Topic::Password, lock::change_form(true)));
}

#[test]
fn menus() {
    compare(
        "menu-online",
        with(online(vec![running()]), Screen::Menu { at: 0 }),
    );
    compare("menu-waiting", with(waiting(), Screen::Menu { at: 9 }));
    compare("menu-down", with(down(), Screen::Menu { at: 4 }));
    compare("menu-faults", |size| {
        let mut app = app(false, false, size);
        let faults = "The agent's configuration cannot be used: control: missing: give host:port of \
                      the control plane";
        app.place.faults = Some(faults.to_owned());
        app
    });
}

#[test]
fn forms() {
    compare("activation", form(Topic::ActivationKey, activation::form()));
    compare("storage", form(Topic::Storage, storage::form()));
    compare(
        "support",
        form(
            Topic::Support,
            support::form("/var/lib/datasync-agent/support"),
        ),
    );
    let settings = NetworkSettings {
        interface: "ens3".to_owned(),
        is_static: true,
        address: "192.0.2.10/24".to_owned(),
        gateway: "192.0.2.1".to_owned(),
        dns: vec!["192.0.2.53".to_owned()],
        proxy: "http://proxy.example:3128".to_owned(),
        proxy_user: "agent".to_owned(),
        proxy_password: "not shown".to_owned(),
        ..NetworkSettings::default()
    };
    let control = app(true, true, (80, 25)).place.control;
    compare(
        "connection-form",
        form(Topic::Connection, connection::form(&control)),
    );
    compare("network", form(Topic::Network, network::form(&settings)));
    compare("log-level", form(Topic::Log, log_level::form("info")));
}

#[test]
fn live_views() {
    compare("status-online", status(online(vec![running()])));
    compare("status-taken-back", status(taken_back()));
    compare("status-waiting", status(waiting()));
    compare("status-down", status(down()));
    compare("execution", execution(vec![running(), running()]));
    compare("execution-none", execution(Vec::new()));
}

#[test]
fn the_log() {
    let lines: Vec<Line> = (0..30)
        .map(|minute| Line::plain(format!("2026-11-27T10:{minute:02}:00+0000 agent: a line")))
        .collect();
    compare("log", |size| {
        let mut log = Report::waiting(Topic::Log.title(), Some(Command::ReadLog));
        log.from_end = true;
        log.level = Some(Command::ReadLogLevel);
        let mut app = app(true, true, size);
        log.finish(lines.clone(), app.room());
        app.screen = Screen::Report(log);
        app
    });
}

#[test]
fn reports() {
    let key = "ABCDE-12345-FGHJK-67890-MNPQR";
    compare(
        "key",
        report("Get activation key", &activation::lines("us-east-1", key)),
    );
    let hop = |name, result: Result<&str, &str>| Hop {
        name,
        result: result.map(str::to_owned).map_err(str::to_owned),
        is_spare: name == "Portmapper",
    };
    let walked = [
        (
            "control-1.example:9443".to_owned(),
            vec![
                hop("DNS", Ok("control-1.example is 192.0.2.1")),
                hop("TCP", Ok("connected to control-1.example:9443")),
                hop("TLS", Err("invalid peer certificate: UnknownIssuer")),
            ],
        ),
        (
            "control-2.example:9443".to_owned(),
            vec![hop("DNS", Err("failed to lookup address information"))],
        ),
    ];
    compare(
        "connection",
        report(
            "Test the connection to control",
            &connection::lines(&walked),
        ),
    );
    let hops = [
        hop("DNS", Ok("nas.example is 192.0.2.7")),
        hop("Portmapper", Err("GETPORT nas.example: connection refused")),
        hop("MOUNT", Ok("granted; READs of up to 1024 KiB")),
        hop("READDIR", Ok("18 entries in the first page")),
    ];
    compare(
        "nfs",
        report(
            "Test storage",
            &storage::lines("NFS export nas.example:/data", &hops),
        ),
    );
    let found = Found {
        host: HostFacts {
            operating_system: "Linux (Debian GNU/Linux 13)".to_owned(),
            kernel_version: "6.12.0".to_owned(),
            cpu_count: 2,
            load_one: 0.25,
            memory_total_bytes: 1 << 30,
            memory_limit_bytes: 512 << 20,
            memory_available_bytes: 300 << 20,
            state_disk_total_bytes: 8 << 30,
            state_disk_available_bytes: 32 << 20,
            uptime_seconds: 7_500,
            ..HostFacts::default()
        },
        memory_target: Some(128 << 20),
        is_synchronised: Some(true),
        ahead_of_control: Some(-90),
        listening: Some(vec!["tcp 0.0.0.0:80".to_owned()]),
    };
    compare(
        "resources",
        report("System resources check", &resources::lines(&found)),
    );
}

#[test]
fn a_terminal_of_any_size_is_drawn_to() {
    for size in [(1, 1), (8, 3), (20, 6), (200, 60)] {
        for screen in [
            Screen::Menu { at: 9 },
            Screen::Form(Topic::Network, network::form(&NetworkSettings::default())),
            Screen::Execution(Report::waiting("Running execution", None)),
        ] {
            let text = frame(&with(online(vec![running()]), screen)(size));
            assert_eq!(text.lines().count(), usize::from(size.1));
        }
    }
}

#[test]
fn other_terminals_get_lines_and_serial_ones_ascii() {
    let mut app = app(true, true, (80, 25));
    assert!(frame(&app).is_ascii());
    app.place.name = "b\u{fc}ro".to_owned();
    assert!(frame(&app).contains("b?ro"));
    app.place.is_ascii = false;
    let text = frame(&app);
    assert!(
        text.contains('\u{250c}') && text.contains("b\u{fc}ro"),
        "{text}"
    );
}
