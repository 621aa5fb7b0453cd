//! TLS to the server: its certificate must be for its name and signed by a CA that is trusted.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::Cause;

/// # Errors
/// [`Cause::Unsuitable`]: certificates that cannot be read.
pub(super) fn connector(ca: Option<&str>) -> Result<MakeRustlsConnect, Cause> {
    let unsuitable = |reason: String| Cause::Unsuitable(format!("TLS: {reason}"));
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| unsuitable(error.to_string()))?;
                let added = roots.add(certificate);
                added.map_err(|error| unsuitable(format!("database_ca_file: {error}")))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unsuitable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
