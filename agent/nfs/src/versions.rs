//! Which version of NFS a location is read by.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, DirCursor, DirPage, EndpointError, ErrorKind, ExtendedKinds, ExtendedMetadata,
    Handle, Node, ReadReply, Source,
};
use datasync_model::{NfsVersion, RequestCounts};
use tokio::time::Instant;

use crate::changes::{Changes, WriteLimits};
use crate::config::NfsConfig;
use crate::counts::CallCounts;
use crate::lacking::Lack;
use crate::source::Nfs3Source;
use crate::v4::{Nfs4Source, is_silent};

/// A directory of an NFS server, read by the version that the location names.
#[derive(Debug)]
pub struct NfsSource {
    version: NfsVersion,
    spoken: Spoken,
}

#[derive(Debug)]
enum Spoken {
    V3(Box<Nfs3Source>),
    V4(Box<Nfs4Source>),
}

/// What AUTOMATIC tries, the first that works: of the versions that can tell what is to be kept.
fn automatic(extended: ExtendedKinds) -> &'static [NfsVersion] {
    match extended {
        ExtendedKinds { xattrs: true, .. } => &[NfsVersion::Nfs4_2],
        ExtendedKinds { acls: true, .. } => &[NfsVersion::Nfs4_1, NfsVersion::Nfs4_0],
        _ => &[NfsVersion::Nfs4_1, NfsVersion::Nfs4_0, NfsVersion::Nfs3],
    }
}

impl NfsSource {
    /// Resolves the host and finds the path: by MOUNT in version 3, from the server's root in
    /// version 4. AUTOMATIC takes the first of 4.1, 4.0 and 3 by which the path can be read; where
    /// extended attributes are to be kept 4.2, where access control lists are, one of version 4.
    ///
    /// # Errors
    /// With texts for people: `Unreachable` or `Timeout` where no server answers,
    /// `ContainerNotFound` for a path that is not there, `PermissionDenied` for one that is not
    /// exported to this agent or may not be looked into, `NotSupported` for a version that the
    /// server lacks, `Invalid` for a bad configuration. Of AUTOMATIC, the error of version 3, with
    /// those of the others.
    pub async fn mount(config: NfsConfig) -> Result<Self, EndpointError> {
        if config.version != NfsVersion::Automatic {
            let version = config.version;
            return Self::mount_as(version, config).await;
        }
        Self::mount_by_any(config).await
    }

    async fn mount_by_any(config: NfsConfig) -> Result<Self, EndpointError> {
        let mut refused: Vec<(NfsVersion, EndpointError)> = Vec::new();
        let host = &config.server_hostname;
        let mut lacking = if config.extended.is_none() {
            config.lacking.of(host, Instant::now())
        } else {
            // There is no other version to fall back to: why it is not spoken is to be told.
            Vec::new()
        };
        let known = lacking.len();
        for &version in automatic(config.extended) {
            // Both minor versions are served at one place.
            let is_served = |(version, error): &(NfsVersion, EndpointError)| {
                *version == NfsVersion::Nfs4_1 && is_silent(error)
            };
            let is_useless = version == NfsVersion::Nfs4_0 && refused.iter().any(is_served);
            if is_useless || lacking.contains(&version) {
                continue;
            }
            match Self::mount_as(version, config.clone()).await {
                Ok(source) => {
                    for (other, error) in &refused {
                        tracing::info!(%error, "{other} is not used: the server is read by {version}");
                    }
                    if lacking.len() > known {
                        config.lacking.note(host, lacking, Instant::now());
                    }
                    return Ok(source);
                }
                Err(error) if error.kind == ErrorKind::Invalid => return Err(error),
                Err(error) => {
                    lacking.extend(Lack::told_by(&error, version));
                    refused.push((version, error));
                }
            }
        }
        // The next mount asks for everything, and says why each was refused.
        config.lacking.forget(host);
        Err(all_refused(refused))
    }

