//! The resources check.

use std::path::Path;

use super::super::page::Line;
use super::super::screens::resources::{self, Found};
use super::{World, listening};
use crate::host::{self, HostWatch};
use crate::local::{self, SessionState};

/// What systemd-timesyncd leaves once it has set the clock.
const SYNCHRONISED: &str = "run/systemd/timesync/synchronized";
const TIMESYNC: &str = "run/systemd/timesync";

pub(super) async fn check(world: &World) -> Vec<Line> {
    let name = host::host_name(None);
    let facts = HostWatch::new(name, &world.state_dir).look();
    let session = local::ask(&world.state_dir).await.map(|said| said.session);
    let configured = world.configured();
    let config = configured.config.as_ref().ok();
    resources::lines(&Found {
        host: facts,
        memory_target: config.map(|config| config.process.memory_target_bytes),
        is_synchronised: is_synchronised(&world.root),
        ahead_of_control: match session {
            Ok(SessionState::Open { ahead_seconds, .. }) => Some(ahead_seconds),
            _ => None,
        },
        listening: listening::listening(&world.root),
    })
}

fn is_synchronised(root: &Path) -> Option<bool> {
    root.join(TIMESYNC)
        .exists()
        .then(|| root.join(SYNCHRONISED).exists())
}
