//! The level of the agent's log: read, and changed while the agent runs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::command::Outcome;
use super::super::page::Line;
use super::network::refused;
use super::steps::Steps;
use super::{Configured, World};
use crate::appliance;

/// What the agent takes where nothing is configured.
const DEFAULT: &str = "info";
/// The agent reads its configuration again (SIGHUP). One that does not run does so when it starts.
const RELOAD: [&str; 3] = [
    "systemctl",
    "try-reload-or-restart",
    "datasync-agent.service",
];

/// So long a start is waited for; one that takes longer is for other reasons than the machine's.
const START_MAX: Duration = Duration::from_secs(60);

/// The level that is configured now: another console may have changed it.
pub(super) fn read(world: &World) -> Outcome {
    let file = appliance::read_small(&world.root.join(appliance::AGENT));
    match appliance::configured_log_level(file.as_deref()) {
        Ok(level) => Outcome::LogLevel(level.unwrap_or_else(|| DEFAULT.to_owned())),
        Err(reason) => Outcome::Lines(vec![Line::fail(reason)]),
    }
}

/// Writes it to the agent's configuration, and has the agent read that.
pub(super) async fn set(world: &World, level: &str, mut steps: Steps) -> Vec<Line> {
    let before = appliance::read_small(&world.root.join(appliance::AGENT));
    let group = appliance::agent_group(&world.root);
    let file = match appliance::log_level_file(before.as_deref(), level, group) {
        Ok(file) => file,
        Err(reason) => return vec![Line::fail(reason)],
    };
    if let Err(failed) = appliance::replace_all(&world.root, &[file]) {
        return refused(&failed);
    }
    steps.done(Line::ok(format!("The level of the log is {level}.")));
    let layers = world.configured().layers.clone();
    let layers = layers.with("console", vec![("log.level", level)]);
    world.configure(Configured::new(layers));
    if world.root == Path::new("/") {
        steps.begin("the agent starts").await;
        started().await;
        steps.run(&RELOAD).await;
    }
    steps.into_lines()
}

/// Waits for a start that is under way: the agent may have read its configuration already, and systemd
/// reloads nothing that has not started.
async fn started() {
    let is_starting = async || {
        let asked = Command::new("systemctl")
            .args(["is-active", "datasync-agent.service"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        asked.is_ok_and(|answer| answer.stdout.starts_with(b"activating"))
    };
    let waiting = async {
        while is_starting().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    // The reload comes after it in any case, and says what it finds.
    tokio::time::timeout(START_MAX, waiting).await.ok();
}

#[cfg(test)]
mod tests {
    use super::super::steps::tests::unseen;
    use super::*;

    #[tokio::test]
    async fn a_level_is_kept_in_the_agents_configuration() {
        let scratch = tempfile::tempdir().unwrap();
        let world = World::below(scratch.path());
        let level = |level: &str| Outcome::LogLevel(level.to_owned());
        assert_eq!(read(&world), level("info"));
        let lines = set(&world, "debug", unseen()).await;
        assert_eq!(lines, [Line::ok("The level of the log is debug.")]);
        assert_eq!(read(&world), level("debug"));
        assert_eq!(world.configured().layers.value("log.level"), "debug");
    }

    #[tokio::test]
    async fn a_configuration_that_cannot_be_read_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join(appliance::AGENT);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "nonsense").unwrap();
        let world = World::below(scratch.path());
        let Outcome::Lines(lines) = read(&world) else {
            panic!("read");
        };
        assert!(lines[0].text.contains("agent.toml"), "{lines:?}");
        let lines = set(&world, "debug", unseen()).await;
        assert!(lines[0].text.contains("agent.toml"), "{lines:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "nonsense");
    }
}
