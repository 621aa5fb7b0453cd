//! Control's own certificate, and those that somebody else keeps in files.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Authority, CaError, CertificateFacts, broken, files, set_validity, subject};

pub(super) const SERVER_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A server certificate with less time than this left is replaced at start.
pub(super) const SERVER_RENEWAL: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A certificate with its chain and private key, as rustls takes them.
pub(crate) struct ServerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Control's server certificate for `names`, kept on disk, made anew when it nears its end or
    /// the names have changed.
    ///
    /// # Errors
    /// [`CaError`]: files, or names that cannot be in a certificate.
    pub(crate) fn server_identity(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<ServerIdentity, CaError> {
        let (key_path, chain_path, names_path) = (
            self.directory.join("server.key.pem"),
            self.directory.join("server.pem"),
            self.directory.join("server.names"),
        );
        let wanted = all_names(names).join("\n");
        if !self.server_is_usable(&chain_path, &names_path, &wanted, now) {
            let (key, certificate) = self.new_server(names, now)?;
            files::write_private(&key_path, key.as_bytes())?;
            let chain = format!("{certificate}{}", self.certificate_pem);
            files::write_public(&chain_path, chain.as_bytes())?;
            // Last: a crash before this line makes the whole anew at the next start.
            files::write_public(&names_path, wanted.as_bytes())?;
        }
        read_identity(&chain_path, &key_path)
    }

    fn server_is_usable(&self, chain: &Path, names: &Path, wanted: &str, now: Timestamp) -> bool {
        let Ok(chain) = std::fs::read(chain) else {
            return false;
        };
        let names_agree = std::fs::read_to_string(names).is_ok_and(|text| text == wanted);
        let mut certificates = CertificateDer::pem_slice_iter(&chain);
        let (Some(Ok(server)), Some(Ok(ca))) = (certificates.next(), certificates.next()) else {
            return false;
        };
        names_agree
            && ca == self.certificate
            && CertificateFacts::of(&server)
                .is_ok_and(|facts| facts.not_after > now + SERVER_RENEWAL)
    }

    fn new_server(&self, names: &[String], now: Timestamp) -> Result<(String, String), CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject("datasync-control");
        for name in all_names(names) {
            let san = match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    name.as_str()
                        .try_into()
                        .map_err(|e| broken(format!("server name {name:?}"), e))?,
                ),
            };
            params.subject_alt_names.push(san);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, now, SERVER_LIFETIME)?;
        let key = KeyPair::generate().map_err(|e| broken("server key", e))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|e| broken("server certificate", e))?;
        Ok((key.serialize_pem(), certificate.pem()))
    }
}

/// Reads a PEM chain and its key.
///
/// # Errors
/// [`CaError`]: files that cannot be read or hold no certificate or no key.
pub(crate) fn read_identity(chain: &Path, key: &Path) -> Result<ServerIdentity, CaError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(files::read(chain)?.as_bytes()).collect();
    let certificates = certificates.map_err(|e| broken(chain.display(), e))?;
    if certificates.is_empty() {
        return Err(broken(chain.display(), "holds no PEM certificate"));
    }
    let key_der = PrivateKeyDer::from_pem_slice(files::read(key)?.as_bytes()).map_err(|e| {
        broken(
            key.display(),
            format!("holds no usable PEM private key: {e}"),
        )
    })?;
    Ok(ServerIdentity {
        chain: certificates,
        key: key_der,
    })
}

fn all_names(configured: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    for name in configured {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
