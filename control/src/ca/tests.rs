use std::os::unix::fs::PermissionsExt;

use super::request::CERTIFICATE_REQUEST_BYTES_MAX;
use super::server::{SERVER_LIFETIME, SERVER_RENEWAL};
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AGENT: &str = "arn:aws:datasync:us-east-1:000000000000:agent/agent-0123456789abcdef0";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default()
        .serialize_request(key)
        .unwrap()
        .der()
        .to_vec()
}

#[test]
fn the_ca_is_made_once_and_its_key_is_private() {
    let state = tempfile::tempdir().unwrap();
    let first = Authority::open(state.path(), now()).unwrap();
    let again = Authority::open(state.path(), now()).unwrap();
    assert_eq!(first.fingerprint(), again.fingerprint());
    for name in ["ca.key.pem", "ca.pem"] {
        let mode = std::fs::metadata(state.path().join("ca").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, if name == "ca.pem" { 0o644 } else { 0o600 });
    }
}

#[test]
fn an_expired_ca_is_refused_by_name() {
    let state = tempfile::tempdir().unwrap();
    Authority::open(state.path(), now()).unwrap();
    let error = Authority::open(state.path(), now() + CA_LIFETIME).unwrap_err();
    assert!(matches!(error, CaError::Expired { .. }), "{error}");
}

#[test]
fn a_key_of_another_ca_is_refused() {
    let state = tempfile::tempdir().unwrap();
    Authority::open(state.path(), now()).unwrap();
    let key = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(state.path().join("ca/ca.key.pem"), key).unwrap();
    let error = Authority::open(state.path(), now()).unwrap_err();
    assert!(
        error.to_string().contains("is not the key of ca.pem"),
        "{error}"
    );
}

#[test]
fn the_server_certificate_lasts_until_it_nears_its_end_or_names_change() {
    let state = tempfile::tempdir().unwrap();
    let authority = Authority::open(state.path(), now()).unwrap();
    let names = vec!["control.example".to_owned()];
    let chain = |names: &[String], at| authority.server_identity(names, at).unwrap().chain;
    let first = chain(&names, now());
    assert_eq!(first.len(), 2);
    assert_eq!(first, chain(&names, now() + DAY));
    let near_end = now() + SERVER_LIFETIME - SERVER_RENEWAL;
    let renewed = chain(&names, near_end);
    assert_ne!(first, renewed);
    assert_ne!(renewed, chain(&["other.example".to_owned()], near_end));
}

#[test]
fn an_agents_certificate_says_who_it_is_and_nothing_that_the_request_wished() {
    let state = tempfile::tempdir().unwrap();
    let authority = Authority::open(state.path(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut wishes = CertificateParams::new(vec!["control.example".to_owned()]).unwrap();
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = wishes.serialize_request(&key).unwrap();
    let public = PublicKey::of_request(request.der()).unwrap();
    let agent: AgentArn = AGENT.parse().unwrap();
    let (pem, der) = authority
        .issue_agent(&agent, &public, now(), DAY * 30)
        .unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0], der);
    let facts = CertificateFacts::of(&chain[0]).unwrap();
    assert_eq!(facts.uris, [AGENT]);
    assert_eq!(facts.public_key, public);
    assert_eq!(facts.not_after, now() + DAY * 30);
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&chain[0]).unwrap();
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value.clone();
    assert!(usage.client_auth && !usage.server_auth);
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let key = KeyPair::generate().unwrap();
    let good = request(&key);
    assert!(PublicKey::of_request(&good).is_ok());
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(PublicKey::of_request(&forged).is_err());
    let mut longer = good.clone();
    longer.push(0);
    assert!(PublicKey::of_request(&longer).is_err());
    assert!(PublicKey::of_request(&vec![0x30; CERTIFICATE_REQUEST_BYTES_MAX + 1]).is_err());
    assert!(PublicKey::of_request(b"").is_err());
}

/// A crash after each of the files that are written.
#[test]
fn another_ca_is_put_in_place_whole_or_not_at_all() {
    let state = tempfile::tempdir().unwrap();
    let old = Authority::open(state.path(), now()).unwrap();
    let file = |name: &str| state.path().join(DIRECTORY).join(name);
    let (key, pem) = Authority::generate(now()).unwrap();
    let next = Authority::of_pem(state.path(), &key, &pem, now()).unwrap();
    files::write_private(&file(NEXT_KEY), key.as_bytes()).unwrap();
    let opened = Authority::open(state.path(), now()).unwrap();
    assert_eq!(opened.fingerprint(), old.fingerprint());
    files::write_public(&file(CERTIFICATE), pem.as_bytes()).unwrap();
    let opened = Authority::open(state.path(), now()).unwrap();
    assert_eq!(opened.fingerprint(), next.fingerprint());
    assert!(!file(NEXT_KEY).exists());
    next.put_in_place(&key).unwrap();
    let opened = Authority::open(state.path(), now()).unwrap();
    assert_eq!(opened.fingerprint(), next.fingerprint());
    let mode = std::fs::metadata(file(KEY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// As `ca rotate` and a control that serves do: the one puts a CA in place, the other opens it.
#[test]
fn whoever_puts_a_ca_in_place_may_find_that_done() {
    let state = tempfile::tempdir().unwrap();
    Authority::open(state.path(), now()).unwrap();
    for _ in 0..20 {
        let (key, pem) = Authority::generate(now()).unwrap();
        let next = Authority::of_pem(state.path(), &key, &pem, now()).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    Authority::open(state.path(), now()).unwrap();
                }
            });
            let put = next.put_in_place(&key);
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            put.unwrap();
        });
        let opened = Authority::open(state.path(), now()).unwrap();
        assert_eq!(opened.fingerprint(), next.fingerprint());
    }
    // Exactly between the certificate and the key.
    let (key, _) = Authority::generate(now()).unwrap();
    let directory = state.path().join(DIRECTORY);
    let error = pair::put_key_in_place(&directory, &key).unwrap_err();
    assert!(error.to_string().contains("ca.key.pem"), "{error}");
    let own = Authority::key_pem(state.path()).unwrap();
    pair::put_key_in_place(&directory, &own).unwrap();
}
