//! Where control is: saved, and tried.

use std::path::Path;

use super::super::command::Outcome;
use super::super::page::Line;
use super::network::refused;
use super::steps::Steps;
use super::{Configured, World, connection, faults};
use crate::appliance::{self, ControlSettings};

/// What makes the agent read its configuration, also one that has given up by now.
const COMMANDS: [&[&str]; 2] = [
    &["systemctl", "reset-failed", "datasync-agent.service"],
    &[
        "systemctl",
        "--no-block",
        "restart",
        "datasync-agent.service",
    ],
];

/// Writes it to the agent's configuration, has the agent read that, and tests the connection.
pub(super) async fn set(world: &World, control: ControlSettings, mut steps: Steps) -> Outcome {
    let before = appliance::read_small(&world.root.join(appliance::AGENT));
    let group = appliance::agent_group(&world.root);
    let file = match appliance::control_file(before.as_deref(), &control, group) {
        Ok(file) => file,
        Err(reason) => return Outcome::Lines(vec![Line::fail(reason)]),
    };
    let mut members = vec![("control", control.address.as_str())];
    if !control.fingerprint.is_empty() {
        members.push(("control_fingerprint", control.fingerprint.as_str()));
        members.push(("control_ca", ""));
    }
    let layers = world.configured().layers.clone().with("console", members);
    let configured = Configured::new(layers);
    if let Err(reason) = &configured.config {
        return Outcome::Lines(vec![Line::fail(reason.as_str())]);
    }
    if let Err(failed) = appliance::replace_all(&world.root, &[file]) {
        return Outcome::Lines(refused(&failed));
    }
    world.configure(configured);
    steps.done(Line::ok("saved"));
    if world.root == Path::new("/") {
        for words in COMMANDS {
            steps.run(words).await;
        }
    }
    steps.done(Line::plain(""));
    steps.begin("test of the connection").await;
    let mut lines = steps.into_lines();
    lines.extend(connection::test(world).await);
    Outcome::Control {
        control: world.configured().control(),
        faults: faults(world),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::steps::tests::unseen;
    use super::*;

    fn control(address: &str, fingerprint: &str) -> ControlSettings {
        ControlSettings {
            address: address.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }
    }

    #[tokio::test]
    async fn an_appliance_without_a_seed_is_told_where_control_is() {
        let scratch = tempfile::tempdir().unwrap();
        let world = World::below(scratch.path());
        assert!(faults(&world).unwrap().contains("control: missing"));
        let wanted = control("127.0.0.1:1", &"ab".repeat(32));
        let Outcome::Control {
            control,
            faults,
            lines,
        } = set(&world, wanted.clone(), unseen()).await
        else {
            panic!("not saved");
        };
        assert_eq!(control, wanted);
        assert_eq!(faults, None);
        let tested: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert!(
            tested.join("\n").contains("Control at 127.0.0.1:1"),
            "{tested:?}"
        );
        let written = fs::read_to_string(scratch.path().join(appliance::AGENT)).unwrap();
        assert!(written.contains("control = \"127.0.0.1:1\""), "{written}");
    }

    #[tokio::test]
    async fn what_the_agent_could_not_use_is_not_saved() {
        let scratch = tempfile::tempdir().unwrap();
        let world = World::below(scratch.path());
        // Nothing says yet by what control is recognised.
        let outcome = set(&world, control("127.0.0.1:1", ""), unseen()).await;
        let Outcome::Lines(lines) = outcome else {
            panic!("saved");
        };
        assert!(lines[0].text.contains("control_fingerprint"), "{lines:?}");
        assert!(!scratch.path().join(appliance::AGENT).exists());
    }
}
