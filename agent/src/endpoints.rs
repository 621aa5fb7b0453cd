//! Opening both sides of a transfer, and saying in the API's words why that failed.

mod any_destination;
mod any_source;
mod bucket;
mod sides;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datasync_endpoint::{Algorithm, EndpointError, ErrorKind, ExtendedKinds};
use datasync_model::{
    ChecksumAlgorithm, EfsLocation, ErrorCode, Failure, Location, NfsLocation, S3Location,
};
use datasync_nfs::{LackingVersions, NfsConfig, NfsDestination, NfsSource, ServerName, Tls};
use datasync_s3::{S3Config, S3Destination, S3Objects, S3Source, Shape};
use tokio::sync::Semaphore;

use crate::config::{EgressSettings, NfsSettings, PrivilegedPorts, ProcessSettings, S3Settings};
use crate::credentials::{Availability, CredentialStore, Giver};
use crate::efs::{self, ClientKeys, EfsTls};
use crate::servers::Servers;

pub(crate) use any_destination::AnyDestination;
pub(crate) use any_source::AnySource;
pub(crate) use bucket::{extended, overlap, shape};
pub(crate) use sides::{
    DestinationLocation, SourceLocation, as_destination, as_source, needs_keys, one_in_the_other,
    place,
};

const S3_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that a client may have in flight: more than the engine ever has, which decides.
const REQUESTS_MAX: usize = 384;

/// In the directory of an execution: which directories get which times at its end.
const DIRECTORY_TIMES_FILE: &str = "directory-times";

/// Which side of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// Makes endpoints from locations, with this process's settings.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    nfs: NfsSettings,
    efs_addresses: BTreeMap<String, ServerName>,
    s3: S3Settings,
    servers: Servers,
    egress: EgressSettings,
    credentials: CredentialStore,
    /// What NFS servers lack.
    lacking: Arc<LackingVersions>,
    client_keys: ClientKeys,
}

impl Endpoints {
    pub(crate) fn new(settings: &ProcessSettings, credentials: CredentialStore) -> Self {
        Self {
            nfs: settings.nfs.clone(),
            efs_addresses: settings.efs_addresses.clone(),
            s3: settings.s3.clone(),
            servers: Servers::new(&settings.nfs, &settings.s3),
            egress: settings.egress.clone(),
            credentials,
            lacking: Arc::default(),
            client_keys: ClientKeys::default(),
        }
    }

    /// The servers of the locations.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// How `location` is mounted.
    pub(crate) fn nfs_config(&self, location: &NfsLocation) -> NfsConfig {
        nfs_config(&self.nfs, location)
    }

    /// Where file systems of EFS are reached that are not at their names.
    pub(crate) fn efs_addresses(&self) -> &BTreeMap<String, ServerName> {
        &self.efs_addresses
    }

    /// The way out of this network.
    pub(crate) fn egress(&self) -> &EgressSettings {
        &self.egress
    }

    /// The credentials of the locations.
    pub(crate) fn credentials(&self) -> &CredentialStore {
        &self.credentials
    }

    /// Names a failure to open or to use `location`.
    pub(crate) fn failure(
        &self,
        side: Side,
        location: &Location,
        error: &EndpointError,
    ) -> Failure {
        if error.kind == ErrorKind::Credentials {
            let detail = match self
                .credentials
                .availability(location.arn(), SystemTime::now())
            {
                Availability::Usable(_) => None,
                Availability::Missing => Some(self.credentials.giver().has_none().to_owned()),
                Availability::Denied(reason) => Some(reason),
            };
            if let Some(detail) = detail {
                return self.no_credentials(location, &detail);
            }
        }
        failure(side, location, error, self.credentials.giver())
    }

    /// Names the lack of credentials for `location`.
    pub(crate) fn no_credentials(&self, location: &Location, reason: &str) -> Failure {
        no_credentials(location, reason, self.credentials.giver())
    }

    /// `shape` is what the objects of a bucket are taken for, `extended` what is kept beyond POSIX
    /// metadata: a server that cannot tell it is refused.
    pub(crate) async fn source(
        &self,
        location: SourceLocation<'_>,
        shape: Shape,
        extended: ExtendedKinds,
    ) -> Result<AnySource, EndpointError> {
        let config = match location {
            SourceLocation::Nfs(nfs) => nfs_config(&self.nfs, nfs),
            SourceLocation::Efs(efs) => self.efs_config(efs)?,
            SourceLocation::S3(s3) => {
                let source = S3Source::open(self.s3_config(s3), shape).await?;
                return Ok(AnySource::S3(Box::new(source.with_extended(extended))));
            }
        };
        let further_connections = self.servers.source(location).further_connections;
        let config = NfsConfig {
            extended,
            ..self.shared(config, further_connections)
        };
        let mounted = NfsSource::mount(config).await?;
        Ok(AnySource::Nfs(Box::new(mounted)))
    }