    async fn mount_as(version: NfsVersion, config: NfsConfig) -> Result<Self, EndpointError> {
        if version == NfsVersion::Nfs3 && !config.extended.is_none() {
            let target = format!("{}:{}", config.server_hostname, config.path);
            let detail = "the task keeps access control lists or extended attributes \
                          (datasync:acls, datasync:xattrs), which NFS version 3 has not: keep none, \
                          or have the location use version 4 (4.2 for attributes)";
            let kind = ErrorKind::NotSupported;
            return Err(EndpointError::new(kind, "MNT", target, detail));
        }
        let spoken = match version {
            NfsVersion::Automatic | NfsVersion::Nfs3 => {
                Spoken::V3(Box::new(Nfs3Source::mount(config).await?))
            }
            NfsVersion::Nfs4_0 => Spoken::V4(Box::new(Nfs4Source::mount(&config, 0).await?)),
            NfsVersion::Nfs4_1 => Spoken::V4(Box::new(Nfs4Source::mount(&config, 1).await?)),
            NfsVersion::Nfs4_2 => Spoken::V4(Box::new(Nfs4Source::mount(&config, 2).await?)),
        };
        Ok(Self { version, spoken })
    }

    /// The version that is spoken: never AUTOMATIC.
    #[must_use]
    pub fn version(&self) -> NfsVersion {
        self.version
    }

    pub(crate) fn changes(&self) -> Changes<'_> {
        match &self.spoken {
            Spoken::V3(source) => source.changes(),
            Spoken::V4(source) => source.changes(),
        }
    }

    /// `host:/path`, for messages.
    pub(crate) fn target(&self) -> &str {
        match &self.spoken {
            Spoken::V3(source) => source.target(),
            Spoken::V4(source) => source.target(),
        }
    }

    pub(crate) fn write_limits(&self) -> WriteLimits {
        match &self.spoken {
            Spoken::V3(source) => source.write_limits(),
            Spoken::V4(source) => source.write_limits(),
        }
    }

    /// Calls made since the mount, per procedure.
    #[must_use]
    pub fn calls(&self) -> CallCounts {
        match &self.spoken {
            Spoken::V3(source) => source.calls(),
            Spoken::V4(source) => source.calls(),
        }
    }
}

/// Version 3 is tried last and knows most of what is wrong; what the others said is told as well.
fn all_refused(mut refused: Vec<(NfsVersion, EndpointError)>) -> EndpointError {
    let Some((_, mut last)) = refused.pop() else {
        let detail = "no version of NFS is tried";
        return EndpointError::new(ErrorKind::NotSupported, "MNT", "", detail);
    };
    for (version, error) in refused {
        last.detail = format!("{}; by {version}: {}", last.detail, error.detail);
    }
    last
}

impl Source for NfsSource {
    fn read_max(&self) -> u32 {
        match &self.spoken {
            Spoken::V3(source) => source.read_max(),
            Spoken::V4(source) => source.read_max(),
        }
    }

