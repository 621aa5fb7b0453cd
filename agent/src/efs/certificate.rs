//! The certificate that a client shows to a file system: signed by itself, with what it asks for in
//! its extensions. Their numbers and forms are those of the EFS mount helper (aws/efs-utils).

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_lc_rs::digest;
use datasync_model::EfsLocation;
use jiff::Timestamp;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256,
    PublicKeyData as _, RsaKeySize,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::der;
use super::request::Connect;

/// The arc of the extensions.
const ARC: [u64; 9] = [1, 3, 6, 1, 4, 1, 4843, 7, 0];
const ACCESS_POINT: u64 = 1;
const AUTHORIZATION: u64 = 2;
const FILE_SYSTEM: u64 = 3;
const SUBJECT_KEY_IDENTIFIER: [u64; 4] = [2, 5, 29, 14];
/// Who the certificate is of; nothing depends on it.
const NAME: &str = "datasync-agent";
/// For clocks that differ.
const GOOD_BEFORE: Duration = Duration::from_secs(15 * 60);
/// Each connection has a certificate of its own.
const GOOD_FOR: Duration = Duration::from_secs(3 * 60 * 60);

/// A key pair of this process. `Debug` shows nothing of it.
pub(super) struct ClientKey {
    pair: KeyPair,
    /// SHA-1 of the public key, as in a subject key identifier (RFC 5280 §4.2.1.2).
    hash: [u8; 20],
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").finish_non_exhaustive()
    }
}

impl ClientKey {
    /// RSA of 3072 bits, as the helper makes it. Takes a good part of a second.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(super) fn generate() -> Result<Self, rcgen::Error> {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?;
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, pair.der_bytes());
        let mut hash = [0; 20];
        hash.copy_from_slice(digest.as_ref());
        Ok(Self { pair, hash })
    }

    /// For the handshake.
    pub(super) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.pair.serialize_der().into())
    }
}

/// A certificate for connections that are begun at `now`; signed with `credentials` where the location
/// has a role.
///
/// # Errors
/// If the clock is out of range, or the key cannot sign.
pub(super) fn make(
    key: &ClientKey,
    location: &EfsLocation,
    credentials: Option<&Credentials>,
    now: SystemTime,
) -> Result<CertificateDer<'static>, rcgen::Error> {
    let at = Timestamp::try_from(now).map_err(|_| rcgen::Error::Time)?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.map_err(|_| rcgen::Error::Time)?;
    params.not_before = now - GOOD_BEFORE;
    params.not_after = now + GOOD_FOR;
    params.custom_extensions = extensions(key, location, credentials, at);
    Ok(params.self_signed(&key.pair)?.into())
}

fn extensions(
    key: &ClientKey,
    location: &EfsLocation,
    credentials: Option<&Credentials>,
    at: Timestamp,
) -> Vec<CustomExtension> {
    let identifier = der::octets(&key.hash);
    let identifier = CustomExtension::from_oid_content(&SUBJECT_KEY_IDENTIFIER, identifier);
    let mut extensions = vec![identifier];
    let mut add = |number: u64, content: Vec<u8>| {
        let mut oid = ARC;
        oid[8] = number;
        extensions.push(CustomExtension::from_oid_content(&oid, content));
    };
    if let Some(point) = &location.access_point_id {
        add(ACCESS_POINT, der::text(point));
    }
    if let Some(credentials) = credentials {
        add(AUTHORIZATION, authorization(key, location, credentials, at));
    }
    add(FILE_SYSTEM, der::text(&location.file_system_id));
    extensions
}

/// Key id, signature, time, and token if there is one.
fn authorization(
    key: &ClientKey,
    location: &EfsLocation,
    credentials: &Credentials,
    at: Timestamp,
) -> Vec<u8> {
    let connect = Connect {
        file_system_id: &location.file_system_id,
        region: &location.region,
        public_key_hash: &hex::encode(key.hash),
        at,
    };
    let mut elements = vec![
        der::text(credentials.access_key_id()),
        // The digits, not the bytes that they stand for.
        der::octets(connect.signature(credentials).as_bytes()),
        der::utc_time(&at.strftime("%y%m%d%H%M%SZ").to_string()),
    ];
    if let Some(token) = credentials.session_token() {
        elements.push(der::explicit_0(&der::text(token)));
    }
    der::sequence(&elements)
}