    /// What all mounts of the process share.
    fn shared(&self, config: NfsConfig, further_connections: Arc<Semaphore>) -> NfsConfig {
        NfsConfig {
            further_connections,
            lacking: Arc::clone(&self.lacking),
            ..config
        }
    }

    fn efs_config(&self, location: &EfsLocation) -> Result<NfsConfig, EndpointError> {
        let nfs = efs::as_nfs(location, &self.efs_addresses)?;
        let tls: Option<Arc<dyn Tls>> = if location.encrypted {
            let ca_bundle = self.egress.ca_bundle.as_deref();
            let credentials = Some(self.credentials.provider(&location.arn));
            let keys = self.client_keys.clone();
            let tls = EfsTls::new(location, ca_bundle, keys, credentials)?;
            Some(Arc::new(tls))
        } else {
            None
        };
        Ok(NfsConfig {
            tls,
            ..nfs_config(&self.nfs, &nfs)
        })
    }

    /// The destination of an execution that keeps its state in `directory`. To find out about it, it
    /// is written to.
    pub(crate) async fn destination(
        &self,
        location: DestinationLocation<'_>,
        (algorithm, extended): (ChecksumAlgorithm, ExtendedKinds),
        directory: &Path,
    ) -> Result<AnyDestination, EndpointError> {
        if let DestinationLocation::S3(s3) = location {
            let opened = S3Destination::open(self.s3_written(s3, algorithm)).await?;
            return Ok(AnyDestination::S3(Box::new(opened)));
        }
        let config = self.mounted(location, extended)?;
        let log = directory.join(DIRECTORY_TIMES_FILE);
        let opened = Box::pin(NfsDestination::open(config, &log)).await?;
        Ok(AnyDestination::Nfs(Box::new(opened)))
    }

    /// The destination for looking only: nothing is written to find out about it.
    pub(crate) async fn destination_to_look(
        &self,
        location: DestinationLocation<'_>,
        extended: ExtendedKinds,
    ) -> Result<AnyDestination, EndpointError> {
        if let DestinationLocation::S3(s3) = location {
            let opened = S3Destination::open_to_look(self.s3_config(s3)).await?;
            return Ok(AnyDestination::S3(Box::new(opened)));
        }
        let opened = NfsDestination::open_to_look(self.mounted(location, extended)?).await?;
        Ok(AnyDestination::Nfs(Box::new(opened)))
    }

    /// Tries whether the location can be written to, and leaves nothing behind.
    pub(crate) async fn try_destination(
        &self,
        location: DestinationLocation<'_>,
    ) -> Result<(), EndpointError> {
        if let DestinationLocation::S3(s3) = location {
            let config = self.s3_written(s3, ChecksumAlgorithm::default());
            S3Destination::open(config).await?;
            return Ok(());
        }
        NfsDestination::probe(self.mounted(location, ExtendedKinds::default())?).await
    }

    fn s3_written(&self, location: &S3Location, algorithm: ChecksumAlgorithm) -> S3Config {
        let checksum = match algorithm {
            ChecksumAlgorithm::Automatic => None,
            ChecksumAlgorithm::Sha256 => Some(Algorithm::Sha256),
        };
        S3Config {
            checksum,
            ..self.s3_config(location)
        }
    }

    /// How a destination that is a file system is mounted.
    fn mounted(
        &self,
        location: DestinationLocation<'_>,
        extended: ExtendedKinds,
    ) -> Result<NfsConfig, EndpointError> {
        let config = match location {
            DestinationLocation::Nfs(nfs) => nfs_config(&self.nfs, nfs),
            DestinationLocation::Efs(efs) => self.efs_config(efs)?,
            DestinationLocation::S3(s3) => {
                let detail = "a bucket is not mounted";
                let kind = ErrorKind::Invalid;
                return Err(EndpointError::new(kind, "MNT", &s3.bucket, detail));
            }
        };
        let further_connections = self.servers.destination(location).further_connections;
        Ok(NfsConfig {
            extended,
            ..self.shared(config, further_connections)
        })
    }

    /// A bucket beside the locations, for single objects.
    pub(crate) async fn bucket(&self, store: &S3Location) -> Result<S3Objects, EndpointError> {
        S3Objects::open(&self.s3_config(store)).await
    }

