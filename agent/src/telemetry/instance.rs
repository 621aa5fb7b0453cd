//! What tells this agent from others where metrics are collected.

use std::time::SystemTime;

use datasync_telemetry::Resource;

use crate::state::{StateDir, StateError, read_optional, write_atomically};

/// In the state directory: it is there before activation, and stays over it.
const FILE: &str = "instance.id";
const ID_BYTES: usize = 16;

/// This agent, for a collector; `started` is when its process was.
pub(crate) fn resource(state: &StateDir, started: SystemTime) -> Resource {
    let instance_id = kept_id(state).unwrap_or_else(|error| {
        tracing::warn!(%error, "the agent is another one for the collector at its next start");
        new_id()
    });
    Resource {
        name: "datasync-agent",
        version: crate::VERSION,
        instance_id,
        started,
    }
}

/// The same at each start.
fn kept_id(state: &StateDir) -> Result<String, StateError> {
    let path = state.path(FILE);
    match read_optional(&path)? {
        Some(id) if id.len() == 2 * ID_BYTES => Ok(id),
        _ => {
            let id = new_id();
            write_atomically(&path, id.as_bytes())?;
            Ok(id)
        }
    }
}

/// Without randomness all agents of a collector are one: its operator sees that.
fn new_id() -> String {
    let mut id = [0; ID_BYTES];
    if let Err(error) = getrandom::fill(&mut id) {
        tracing::warn!(%error, "no randomness for the name of this agent at the collector");
    }
    hex::encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_the_same_at_each_start() {
        let scratch = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let id = |root| kept_id(&StateDir::open(root).unwrap()).unwrap();
        let first = id(scratch.path());
        assert_eq!(first.len(), 32);
        assert_eq!(id(scratch.path()), first);
        assert_ne!(id(other.path()), first);
    }

    #[test]
    fn an_agent_that_cannot_write_has_a_name_too() {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(scratch.path()).unwrap();
        std::fs::create_dir(state.path(FILE)).unwrap();
        assert!(kept_id(&state).is_err());
        assert_eq!(resource(&state, SystemTime::now()).instance_id.len(), 32);
    }
}
