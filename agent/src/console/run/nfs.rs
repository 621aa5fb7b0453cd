//! The test of an NFS export, as the agent would use it.

use datasync_endpoint::{EndpointError, Source as _};
use datasync_model::{NfsLocation, NfsVersion};
use datasync_nfs::ServerName;
use datasync_s3::Shape;

use super::super::page::Line;
use super::super::screens::storage;
use super::World;
use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::{Endpoints, SourceLocation, nfs_config};
use crate::link::{Hop, Trail};

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
    storage::lines(&title, &walk(&endpoints, &location, &nfs).await)
}

async fn walk(
    endpoints: &Endpoints,
    location: &NfsLocation,
    config: &datasync_nfs::NfsConfig,
) -> Vec<Hop> {
    let mut trail = Trail::default();
    let words = |error: EndpointError| error.to_string();
    let server = match ServerName::parse(&location.server_hostname) {
        Ok(server) => server,
        Err(error) => {
            let failed = async { Err::<((), _), _>(error.to_string()) };
            trail.step("DNS", failed).await;
            return trail.into_hops();
        }
    };
    if trail.resolve(&server.host, 111).await.is_none() {
        return trail.into_hops();
    }
    let asked = async {
        let found = datasync_nfs::registered(config).await.map_err(words)?;
        let text = format!(
            "NFS is on port {}, MOUNT on port {}",
            found.nfs, found.mount
        );
        Ok(((), text))
    };
    if trail.step("Portmapper", asked).await.is_none() {
        // Servers with one fixed port need none.
        trail.spare();
    }
    let mounted = async {
        let source = endpoints
            .source(SourceLocation::Nfs(location), Shape::Files)
            .await
            .map_err(words)?;
        let text = format!("granted; READs of up to {} KiB", source.read_max() / 1024);
        Ok((source, text))
    };
    if let Some(source) = trail.step("MOUNT", Box::pin(mounted)).await {
        let listed = async {
            let root = source.root().await.map_err(words)?;
            let page = source.read_dir(&root.handle, None).await.map_err(words)?;
            let more = if page.next.is_some() {
                ", and there are more"
            } else {
                ""
            };
            Ok((
                (),
                format!("{} entries in the first page{more}", page.entries.len()),
            ))
        };
        trail.step("READDIR", Box::pin(listed)).await;
    }
    trail.into_hops()
}
