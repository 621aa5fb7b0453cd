//! The test of an S3 endpoint, without credentials: those are at control.

use super::super::page::Line;
use super::super::screens::storage;
use super::World;
use crate::check::{Reached, reach};

pub(super) async fn test(world: &World, endpoint: &str, bucket: &str) -> Vec<Line> {
    let configured = world.configured();
    let egress = match &configured.config {
        Ok(config) => &config.process.egress,
        Err(faults) => return vec![Line::fail(format!("Configuration: {faults}"))],
    };
    let Some(Reached { trail, answer }) = reach(endpoint, bucket, egress, None).await else {
        return vec![Line::fail(format!(
            "{endpoint} is not the URL of an endpoint"
        ))];
    };
    let mut lines = storage::lines(&format!("S3 endpoint {endpoint}"), &trail.into_hops());
    match answer {
        Some(Ok(answer)) => {
            let name = answer.server.as_deref();
            lines.push(storage::answered(answer.status, name));
            lines.push(storage::clock(answer.ahead_seconds));
        }
        Some(Err(reason)) => lines.push(Line::fail(format!("HEAD: {reason}"))),
        None => {}
    }
    lines
}