    fn s3_config(&self, location: &S3Location) -> S3Config {
        S3Config {
            location: location.clone(),
            credentials: self.credentials.provider(&location.arn),
            object_max: self.s3.object_max,
            checksum: None,
            request_timeout: S3_REQUEST_TIMEOUT,
            requests_max: REQUESTS_MAX,
            proxy: self.egress.proxy_to(location.endpoint.as_deref()).cloned(),
            ca_bundle: self.egress.ca_bundle.clone(),
            encryption: self.s3.encryption.clone(),
            bucket_owner_full_control: self.s3.bucket_owner_full_control,
            requester_pays: self.s3.requester_pays,
        }
    }
}

/// How `location` is mounted under these settings.
pub(crate) fn nfs_config(settings: &NfsSettings, location: &NfsLocation) -> NfsConfig {
    NfsConfig {
        connections: settings.connections,
        in_flight_per_connection: REQUESTS_MAX.div_ceil(settings.connections.max(1)),
        mount_port: settings.mount_port,
        privileged_ports: match settings.privileged_ports {
            PrivilegedPorts::Prefer => datasync_nfs::PrivilegedPorts::Prefer,
            PrivilegedPorts::Never => datasync_nfs::PrivilegedPorts::Never,
            PrivilegedPorts::Require => datasync_nfs::PrivilegedPorts::Require,
        },
        owners: settings.owners.current(),
        ..NfsConfig::for_location(location)
    }
}

/// Names a failure to open `location`: what was wrong, where, and what to do.
fn failure(side: Side, location: &Location, error: &EndpointError, giver: Giver) -> Failure {
    let of_kind = match (location, side) {
        (Location::Efs(_), _) => efs::advice(side, error.kind),
        (Location::S3(_), Side::Source) => Some(bucket::advice(error.kind, giver)),
        (Location::Nfs(_), Side::Source) | (Location::S3(_), Side::Destination) => None,
        (Location::Nfs(_), Side::Destination) => written_file_system(error.kind),
    };
    let is_written_efs = matches!((location, side), (Location::Efs(_), Side::Destination));
    let of_kind = of_kind.or_else(|| {
        is_written_efs
            .then(|| written_file_system(error.kind))
            .flatten()
    });
    let (code, advice) = of_kind.unwrap_or_else(|| named(side, error.kind, giver));
    let place = place(location);
    Failure::new(code, format!("{place}: {error}; {advice}"))
}

/// Names the lack of credentials for `location`.
pub(crate) fn no_credentials(location: &Location, reason: &str, giver: Giver) -> Failure {
    let (place, remedy) = (place(location), giver.remedy());
    Failure::new(
        ErrorCode::CredentialsUnavailable,
        format!("no credentials for {place}: {reason}; {remedy}"),
    )
}

/// What is different of a file system that is written to.
fn written_file_system(kind: ErrorKind) -> Option<(ErrorCode, &'static str)> {
    Some(match kind {
        ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Busy => (
            ErrorCode::DestinationUnreachable,
            "check the host name and this agent's DNS, that the server runs and serves NFS over \
             TCP, and that firewalls let this agent reach its ports (2049; for version 3 also 111 \
             and mountd's)",
        ),
        ErrorKind::ContainerNotFound | ErrorKind::NotFound | ErrorKind::Stale => (
            ErrorCode::DestinationPathNotFound,
            "check that the path is exported, or lies below an export (showmount -e lists them)",
        ),
        ErrorKind::PermissionDenied | ErrorKind::Credentials => (
            ErrorCode::DestinationPermissionDenied,
            "export the path to this agent's address for writing, with no_root_squash so that owners \
             can be set",
        ),
        ErrorKind::NoSpace => (
            ErrorCode::DestinationFault,
            "the file system or a quota is full: make room",
        ),
        ErrorKind::NotSupported => (
            ErrorCode::NotSupported,
            "the server must offer the location's version of NFS over TCP; AUTOMATIC takes one that \
             it has",
        ),
        ErrorKind::BadCookie
        | ErrorKind::ServerFault
        | ErrorKind::Protocol
        | ErrorKind::ChecksumRefused
        | ErrorKind::Precondition => (ErrorCode::DestinationFault, "look at the NFS server's log"),
        ErrorKind::Invalid | ErrorKind::InvalidName | ErrorKind::TooLarge => return None,
    })
}

