//! A certificate authority for tests.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::CertificateSigningRequestDer;
use sha2::{Digest, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

/// The public key of a request.
pub(super) fn key_of(request: &[u8]) -> Vec<u8> {
    let request = X509CertificationRequest::from_der(request).unwrap().1;
    let key = request.certification_request_info.subject_pki.raw;
    key.to_vec()
}

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.0.der()))
    }

    /// Chain (with the CA itself) and key for 127.0.0.1.
    pub(super) fn server(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            format!("{}{}", certificate.pem(), self.pem()),
            key.serialize_pem(),
        )
    }

    /// A certificate of 90 days; of 30 days with one left if `old`.
    pub(super) fn sign(&self, request: &[u8], agent: &str, old: bool) -> String {
        let request = CertificateSigningRequestDer::from(request);
        let mut request = CertificateSigningRequestParams::from_der(&request).unwrap();
        let (since, left) = if old { (29, 1) } else { (0, 90) };
        let now = SystemTime::now();
        request.params.not_before = (now - DAY * since).into();
        request.params.not_after = (now + DAY * left).into();
        request.params.subject_alt_names = vec![SanType::URI(agent.try_into().unwrap())];
        request.signed_by(&self.0).unwrap().pem()
    }
}