    fn requests(&self) -> RequestCounts {
        match &self.spoken {
            Spoken::V3(source) => source.requests(),
            Spoken::V4(source) => source.requests(),
        }
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.root().await,
            Spoken::V4(source) => source.root().await,
        }
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.read_dir(directory, cursor).await,
            Spoken::V4(source) => source.read_dir(directory, cursor).await,
        }
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.lookup(directory, name).await,
            Spoken::V4(source) => source.lookup(directory, name).await,
        }
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.attributes(handle).await,
            Spoken::V4(source) => source.attributes(handle).await,
        }
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        match &self.spoken {
            Spoken::V3(source) => source.extended_kinds(),
            Spoken::V4(source) => source.extended_kinds(),
        }
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.extended(item).await,
            Spoken::V4(source) => source.extended(item).await,
        }
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.read(file, offset, length).await,
            Spoken::V4(source) => source.read(file, offset, length).await,
        }
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        match &self.spoken {
            Spoken::V3(source) => source.read_link(link).await,
            Spoken::V4(source) => source.read_link(link).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::script::{Act, Request, Server, Xdr, accepted, record};

    /// A server of version 4 that lacks the minor versions above `minor`, and has nothing.
    fn lacking(minor: u32) -> impl Fn(Request) -> Act {
        move |mut request| {
            let call = &mut request.arguments;
            call.opaque(4, "tag").unwrap();
            let asked = call.u32("minor").unwrap();
            let status = if asked > minor { 10021 } else { 10013 };
            let results = Xdr::default().words(&[status, 0, 0]);
            Act::write(record(&accepted(request.xid, &results)))
        }
    }

    #[tokio::test]
    async fn automatic_says_why_each_version_was_refused() {
        let server = Server::start(lacking(0)).await;
        let config = NfsConfig {
            version: NfsVersion::Automatic,
            mount_port: Some(server.address.port()),
            ..server.config("/export")
        };
        let error = NfsSource::mount(config.clone()).await.unwrap_err();
        for said in [
            "NFS4_1: NFS4ERR_MINOR_VERS_MISMATCH",
            "NFS4_0: NFS4ERR_GRACE",
        ] {
            assert!(error.detail.contains(said), "{said}: {error}");
        }
        let exactly = NfsConfig {
            version: NfsVersion::Nfs4_1,
            ..config
        };
        let error = NfsSource::mount(exactly).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
        assert!(!error.detail.contains("NFS4_0"), "{error}");
    }

    /// A server of version 3 that counts the calls of version 4.
    async fn without_version_4(calls: &Arc<AtomicUsize>) -> Server {
        const MOUNT: u32 = 100_005;
        const FSINFO: u32 = 19;
        let calls = Arc::clone(calls);
        Server::start(move |request| {
            let status = Xdr::default().words(&[0]);
            let results = match (request.program, request.version, request.procedure) {
                (MOUNT, ..) => status.opaque(b"root").words(&[1, 1]),
                (_, 4, _) => {
                    calls.fetch_add(1, Ordering::SeqCst);
                    let mismatch = Xdr::default().words(&[request.xid, 1, 0, 0, 0, 2, 3, 3]);
                    return Act::write(record(&mismatch.0));
                }
                (.., FSINFO) => {
                    let sizes = [0, 128 << 10, 64 << 10, 1, 0, 0, 0, 8192];
                    status.words(&sizes).long(0).words(&[0, 1, 0])
                }
                _ => status.attributes(2, 4096),
            };
            Act::write(record(&accepted(request.xid, &results)))
        })
        .await
    }

    #[tokio::test]
    async fn a_server_that_has_only_version_3_is_asked_for_another_once() {
        let calls = Arc::new(AtomicUsize::new(0));
        let server = without_version_4(&calls).await;
        let config = NfsConfig {
            version: NfsVersion::Automatic,
            ..server.config("/vol")
        };
        let source = NfsSource::mount(config.clone()).await.unwrap();
        assert!(matches!(source.spoken, Spoken::V3(_)));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "4.0 is not asked for");
        NfsSource::mount(config.clone()).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1, "it is known");
        // Another process, or the same an hour later.
        let unknown = NfsConfig {
            lacking: Arc::default(),
            ..config.clone()
        };
        NfsSource::mount(unknown).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        // Whoever names a version gets no other.
        let exactly = NfsConfig {
            version: NfsVersion::Nfs4_1,
            ..config
        };
        let error = NfsSource::mount(exactly).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn only_what_the_server_says_of_itself_counts_as_lacking() {
        let failed = |lack: Option<Lack>| {
            let error = EndpointError::new(ErrorKind::NotSupported, "MNT", "nas", "");
            let error = match lack {
                Some(lack) => error.caused_by(lack),
                None => error,
            };
            Lack::told_by(&error, NfsVersion::Nfs4_1)
        };
        let both = [NfsVersion::Nfs4_1, NfsVersion::Nfs4_0];
        assert_eq!(failed(Some(Lack::Version4)), both);
        assert_eq!(failed(Some(Lack::Minor)), [NfsVersion::Nfs4_1]);
        assert_eq!(failed(None), []);
    }
}