fn named(side: Side, kind: ErrorKind, giver: Giver) -> (ErrorCode, &'static str) {
    match (kind, side) {
        (ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Busy, Side::Source) => (
            ErrorCode::SourceUnreachable,
            "check the host name and this agent's DNS, that the server runs and serves NFS over \
             TCP, and that firewalls let this agent reach its ports (2049; for version 3 also 111 \
             and mountd's)",
        ),
        (ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Busy, Side::Destination) => (
            ErrorCode::DestinationUnreachable,
            "check the endpoint's name and port, its certificate, and that the agent may reach it",
        ),
        (ErrorKind::ContainerNotFound | ErrorKind::NotFound | ErrorKind::Stale, Side::Source) => (
            ErrorCode::SourcePathNotFound,
            "check that the path is exported, or lies below an export (showmount -e lists them)",
        ),
        (
            ErrorKind::ContainerNotFound | ErrorKind::NotFound | ErrorKind::Stale,
            Side::Destination,
        ) => (
            ErrorCode::BucketNotFound,
            "create the bucket or correct the location",
        ),
        (ErrorKind::PermissionDenied | ErrorKind::Credentials, Side::Source) => (
            ErrorCode::SourcePermissionDenied,
            "allow the agent's address in the export, with no_root_squash where root must read",
        ),
        (ErrorKind::PermissionDenied, Side::Destination) => (
            ErrorCode::DestinationPermissionDenied,
            "allow the key or role to list the bucket and to put, get and delete its objects",
        ),
        (ErrorKind::Credentials, Side::Destination) => {
            (ErrorCode::DestinationPermissionDenied, giver.suspects())
        }
        (ErrorKind::NotSupported, Side::Source) => (
            ErrorCode::NotSupported,
            "the server must offer the location's version of NFS over TCP; AUTOMATIC takes one that it has",
        ),
        (ErrorKind::NotSupported, Side::Destination) => (
            ErrorCode::NotSupported,
            "the store lacks something that a transfer needs",
        ),
        (ErrorKind::Invalid | ErrorKind::InvalidName | ErrorKind::TooLarge, _) => {
            (ErrorCode::InvalidConfiguration, "correct the location")
        }
        (
            ErrorKind::BadCookie
            | ErrorKind::ServerFault
            | ErrorKind::Protocol
            | ErrorKind::ChecksumRefused
            | ErrorKind::Precondition
            | ErrorKind::NoSpace,
            _,
        ) => match side {
            Side::Source => (ErrorCode::SourceFault, "look at the NFS server's log"),
            Side::Destination => (ErrorCode::DestinationFault, "look at the store's log"),
        },
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::NfsVersion;
    use datasync_transfer::ServerLimits;

    use super::*;

    fn nfs(version: NfsVersion) -> Location {
        Location::Nfs(NfsLocation {
            arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            server_hostname: "nas.test".to_owned(),
            subdirectory: "/export/data/".to_owned(),
            version,
        })
    }

    #[test]
    fn a_failed_mount_names_cause_place_and_remedy() {
        for (kind, code) in [
            (ErrorKind::Unreachable, ErrorCode::SourceUnreachable),
            (ErrorKind::ContainerNotFound, ErrorCode::SourcePathNotFound),
            (
                ErrorKind::PermissionDenied,
                ErrorCode::SourcePermissionDenied,
            ),
            (ErrorKind::Protocol, ErrorCode::SourceFault),
        ] {
            let error = EndpointError::new(kind, "MNT", "/export/data", "said no");
            let location = nfs(NfsVersion::Automatic);
            let failure = failure(Side::Source, &location, &error, Giver::Control);
            assert_eq!(failure.code, code);
            assert!(
                failure
                    .detail
                    .starts_with("nfs://nas.test/export/data/: MNT /export/data: said no; "),
                "{}",
                failure.detail
            );
        }
    }

    #[test]
    fn the_settings_of_the_process_decide_how_a_location_is_mounted() {
        let Location::Nfs(location) = nfs(NfsVersion::Nfs3) else {
            panic!("not NFS");
        };
        let owners = datasync_nfs::Owners {
            users: [("anna".to_owned(), 7)].into(),
            ..datasync_nfs::Owners::default()
        };
        let settings = NfsSettings {
            connections: 7,
            mount_port: Some(20_048),
            privileged_ports: PrivilegedPorts::Never,
            limits: ServerLimits::default(),
            owners: owners.into(),
        };
        let config = nfs_config(&settings, &location);
        assert_eq!(config.server_hostname, "nas.test");
        assert_eq!(config.connections, 7);
        assert_eq!(config.owners.users["anna"], 7);
        assert_eq!(config.mount_port, Some(20_048));
        assert_eq!(
            config.privileged_ports,
            datasync_nfs::PrivilegedPorts::Never
        );
    }
}
