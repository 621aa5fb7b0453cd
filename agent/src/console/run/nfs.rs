//! The test of an NFS export, as the agent would use it.

use datasync_model::{NfsLocation, NfsVersion};

use super::super::page::Line;
use super::super::screens::storage;
use super::World;
use crate::check::walk_nfs;
use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::{Endpoints, nfs_config};

/// Stands for a location that control does not know.
const ARN: &str = "arn:aws:datasync:us-east-1:000000000000:location/loc-00000000000000000";

pub(super) async fn test(world: &World, server: String, path: String) -> Vec<Line> {
    let title = format!("NFS export {server}:{path}");
    let configured = world.configured();
    let config = match &configured.config {
        Ok(config) => config,
        Err(faults) => return vec![Line::fail(format!("Configuration: {faults}"))],
    };
    let arn = match ARN.parse() {
        Ok(arn) => arn,
        Err(error) => return vec![Line::fail(format!("{error}"))],
    };
    let location = NfsLocation {
        arn,
        server_hostname: server,
        subdirectory: path,
        version: NfsVersion::Automatic,
    };
    let endpoints = Endpoints::new(&config.process, CredentialStore::new(Giver::Control));
    let nfs = nfs_config(&config.process.nfs, &location);
    let (trail, _) = walk_nfs(&endpoints, &location, &nfs).await;
    storage::lines(&title, &trail.into_hops())
}
