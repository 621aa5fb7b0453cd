//! The test of the connection to control.

use std::path::Path;

use super::super::page::Line;
use super::super::screens::connection;
use super::World;
use crate::config::Config;
use crate::identity;
use crate::link::{self, Trust};

pub(super) async fn test(world: &World) -> Vec<Line> {
    let configured = world.configured();
    let config = match &configured.config {
        Ok(config) => config,
        Err(faults) => return vec![Line::fail(format!("Configuration: {faults}"))],
    };
    let trust = match trust(config, &world.state_dir) {
        Ok(trust) => trust,
        Err(reason) => return vec![Line::fail(reason)],
    };
    let mut walked = Vec::new();
    for address in config.control.in_turn() {
        walked.push((address.to_string(), link::walk(address, &trust).await));
    }
    connection::lines(&walked)
}

/// As the agent itself recognises control: by what it was given at its activation, before that by
/// what is configured.
fn trust(config: &Config, state_dir: &Path) -> Result<Trust, String> {
    match identity::kept_anchors(state_dir).map_err(|e| e.to_string())? {
        Some(pem) => Trust::anchors(&pem).map_err(|e| e.to_string()),
        None => Trust::configured(&config.control_trust).map_err(|e| e.to_string()),
    }
}
