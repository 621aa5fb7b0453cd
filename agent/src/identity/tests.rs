use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateSigningRequestParams, CertifiedIssuer, IsCa};
use rustls::pki_types::CertificateSigningRequestDer;

use super::*;

const ARN: &str = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";

fn open(root: &Path) -> Identity {
    let state = Arc::new(StateDir::open(root).unwrap());
    Identity::load_or_create(state, "test").unwrap()
}

fn issue(identity: &Identity) -> Activated {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let request = CertificateSigningRequestDer::from(identity.certificate_request().unwrap());
    let request = CertificateSigningRequestParams::from_der(&request).unwrap();
    Activated {
        agent_arn: ARN.to_owned(),
        certificate_chain: request.signed_by(&issuer).unwrap().pem(),
        trust_anchors: issuer.pem(),
    }
}

#[test]
fn an_identity_survives_restarts_until_it_is_deactivated() {
    let scratch = tempfile::tempdir().unwrap();
    let mut identity = open(scratch.path());
    assert!(identity.membership().is_none());
    let activated = issue(&identity);
    identity.activate(&activated).unwrap();
    let generation = Generation {
        incarnation: "one".to_owned(),
        generation: 7,
    };
    identity.apply_generation(&generation).unwrap();
    let first_key = identity.key_pem.as_str().to_owned();
    drop(identity);

    let mut identity = open(scratch.path());
    let membership = identity.membership().unwrap();
    assert_eq!(membership.arn().to_string(), ARN);
    assert_eq!(membership.applied(), Some(generation));
    assert_eq!(identity.key_pem.as_str(), first_key);
    identity.deactivate().unwrap();
    assert!(identity.membership().is_none());
    drop(identity);

    let identity = open(scratch.path());
    assert!(identity.membership().is_none());
    assert_ne!(identity.key_pem.as_str(), first_key);
}

#[test]
fn files_are_private_and_debug_shows_no_key() {
    let scratch = tempfile::tempdir().unwrap();
    let mut identity = open(scratch.path());
    let activated = issue(&identity);
    identity.activate(&activated).unwrap();
    for name in [KEY, CERTIFICATE, ANCHORS, RECORD] {
        let path = scratch.path().join(IDENTITY).join(name);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let credential = &identity.membership().unwrap().credential;
    assert!(!format!("{credential:?}").contains("PRIVATE"));
}

#[test]
fn a_damaged_identity_is_reported_by_file() {
    let scratch = tempfile::tempdir().unwrap();
    let mut identity = open(scratch.path());
    let activated = issue(&identity);
    identity.activate(&activated).unwrap();
    drop(identity);
    let key = scratch.path().join(IDENTITY).join(KEY);
    std::fs::remove_file(&key).unwrap();
    let state = Arc::new(StateDir::open(scratch.path()).unwrap());
    let error = Identity::load_or_create(state, "test").unwrap_err();
    assert!(error.to_string().contains("key.pem is damaged"), "{error}");
}

#[test]
fn unusable_papers_change_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let mut identity = open(scratch.path());
    let good = issue(&identity);
    for bad in [
        Activated {
            agent_arn: "agent".to_owned(),
            ..good.clone()
        },
        Activated {
            certificate_chain: "x".to_owned(),
            ..good.clone()
        },
        Activated {
            trust_anchors: String::new(),
            ..good
        },
    ] {
        let refused = identity.activate(&bad);
        assert!(matches!(refused, Err(IdentityError::Activation(_))));
        assert!(identity.membership().is_none());
    }
    drop(identity);
    assert!(open(scratch.path()).membership().is_none());
}

#[test]
fn renewal_is_due_after_two_thirds_of_the_life() {
    let validity = Validity {
        not_before: 1000,
        not_after: 1300,
    };
    assert_eq!(validity.renew_at(), 1200);
}
