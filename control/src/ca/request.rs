//! What is taken from agents' certificate signing requests and certificates: the public key and
//! nothing else. Names, extensions and lifetimes in a request are ours to set, not the agent's.

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::CaError;

/// The largest certificate signing request, in bytes of DER.
pub(super) const CERTIFICATE_REQUEST_BYTES_MAX: usize = 4 * 1024;

/// A public key as a DER SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// The key of a PKCS#10 request whose signature proves that the sender holds the private key.
    ///
    /// # Errors
    /// [`CaError::Request`]: too long, not a request, a weak or unknown key, a bad signature.
    pub(crate) fn of_request(der: &[u8]) -> Result<Self, CaError> {
        if der.len() > CERTIFICATE_REQUEST_BYTES_MAX {
            return Err(CaError::Request("longer than 4 KiB"));
        }
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|_| CaError::Request("not a DER PKCS#10 certificate signing request"))?;
        if !rest.is_empty() {
            return Err(CaError::Request("bytes follow the request"));
        }
        request
            .verify_signature()
            .map_err(|_| CaError::Request("its signature does not belong to its key"))?;
        let key = request.certification_request_info.subject_pki.raw;
        rcgen::SubjectPublicKeyInfo::from_der(key)
            .map_err(|_| CaError::Request("its key type is not supported: use ECDSA P-256"))?;
        Ok(Self(key.to_vec()))
    }

    pub(crate) fn of_key_pair(key: &KeyPair) -> Self {
        Self(key.subject_public_key_info())
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the SubjectPublicKeyInfo, lower-case hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        key_id(&self.0)
    }
}

/// SHA-256 of a public key's DER, lower-case hexadecimal.
pub(crate) fn key_id(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// What control reads from a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    pub(crate) public_key: PublicKey,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// URI subject alternative names: an agent's ARN.
    pub(crate) uris: Vec<String>,
}

impl CertificateFacts {
    /// # Errors
    /// [`CaError::Request`] if the certificate cannot be parsed.
    pub(crate) fn of(der: &[u8]) -> Result<Self, CaError> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
            .map_err(|_| CaError::Request("not a DER X.509 certificate"))?;
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp())
                .map_err(|_| CaError::Request("its life is out of range"))
        };
        let validity = certificate.validity();
        let (not_before, not_after) = (time(validity.not_before)?, time(validity.not_after)?);
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| CaError::Request("its alternative names are malformed"))?;
        let uris = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect();
        Ok(Self {
            public_key: PublicKey(certificate.public_key().raw.to_vec()),
            not_before,
            not_after,
            uris,
        })
    }
}
