//! What is written for each program, and that it names every subcommand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::process::Command as Process;

use clap::Command;
use datasync_manual::{MAN, SHELLS, completion_file, programs, write};

/// The names of a command and of those below it, as man pages are called. What is hidden has none.
fn pages(command: &Command, before: &str, found: &mut Vec<String>) {
    let name = format!("{before}{}", command.get_name());
    let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
    for below in shown {
        pages(below, &format!("{name}-"), found);
    }
    found.push(name);
}

#[test]
fn every_command_has_its_page_and_no_page_is_left_over() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path()).unwrap();
    let mut expected = Vec::new();
    for program in programs() {
        pages(&program, "", &mut expected);
    }
    let mut written: Vec<String> = fs::read_dir(folder.path().join(MAN))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected: Vec<String> = expected.iter().map(|name| format!("{name}.1")).collect();
    expected.sort();
    written.sort();
    assert_eq!(written, expected);
    assert!(written.contains(&"datasync-agent-copy.1".to_owned()));
    assert!(written.contains(&"datasync-control-access-key-create.1".to_owned()));
    for name in written {
        let page = fs::read_to_string(folder.path().join(MAN).join(&name)).unwrap();
        assert!(page.contains(".TH ") && page.contains(".SH NAME"), "{name}");
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
}

#[test]
fn flags_are_in_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path()).unwrap();
    for (page, flag) in [
        ("datasync-agent-run.1", "telemetry\\-listen"),
        ("datasync-agent-copy.1", "endpoint\\-url"),
        ("datasync-control.1", "state\\-dir"),
        ("datasync-control-role-set-key.1", "role\\-arn"),
    ] {
        let text = fs::read_to_string(folder.path().join(MAN).join(page)).unwrap();
        assert!(text.contains(flag), "{page}: {flag}\n{text}");
    }
}

fn subcommands(command: &Command, found: &mut Vec<String>) {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        found.push(below.get_name().to_owned());
        subcommands(below, found);
    }
}

#[test]
fn completions_name_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path()).unwrap();
    for program in programs() {
        let mut names = Vec::new();
        subcommands(&program, &mut names);
        assert!(names.len() > 4);
        for (shell, place) in SHELLS {
            let file = completion_file(shell, program.get_name());
            let path = folder.path().join(place).join(file);
            let text = fs::read_to_string(&path).unwrap();
            for name in &names {
                assert!(text.contains(name.as_str()), "{}: {name}", path.display());
            }
            assert!(text.contains("config"), "{}", path.display());
            assert!(is_sound(&shell.to_string(), &path), "{}", path.display());
        }
    }
}

/// Whether the shell can read the file, where the shell is installed.
fn is_sound(shell: &str, path: &Path) -> bool {
    let read = Process::new(shell).arg("-n").arg(path).status();
    read.map_or(true, |status| status.success())
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(write(&file).is_err());
}
