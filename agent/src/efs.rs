//! EFS file systems: where they are, and how a connection to one is made secret, says which
//! access point it is for, and proves that it may.

mod certificate;
mod der;
mod request;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use datasync_endpoint::{EndpointError, ErrorKind};
use datasync_model::{EfsLocation, ErrorCode, NfsLocation, NfsVersion};
use datasync_nfs::{NoTls, ServerName, SessionFuture, Tls, TlsSession};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use certificate::ClientKey;

use crate::endpoints::Side;

/// The key pair of this process's certificates, made when it is needed first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientKeys(Arc<OnceCell<Arc<ClientKey>>>);

impl ClientKeys {
    async fn get(&self) -> Result<Arc<ClientKey>, String> {
        let made = self.0.get_or_try_init(|| async {
            let mut making = JoinSet::new();
            making.spawn_blocking(ClientKey::generate);
            match making.join_next().await {
                Some(Ok(Ok(key))) => Ok(Arc::new(key)),
                Some(Ok(Err(error))) => Err(error.to_string()),
                Some(Err(error)) => Err(error.to_string()),
                None => Err("nothing makes it".to_owned()),
            }
        });
        made.await.map(Arc::clone)
    }
}

/// The file system as an NFS server: where `addresses` says, or at its name. In place of a location
/// that its type forbids there is an error.
pub(crate) fn as_nfs(
    location: &EfsLocation,
    addresses: &BTreeMap<String, ServerName>,
) -> Result<NfsLocation, EndpointError> {
    let needs_tls = location.access_point_id.is_some() || location.signed;
    if needs_tls && !location.encrypted {
        let detail = "an access point and a role need InTransitEncryption TLS1_2";
        return Err(invalid(location, detail));
    }
    let server_hostname = match addresses.get(&location.file_system_id) {
        Some(address) => address.to_string(),
        None => location.dns_name(),
    };
    Ok(NfsLocation {
        arn: location.arn.clone(),
        server_hostname,
        subdirectory: location.subdirectory.clone(),
        version: NfsVersion::Nfs4_1,
    })
}

fn invalid(location: &EfsLocation, detail: impl Into<String>) -> EndpointError {
    EndpointError::new(ErrorKind::Invalid, "MNT", location.dns_name(), detail)
}

/// What the connections to one file system are made with. `Debug` shows no secrets.
pub(crate) struct EfsTls {
    location: EfsLocation,
    server_name: rustls::pki_types::ServerName<'static>,
    roots: Arc<RootCertStore>,
    keys: ClientKeys,
    /// Of the role, if there is one.
    credentials: Option<SharedCredentialsProvider>,
}

impl fmt::Debug for EfsTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EfsTls")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl EfsTls {
    /// Trusts the system's authorities, among which Amazon's are, and those of `ca_bundle`. The server
    /// must be the file system, by its name in the DNS, wherever it is reached.
    ///
    /// # Errors
    /// `Invalid` for a name or a bundle that is none.
    pub(crate) fn new(
        location: &EfsLocation,
        ca_bundle: Option<&str>,
        keys: ClientKeys,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, EndpointError> {
        let roots = roots(ca_bundle).map_err(|error| invalid(location, error))?;
        let server_name = location.dns_name().try_into();
        let server_name =
            server_name.map_err(|_| invalid(location, "the file system has no name"))?;
        Ok(Self {
            location: location.clone(),
            server_name,
            roots: Arc::new(roots),
            keys,
            credentials: credentials.filter(|_| location.signed),
        })
    }

    async fn made(&self, now: SystemTime) -> Result<TlsSession, NoTls> {
        let failed = |error: &dyn fmt::Display| NoTls {
            kind: ErrorKind::Invalid,
            detail: format!("TLS cannot be set up: {error}"),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(Arc::clone(&self.roots));
        let config = match self.certificate(now).await? {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate], key)
                .map_err(|error| failed(&error))?,
            None => builder.with_no_client_auth(),
        };
        Ok(TlsSession {
            config: Arc::new(config),
            server_name: self.server_name.clone(),
        })
    }

    /// Without access point and role there is nothing that a certificate would say.
    async fn certificate(
        &self,
        now: SystemTime,
    ) -> Result<Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>, NoTls> {
        if self.location.access_point_id.is_none() && !self.location.signed {
            return Ok(None);
        }
        let credentials = match &self.credentials {
            Some(provider) => {
                Some(
                    provider
                        .provide_credentials()
                        .await
                        .map_err(|error| NoTls {
                            kind: ErrorKind::Credentials,
                            detail: format!("no credentials to sign the connection with: {error}"),
                        })?,
                )
            }
            None => None,
        };
        let failed = |error: String| NoTls {
            kind: ErrorKind::Invalid,
            detail: format!("the client certificate cannot be made: {error}"),
        };
        let key = self.keys.get().await.map_err(failed)?;
        let made = certificate::make(&key, &self.location, credentials.as_ref(), now);
        let made = made.map_err(|error| failed(error.to_string()))?;
        Ok(Some((made, key.private())))
    }
}

impl Tls for EfsTls {
    fn session(&self) -> SessionFuture<'_> {
        Box::pin(self.made(SystemTime::now()))
    }
}

fn roots(ca_bundle: Option<&str>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(ca_bundle.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|error| format!("ca_bundle: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("ca_bundle: {error}"))?;
    }
    Ok(roots)
}

/// What to do where something of a file system may not be read.
pub(crate) const DENIED: &str = "let the file system's policy and the location's role allow \
                                 elasticfilesystem:ClientMount and ClientRootAccess; where the access \
                                 point enforces a user, that user must be able to read";

/// What a failure to read or write a file system is called, and what to do about it.
pub(crate) fn advice(side: Side, kind: ErrorKind) -> Option<(ErrorCode, &'static str)> {
    let (code, advice) = of_source(kind)?;
    Some(match (side, code) {
        (Side::Source, _) => (code, advice),
        (Side::Destination, ErrorCode::SourceUnreachable) => {
            (ErrorCode::DestinationUnreachable, advice)
        }
        (Side::Destination, ErrorCode::SourcePathNotFound) => {
            (ErrorCode::DestinationPathNotFound, advice)
        }
        (Side::Destination, ErrorCode::SourcePermissionDenied) => (
            ErrorCode::DestinationPermissionDenied,
            "let the file system's policy and the location's role allow \
             elasticfilesystem:ClientMount, ClientWrite and ClientRootAccess; where the access point \
             enforces a user, run the task with Uid and Gid NONE",
        ),
        (Side::Destination, _) => (code, advice),
    })
}

fn of_source(kind: ErrorKind) -> Option<(ErrorCode, &'static str)> {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Busy => Some((
            ErrorCode::SourceUnreachable,
            "check that the file system's name is known to this agent's DNS (efs.addresses names \
             another address), that the security groups of its mount targets let this agent reach \
             TCP 2049, that its certificate is signed by an authority of the system or of ca_bundle, \
             and that InTransitEncryption is what is spoken there",
        )),
        ErrorKind::NotSupported => Some((
            ErrorCode::NotSupported,
            "EFS speaks NFS 4.1; InTransitEncryption must be what is spoken there",
        )),
        ErrorKind::ContainerNotFound | ErrorKind::NotFound | ErrorKind::Stale => Some((
            ErrorCode::SourcePathNotFound,
            "check Subdirectory, which lies below the root directory of the file system or of its \
             access point",
        )),
        ErrorKind::PermissionDenied => Some((ErrorCode::SourcePermissionDenied, DENIED)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
