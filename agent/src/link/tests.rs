use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::UnixTime;
use sha2::{Digest, Sha256};

use super::*;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    fn server(&self, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }

    fn pin(&self) -> trust::PinnedCa {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        trust::PinnedCa::new(Sha256::digest(self.der()).into(), provider)
    }
}

fn accepts(pin: &trust::PinnedCa, chain: &[CertificateDer<'static>], name: &str) -> bool {
    let name = ServerName::try_from(name).unwrap();
    pin.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
        .is_ok()
}

#[test]
fn a_pinned_ca_vouches_for_its_own_servers_under_their_names() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let pin = ours.pin();
    let good = ours.server("control.test");
    assert!(accepts(&pin, &[good.clone(), ours.der()], "control.test"));
    assert!(!accepts(&pin, &[good.clone(), ours.der()], "other.test"));
    assert!(!accepts(&pin, &[good], "control.test"));
    let foreign = theirs.server("control.test");
    assert!(!accepts(
        &pin,
        &[foreign.clone(), theirs.der()],
        "control.test"
    ));
    // The pinned CA alongside does not help a server that it did not sign.
    assert!(!accepts(
        &pin,
        &[foreign, ours.der(), theirs.der()],
        "control.test"
    ));
    assert!(!accepts(&pin, &[ours.der()], "control.test"));
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("ca.pem");
    std::fs::write(&path, "not a certificate").unwrap();
    let error = read_ca_file(&path).unwrap_err().to_string();
    assert!(error.contains("no certificate in it"), "{error}");
    std::fs::write(&path, Authority::new().issuer.pem()).unwrap();
    assert_eq!(read_ca_file(&path).unwrap().len(), 1);
}
