//! Control's own certificate authority: one EC key made at the first start, which signs control's
//! server certificate and the agents' client certificates.

mod files;
mod request;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_model::AgentArn;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use request::{CertificateFacts, PublicKey, key_id};

use crate::disk;

const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const SERVER_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A server certificate with less time than this left is replaced at start.
const SERVER_RENEWAL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Certificates begin in the past, so that a peer whose clock is slow accepts them.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// What can go wrong with the CA.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of the CA cannot be read or written.
    #[error("{}: {action}: {source}{}", path.display(), disk::advice(.source))]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the CA is damaged, or a certificate cannot be made.
    #[error("{what}: {reason}")]
    Broken {
        /// Which file or step.
        what: String,
        /// Why.
        reason: String,
    },
    /// The CA's own certificate has expired.
    #[error(
        "{}: control's CA certificate expired at {expired}: move the directory away to make a new \
         CA, then activate every agent again", path.display()
    )]
    Expired {
        /// The certificate.
        path: PathBuf,
        /// When.
        expired: Timestamp,
    },
    /// An agent's certificate signing request is refused.
    #[error("certificate request: {0}")]
    Request(&'static str),
}

fn broken(what: impl std::fmt::Display, reason: impl std::fmt::Display) -> CaError {
    CaError::Broken {
        what: what.to_string(),
        reason: reason.to_string(),
    }
}

/// The CA, ready to sign. `Debug` does not show the key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    directory: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// A certificate with its chain and private key, as rustls takes them.
pub(crate) struct ServerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Opens the CA under `state_dir`, or makes it at the first start.
    ///
    /// # Errors
    /// [`CaError`]: files that cannot be read, are damaged, or a CA that has expired.
    pub(crate) fn open(state_dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        let directory = state_dir.join("ca");
        files::make_private_directory(&directory)?;
        let (key_path, certificate_path) = (directory.join("ca.key.pem"), directory.join("ca.pem"));
        if !certificate_path.exists() {
            let (key, certificate) = new_ca(now)?;
            files::write_private(&key_path, key.as_bytes())?;
            files::write_public(&certificate_path, certificate.as_bytes())?;
        }
        let key_pem = files::read(&key_path)?;
        let certificate_pem = files::read(&certificate_path)?;
        let key = KeyPair::from_pem(&key_pem).map_err(|e| broken(key_path.display(), e))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|e| broken(certificate_path.display(), e))?;
        let facts = CertificateFacts::of(&certificate)
            .map_err(|e| broken(certificate_path.display(), e))?;
        if facts.public_key != PublicKey::of_key_pair(&key) {
            return Err(broken(key_path.display(), "is not the key of ca.pem"));
        }
        if facts.not_after <= now {
            return Err(CaError::Expired {
                path: certificate_path,
                expired: facts.not_after,
            });
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|e| broken(certificate_path.display(), e))?;
        Ok(Self {
            issuer,
            certificate_pem,
            certificate,
            directory,
        })
    }

    /// Opens the CA under `state_dir`, which others made: its files are written if there are none.
    ///
    /// # Errors
    /// [`CaError`] as of [`Self::open`], and if `state_dir` holds another CA.
    pub(crate) fn adopt(
        state_dir: &Path,
        key_pem: &str,
        certificate_pem: &str,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let directory = state_dir.join("ca");
        files::make_private_directory(&directory)?;
        let certificate_path = directory.join("ca.pem");
        if !certificate_path.exists() {
            files::write_private(&directory.join("ca.key.pem"), key_pem.as_bytes())?;
            files::write_public(&certificate_path, certificate_pem.as_bytes())?;
        }
        let opened = Self::open(state_dir, now)?;
        if opened.certificate_pem != certificate_pem {
            return Err(broken(
                certificate_path.display(),
                "is not the CA of the database: use a state directory of its own for each database",
            ));
        }
        Ok(opened)
    }

    /// The private key of the CA under `state_dir`.
    ///
    /// # Errors
    /// [`CaError::File`].
    pub(crate) fn key_pem(state_dir: &Path) -> Result<Zeroizing<String>, CaError> {
        files::read(&state_dir.join("ca").join("ca.key.pem")).map(Zeroizing::new)
    }

    /// The CA's certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's certificate as PEM: what agents and clients trust.
    pub(crate) fn pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The file with [`Self::pem`].
    pub(crate) fn pem_path(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// SHA-256 of the certificate's DER, lower-case hexadecimal: what an agent is told to pin.
    pub(crate) fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.certificate))
    }

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

    /// A client certificate for `agent` over `key`: PEM, with the CA's certificate behind it.
    ///
    /// # Errors
    /// [`CaError::Broken`] if the key cannot be certified.
    pub(crate) fn issue_agent(
        &self,
        agent: &AgentArn,
        key: &PublicKey,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<String, CaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(agent.id());
        let uri = agent.to_string();
        params.subject_alt_names = vec![SanType::URI(
            uri.as_str()
                .try_into()
                .map_err(|e| broken("agent certificate", e))?,
        )];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, now, lifetime)?;
        let key =
            rcgen::SubjectPublicKeyInfo::from_der(key.der()).map_err(|e| broken("agent key", e))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|e| broken("agent certificate", e))?;
        Ok(format!("{}{}", certificate.pem(), self.certificate_pem))
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

fn subject(common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}

fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    lifetime: Duration,
) -> Result<(), CaError> {
    let seconds =
        u64::try_from(now.as_second()).map_err(|_| broken("clock", "shows a time before 1970"))?;
    let start = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = start - CLOCK_SKEW;
    params.not_after = start + lifetime;
    let mut serial = [0u8; 16];
    getrandom::fill(&mut serial).map_err(|e| broken("random source", e))?;
    // RFC 5280 section 4.1.2.2: positive.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

fn new_ca(now: Timestamp) -> Result<(String, String), CaError> {
    let mut params = CertificateParams::default();
    let mut tag = [0u8; 4];
    getrandom::fill(&mut tag).map_err(|e| broken("random source", e))?;
    params.distinguished_name = subject(&format!("datasync-control CA {}", hex::encode(tag)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, CA_LIFETIME)?;
    let key = KeyPair::generate().map_err(|e| broken("CA key", e))?;
    let certificate = params
        .self_signed(&key)
        .map_err(|e| broken("CA certificate", e))?;
    Ok((key.serialize_pem(), certificate.pem()))
}

#[cfg(test)]
mod tests;
