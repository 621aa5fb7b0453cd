//! The command itself: exit codes, messages, health, signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod firstboot;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const FINGERPRINT: &str = "aa11223344556677889900aabbccddeeff00112233445566778899aabbccddee";
/// Far more than anything takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datasync-agent"));
    command.env_clear().args(arguments);
    command
}

fn output(arguments: &[&str]) -> (i32, String) {
    said(command(arguments).output().unwrap())
}

fn said(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn start(state_dir: &Path) -> Child {
    command(&["run", "--activation-listen", "127.0.0.1:0"])
        .env("DATASYNC_AGENT_CONTROL", "127.0.0.1:1")
        .env("DATASYNC_AGENT_CONTROL_FINGERPRINT", FINGERPRINT)
        .env("DATASYNC_AGENT_STATE_DIR", state_dir)
        .env("DATASYNC_AGENT_LOG_FORMAT", "json")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn health(state_dir: &Path) -> (i32, String) {
    output(&["health", "--state-dir", state_dir.to_str().unwrap()])
}

#[test]
fn bad_flags_and_bad_configuration_exit_with_64() {
    assert_eq!(output(&["run", "--colour", "red"]).0, 64);
    assert_eq!(output(&[]).0, 64);
    for subcommand in ["run", "check-config"] {
        let (code, text) = output(&[subcommand, "--memory-target", "lots"]);
        assert_eq!(code, 64, "{text}");
        for fault in [
            "memory_target (flag --memory-target)",
            "control: missing",
            "control_ca",
        ] {
            assert!(text.contains(fault), "{fault} not in {text}");
        }
    }
    let little = ["--memory-target", "127MiB", "--executions-max", "2"];
    let (code, text) = output(&[&["check-config"][..], &little].concat());
    assert_eq!(code, 64, "{text}");
    for words in ["each of 2 executions", "needs 64 MiB, together 128 MiB"] {
        assert!(text.contains(words), "{words} not in {text}");
    }
    let (code, text) = output(&["check-config", "--config", "/nowhere/agent.toml"]);
    assert_eq!(code, 64);
    assert!(text.contains("/nowhere/agent.toml"), "{text}");
}

#[test]
fn a_copy_names_every_bad_flag_and_needs_no_control() {
    assert_eq!(output(&["copy"]).0, 64);
    assert_eq!(
        output(&["copy", "nfs://nas/x", "s3://b", "--secret-key", "x"]).0,
        64
    );
    let (code, text) = output(&[
        "copy",
        "nas:/x",
        "s3://b",
        "--uid",
        "0",
        "--memory-target",
        "1",
    ]);
    assert_eq!(code, 64, "{text}");
    for fault in [
        "SOURCE: ",
        "--uid: ",
        "memory_target (flag",
        "--state-dir: missing",
    ] {
        assert!(text.contains(fault), "{fault} not in {text}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let state_dir = file.to_str().unwrap();
    let arguments = [
        "copy",
        "nfs://nas/x",
        "s3://b",
        "--state-dir",
        state_dir,
        "--json",
    ];
    let (code, text) = output(&arguments);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.starts_with("{\"version\":1,\"status\":\"ERROR\""),
        "{text}"
    );
    assert!(text.contains("cannot make directory"), "{text}");
}

#[test]
fn help_version_and_a_good_configuration_exit_with_0() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["copy", "--help"],
        &["--version"],
    ] {
        assert_eq!(output(arguments).0, 0, "{arguments:?}");
    }
    let (code, text) = output(&[
        "check-config",
        "--control",
        "control.example.com:9443",
        "--control-fingerprint",
        FINGERPRINT,
    ]);
    assert_eq!((code, text.contains("is valid")), (0, true), "{text}");
}

#[test]
fn an_agent_is_healthy_while_it_runs_and_ends_on_sigterm() {
    let scratch = tempfile::tempdir().unwrap();
    let state_dir = scratch.path().join("state");
    assert_eq!(health(&state_dir).0, 1);
    let agent = start(&state_dir);
    wait_until("the agent is healthy", || health(&state_dir).0 == 0);
    let second = said(start(&state_dir).wait_with_output().unwrap());
    assert_eq!(second.0, 1);
    assert!(
        second.1.contains("another agent uses this state directory"),
        "{}",
        second.1
    );
    let killed = Command::new("kill")
        .arg(agent.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    let (code, text) = said(agent.wait_with_output().unwrap());
    assert_eq!(code, 0, "{text}");
    for line in text.lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
    let (code, text) = health(&state_dir);
    assert_eq!(code, 1);
    assert!(text.contains("no agent runs"), "{text}");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (code, text) = said(start(&file.join("state")).wait_with_output().unwrap());
    assert_eq!(code, 1);
    assert!(text.contains("cannot make directory"), "{text}");
}

/// What the agent answers to GET; empty while it does not listen.
fn get(address: SocketAddr, path: &str) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().unwrap_or_default()
}

#[test]
fn health_and_metrics_are_told_where_it_is_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut agent = command(&["run", "--activation-listen", "127.0.0.1:0"])
        .arg("--state-dir")
        .arg(scratch.path().join("state"))
        .args(["--control", "127.0.0.1:1"])
        .args(["--control-fingerprint", FINGERPRINT])
        .args(["--telemetry-listen", &address.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the agent lives", || {
        get(address, "/livez").starts_with("HTTP/1.1 200")
    });
    let ready = get(address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.ends_with("no session with control yet\n"), "{ready}");
    let metrics = get(address, "/metrics");
    assert!(
        metrics.contains("\ndatasync_agent_connected 0\n"),
        "{metrics}"
    );
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn the_level_of_the_log_changes_at_sighup() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, log) = (
        scratch.path().join("agent.toml"),
        scratch.path().join("log"),
    );
    let configure = |level: &str| {
        let state = scratch.path().join("state");
        let text = format!(
            "state_dir = {state:?}\ncontrol = \"127.0.0.1:1\"\n\
             control_fingerprint = \"{FINGERPRINT}\"\nactivation_listen = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"{level}\"\noutput = \"stdout\"\nformat = \"json\"\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    configure("error");
    let mut agent = command(&["run", "--config"])
        .arg(&file)
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let state_dir = scratch.path().join("state");
    wait_until("the agent is healthy", || health(&state_dir).0 == 0);
    let hang_up = || {
        let id = agent.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
        assert!(sent.success());
    };
    let said = || std::fs::read_to_string(&log).unwrap();
    assert_eq!(said(), "", "only errors are logged");
    configure("info");
    hang_up();
    wait_until("the change is told", || {
        said().contains(r#""event":"log.level_changed""#)
    });
    configure("a=b=c");
    hang_up();
    wait_until("what cannot be used is told", || {
        said().contains(r#""event":"log.level_kept""#)
    });
    let terminated = Command::new("kill").arg(agent.id().to_string()).status();
    assert!(terminated.unwrap().success());
    assert!(agent.wait().unwrap().success());
    assert!(said().contains(r#""event":"agent.stopping""#), "{}", said());
}
