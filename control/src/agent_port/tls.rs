//! TLS for agents: control's certificate, and client certificates of its CAs if any is shown.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::ca::{Authorities, CaError, Trusted};
use crate::served_certificate::ServedCertificate;

/// What handshakes are made with; the CAs may change while control serves.
#[derive(Debug)]
pub(crate) struct AgentTls {
    authorities: Arc<Authorities>,
    certificate: Arc<ServedCertificate>,
    present: Mutex<(Arc<Trusted>, Arc<ServerConfig>)>,
}

impl AgentTls {
    /// # Errors
    /// [`CaError::Broken`] if rustls refuses the certificates.
    pub(crate) fn new(
        authorities: Arc<Authorities>,
        certificate: Arc<ServedCertificate>,
    ) -> Result<Self, CaError> {
        let trusted = authorities.trusted();
        let config = server_config(&trusted, certificate.clone())?;
        Ok(Self {
            authorities,
            certificate,
            present: Mutex::new((trusted, Arc::new(config))),
        })
    }

    /// For one handshake, with the CAs of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let trusted = self.authorities.trusted();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&present.0, &trusted) {
            match server_config(&trusted, self.certificate.clone()) {
                Ok(config) => *present = (trusted, Arc::new(config)),
                Err(error) => tracing::error!(%error, "agents are let in by the CAs of before"),
            }
        }
        TlsAcceptor::from(present.1.clone())
    }
}

fn server_config(
    trusted: &Trusted,
    certificate: Arc<ServedCertificate>,
) -> Result<ServerConfig, CaError> {
    let broken = |reason: &dyn std::fmt::Display| CaError::Broken {
        what: "TLS for agents".to_owned(),
        reason: reason.to_string(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for anchor in trusted.certificates() {
        roots.add(anchor.clone()).map_err(|e| broken(&e))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| broken(&e))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| broken(&e))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
