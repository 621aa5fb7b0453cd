//! Control's own certificate authority: one EC key made at the first start, which signs control's
//! server certificate and the agents' client certificates.

mod authorities;
mod files;
mod pair;
mod request;
pub(crate) mod rotation;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_model::AgentArn;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use authorities::{Authorities, AuthoritiesError, IssuedToAgent, Trusted};
pub(crate) use pair::read_pair;
pub(crate) use request::{CertificateFacts, PublicKey, key_id};
pub(crate) use server::{ServerIdentity, read_identity};

use crate::disk;
use crate::records::SharedAuthority;

const DIRECTORY: &str = "ca";
const KEY: &str = "ca.key.pem";
const CERTIFICATE: &str = "ca.pem";
/// The key of a CA that is being put in place: the present one once `ca.pem` is its certificate.
const NEXT_KEY: &str = "ca.key.next.pem";
const CA_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
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
    not_after: Timestamp,
    state_dir: PathBuf,
    directory: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the CA under `state_dir`, or makes it at the first start.
    ///
    /// # Errors
    /// [`CaError`]: files that cannot be read, are damaged, or a CA that has expired.
    pub(crate) fn open(state_dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        let directory = state_dir.join(DIRECTORY);
        files::make_private_directory(&directory)?;
        if !directory.join(CERTIFICATE).exists() {
            let (key, certificate) = new_ca(now)?;
            files::write_private(&directory.join(KEY), key.as_bytes())?;
            files::write_public(&directory.join(CERTIFICATE), certificate.as_bytes())?;
        }
        let pair = read_pair(state_dir)?;
        if pair.is_next {
            pair::put_key_in_place(&directory, &pair.key_pem)?;
        }
        Self::of_pem(state_dir, &pair.key_pem, &pair.certificate_pem, now)
    }

    /// The CA of this key and certificate, whose files are, or will be, under `state_dir`.
    ///
    /// # Errors
    /// [`CaError`]: they are damaged or do not belong together, or the CA has expired.
    pub(crate) fn of_pem(
        state_dir: &Path,
        key_pem: &str,
        certificate_pem: &str,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let directory = state_dir.join(DIRECTORY);
        let path = directory.join(CERTIFICATE);
        let (key, certificate, facts) = parsed(&directory, key_pem, certificate_pem)?;
        if facts.not_after <= now {
            return Err(CaError::Expired {
                path,
                expired: facts.not_after,
            });
        }
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)
            .map_err(|e| broken(path.display(), e))?;
        Ok(Self {
            issuer,
            certificate_pem: certificate_pem.to_owned(),
            certificate,
            not_after: facts.not_after,
            state_dir: state_dir.to_owned(),
            directory,
        })
    }

    /// Opens the CA under `state_dir`, which others made: its files are written if there are none,
    /// or if they are those of a CA whose place it took.
    ///
    /// # Errors
    /// [`CaError`] as of [`Self::open`], and if `state_dir` holds another CA.
    pub(crate) fn adopt(
        state_dir: &Path,
        key_pem: &str,
        shared: &SharedAuthority,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let directory = state_dir.join(DIRECTORY);
        let certificate_path = directory.join(CERTIFICATE);
        files::make_private_directory(&directory)?;
        let adopted = Self::of_pem(state_dir, key_pem, &shared.certificate_pem, now)?;
        let present = match certificate_path.exists() {
            true => Some(Self::certificate_in(state_dir)?),
            false => None,
        };
        match present {
            Some(pem) if pem == shared.certificate_pem => Self::open(state_dir, now),
            Some(pem) if !shared.has_replaced(&fingerprint_of_pem(&pem)?) => Err(broken(
                certificate_path.display(),
                "is not the CA of the database: use a state directory of its own for each database",
            )),
            _ => {
                adopted.put_in_place(key_pem)?;
                Ok(adopted)
            }
        }
    }

    /// Writes the files of this CA over those of another one. A crash in between leaves the one or
    /// the other: [`Self::open`] ends what was begun.
    ///
    /// # Errors
    /// [`CaError::File`].
    pub(crate) fn put_in_place(&self, key_pem: &str) -> Result<(), CaError> {
        let next_key = self.directory.join(NEXT_KEY);
        files::write_private(&next_key, key_pem.as_bytes())?;
        files::write_public(
            &self.directory.join(CERTIFICATE),
            self.certificate_pem.as_bytes(),
        )?;
        pair::put_key_in_place(&self.directory, key_pem)
    }

    /// A key and a certificate for another CA, PEM.
    ///
    /// # Errors
    /// [`CaError::Broken`] if there is no randomness.
    pub(crate) fn generate(now: Timestamp) -> Result<(Zeroizing<String>, String), CaError> {
        new_ca(now).map(|(key, certificate)| (Zeroizing::new(key), certificate))
    }

    /// The private key of the CA under `state_dir`.
    ///
    /// # Errors
    /// [`CaError::File`].
    pub(crate) fn key_pem(state_dir: &Path) -> Result<Zeroizing<String>, CaError> {
        files::read(&state_dir.join(DIRECTORY).join(KEY)).map(Zeroizing::new)
    }

    /// The certificate of the CA under `state_dir`, PEM.
    ///
    /// # Errors
    /// [`CaError::File`].
    pub(crate) fn certificate_in(state_dir: &Path) -> Result<String, CaError> {
        files::read(&state_dir.join(DIRECTORY).join(CERTIFICATE))
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The end of the CA's life.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
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
        self.directory.join(CERTIFICATE)
    }

    /// SHA-256 of the certificate's DER, lower-case hexadecimal: what an agent is told to pin.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint_of(&self.certificate)
    }

    /// A client certificate for `agent` over `key`: PEM with the CA's certificate behind it, and its
    /// own DER.
    ///
    /// # Errors
    /// [`CaError::Broken`] if the key cannot be certified.
    pub(crate) fn issue_agent(
        &self,
        agent: &AgentArn,
        key: &PublicKey,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<(String, CertificateDer<'static>), CaError> {
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
        let chain = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok((chain, certificate.der().clone()))
    }
}

/// A key and a certificate that belong together. Errors name the files in `directory`.
fn parsed(
    directory: &Path,
    key_pem: &str,
    certificate_pem: &str,
) -> Result<(KeyPair, CertificateDer<'static>, CertificateFacts), CaError> {
    let (key_path, path) = (directory.join(KEY), directory.join(CERTIFICATE));
    let key = KeyPair::from_pem(key_pem).map_err(|e| broken(key_path.display(), e))?;
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|e| broken(path.display(), e))?;
    let facts = CertificateFacts::of(&certificate).map_err(|e| broken(path.display(), e))?;
    if facts.public_key != PublicKey::of_key_pair(&key) {
        return Err(broken(key_path.display(), "is not the key of ca.pem"));
    }
    Ok((key, certificate, facts))
}

/// SHA-256 of a certificate's DER, lower-case hexadecimal.
pub(crate) fn fingerprint_of(certificate: &[u8]) -> String {
    hex::encode(Sha256::digest(certificate))
}

/// The same of a certificate in PEM.
///
/// # Errors
/// [`CaError::Broken`].
pub(crate) fn fingerprint_of_pem(pem: &str) -> Result<String, CaError> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    let certificate = certificate.map_err(|e| broken(CERTIFICATE, e))?;
    Ok(fingerprint_of(&certificate))
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
