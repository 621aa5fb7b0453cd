//! NFS servers and EFS: name, port, portmapper, mount, listing, a sample of what is there.

use datasync_endpoint::{EndpointError, ExtendedKinds, Source};
use datasync_model::{EfsLocation, NfsLocation};
use datasync_nfs::{NfsConfig, ServerName};
use datasync_s3::Shape;
use tokio::net::TcpStream;

use super::{CheckRequest, sample, store};
use crate::efs;
use crate::endpoints::{AnySource, DestinationLocation, Endpoints, SourceLocation, nfs_config};
use crate::link::{Hop, Trail};

/// Of NFS, where no portmapper says otherwise (RFC 1813 §2.1).
const NFS_PORT: u16 = 2049;
const PORTMAPPER_PORT: u16 = 111;
const ADVICE: &str = "let this agent's address read it as root in the export (no_root_squash), or let \
                      everybody read it";

fn words(error: EndpointError) -> String {
    error.to_string()
}

pub(super) async fn check_nfs(
    request: &CheckRequest,
    endpoints: &Endpoints,
    location: &NfsLocation,
) -> Vec<Hop> {
    let config = nfs_config(&request.process.nfs, location);
    let (mut trail, source) = walk(endpoints, location, &config).await;
    if let Some(source) = source {
        trail.step("READ", sample::read(&source, ADVICE)).await;
        write(
            &mut trail,
            request,
            endpoints,
            DestinationLocation::Nfs(location),
        )
        .await;
    }
    trail.into_hops()
}

/// What a destination needs, if that is asked for.
async fn write(
    trail: &mut Trail,
    request: &CheckRequest,
    endpoints: &Endpoints,
    location: DestinationLocation<'_>,
) {
    if !request.write {
        return;
    }
    let written = async {
        endpoints.try_destination(location).await.map_err(words)?;
        let text = "a file was written, given an owner and removed again";
        Ok(((), text.to_owned()))
    };
    trail.step("WRITE", Box::pin(written)).await;
}

pub(super) async fn check_efs(
    request: &CheckRequest,
    endpoints: &Endpoints,
    location: &EfsLocation,
) -> Vec<Hop> {
    let mut trail = Trail::default();
    let nfs = match efs::as_nfs(location, &request.process.efs_addresses) {
        Ok(nfs) => nfs,
        Err(error) => {
            trail.refuse("Location", error.to_string());
            return trail.into_hops();
        }
    };
    if approach_efs(&mut trail, &nfs).await.is_none()
        || (location.signed
            && store::credentials(&mut trail, request, endpoints)
                .await
                .is_none())
    {
        return trail.into_hops();
    }
    if let Some(source) = mount(&mut trail, endpoints, SourceLocation::Efs(location)).await
        && list(&mut trail, &source).await.is_some()
    {
        let advice = efs::DENIED;
        trail.step("READ", sample::read(&source, advice)).await;
        write(
            &mut trail,
            request,
            endpoints,
            DestinationLocation::Efs(location),
        )
        .await;
    }
    trail.into_hops()
}

/// As far as the first page of the root; the source, where the way goes on.
pub(crate) async fn walk(
    endpoints: &Endpoints,
    location: &NfsLocation,
    config: &NfsConfig,
) -> (Trail, Option<AnySource>) {
    let mut trail = Trail::default();
    if approach(&mut trail, location, config).await.is_none() {
        return (trail, None);
    }
    let Some(source) = mount(&mut trail, endpoints, SourceLocation::Nfs(location)).await else {
        return (trail, None);
    };
    let is_listed = list(&mut trail, &source).await.is_some();
    (trail, Some(source).filter(|_| is_listed))
}

/// To the port of a file system of EFS, which has no portmapper.
pub(super) async fn approach_efs(trail: &mut Trail, nfs: &NfsLocation) -> Option<()> {
    let server = named(trail, &nfs.server_hostname)?;
    let port = server.port.unwrap_or(NFS_PORT);
    trail.resolve(&server.host, port).await?;
    connect(trail, &server.host, port).await
}

/// To the port of an NFS server.
pub(super) async fn approach(
    trail: &mut Trail,
    location: &NfsLocation,
    config: &NfsConfig,
) -> Option<()> {
    let server = named(trail, &location.server_hostname)?;
    trail.resolve(&server.host, PORTMAPPER_PORT).await?;
    let asked = async {
        let found = datasync_nfs::registered(config).await.map_err(words)?;
        let text = format!(
            "NFS is on port {}, MOUNT on port {}",
            found.nfs, found.mount
        );
        Ok((found.nfs, text))
    };
    let registered = trail.step("Portmapper", asked).await;
    if registered.is_none() {
        // Version 4, and servers with one fixed port, need none.
        trail.spare();
    }
    let port = server.port.or(registered).unwrap_or(NFS_PORT);
    connect(trail, &server.host, port).await
}

fn named(trail: &mut Trail, host: &str) -> Option<ServerName> {
    match ServerName::parse(host) {
        Ok(server) => Some(server),
        Err(error) => {
            trail.refuse("DNS", error.to_string());
            None
        }
    }
}

async fn connect(trail: &mut Trail, host: &str, port: u16) -> Option<()> {
    let connected = async {
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|error| format!("port {port}: {error}"))?;
        let address = stream.peer_addr().map_err(|error| error.to_string())?;
        Ok(((), format!("connected to {address}")))
    };
    trail.step("TCP", connected).await
}

async fn mount(
    trail: &mut Trail,
    endpoints: &Endpoints,
    location: SourceLocation<'_>,
) -> Option<AnySource> {
    let mounted = async {
        let source = endpoints
            .source(location, Shape::Files, ExtendedKinds::default())
            .await
            .map_err(words)?;
        let text = format!(
            "granted{}; READs of up to {} KiB",
            source
                .nfs_version()
                .map_or_else(String::new, |version| format!(", by {version}")),
            source.read_max() / 1024
        );
        Ok((source, text))
    };
    trail.step("MOUNT", Box::pin(mounted)).await
}

async fn list(trail: &mut Trail, source: &AnySource) -> Option<()> {
    let listed = async {
        let root = source.root().await.map_err(words)?;
        let page = source.read_dir(&root.handle, None).await.map_err(words)?;
        let more = if page.next.is_some() {
            ", and there are more"
        } else {
            ""
        };
        let attributes = root.attributes;
        let text = format!(
            "{} entries in the first page{more}; mode {:04o}, owner {}, group {}",
            page.entries.len(),
            attributes.mode,
            attributes.uid,
            attributes.gid
        );
        Ok(((), text))
    };
    trail.step("READDIR", Box::pin(listed)).await
}
