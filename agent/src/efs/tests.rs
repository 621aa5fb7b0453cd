//! Handshakes with a server that reads the client's certificate as a file system would.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_lc_rs::{digest, hmac};
use datasync_model::Partition;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::UnixTime;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;
use crate::endpoints::Side;

const SECRET: &str = "canary-secret";

fn location() -> EfsLocation {
    let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
    EfsLocation {
        arn: arn.parse().unwrap(),
        file_system_id: "fs-0123abcd".to_owned(),
        partition: Partition::Aws,
        region: "eu-west-1".to_owned(),
        subdirectory: "/a".to_owned(),
        access_point_id: None,
        encrypted: true,
        signed: false,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Takes every certificate, as long as its key signs the handshake: what it says is the test's affair.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The client's certificate of one connection, as the server got it in the handshake.
async fn shown(own: &CertifiedKey<KeyPair>, tls: &EfsTls, now: SystemTime) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anyone(provider())))
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = async {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        let accepted = accepted.unwrap();
        let chain = accepted.get_ref().1.peer_certificates();
        chain.map(|chain| chain[0].to_vec())
    };
    let dialled = async {
        let session = tls.made(now).await.unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(session.config);
        connector
            .connect(session.server_name, stream)
            .await
            .unwrap()
    };
    let (shown, _client) = Box::pin(async { tokio::join!(served, dialled) }).await;
    shown
}

fn server() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([location().dns_name()]).unwrap()
}

fn tls(
    own: &CertifiedKey<KeyPair>,
    location: &EfsLocation,
    credentials: Option<Credentials>,
) -> EfsTls {
    let credentials = credentials.map(SharedCredentialsProvider::new);
    let bundle = own.cert.pem();
    EfsTls::new(location, Some(&bundle), ClientKeys::default(), credentials).unwrap()
}

/// The content of the extension with this number.
fn extension(certificate: &X509Certificate<'_>, number: u64) -> Option<Vec<u8>> {
    let oid = format!("1.3.6.1.4.1.4843.7.{number}");
    let mut all = certificate.extensions().iter();
    let found = all.find(|extension| extension.oid.to_id_string() == oid)?;
    assert!(!found.critical);
    Some(found.value.to_vec())
}

/// Tag and content of the first element, and what comes after it.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    let (content, rest) = der[head..].split_at(length);
    (der[0], content, rest)
}

fn text(der: &[u8]) -> String {
    let (tag, content, rest) = element(der);
    assert!(tag == 0x0c && rest.is_empty());
    String::from_utf8(content.to_vec()).unwrap()
}

/// What the signature has to be, from what the server knows.
fn expected_signature(certificate: &X509Certificate<'_>, date_time: &str, token: &str) -> String {
    let public_key = &certificate.public_key().subject_public_key.data;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, public_key);
    let date = &date_time[..8];
    let scope = format!("{date}/eu-west-1/elasticfilesystem/aws4_request");
    let query = [
        "Action=Connect".to_owned(),
        format!("PublicKeyHash={}", hex::encode(hash)),
        "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
        format!("X-Amz-Credential=AKIDTEST%2F{}", scope.replace('/', "%2F")),
        format!("X-Amz-Date={date_time}"),
        "X-Amz-Expires=86400".to_owned(),
        format!("X-Amz-Security-Token={token}"),
        "X-Amz-SignedHeaders=host".to_owned(),
    ];
    let sha256 = |text: &str| hex::encode(digest::digest(&digest::SHA256, text.as_bytes()));
    let request = [
        "GET",
        "/",
        &query.join("&"),
        "host:fs-0123abcd",
        "host",
        &sha256(""),
    ];
    let to_sign = [
        "AWS4-HMAC-SHA256",
        date_time,
        &scope,
        &sha256(&request.join("\n")),
    ];
    let signed = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = signed(&key, part);
    }
    hex::encode(signed(&key, &to_sign.join("\n")))
}

#[tokio::test]
async fn a_certificate_says_what_is_asked_for_and_is_signed_for_it() {
    let (own, mut location) = (server(), location());
    location.access_point_id = Some("fsap-0123456789abcdef0".to_owned());
    location.signed = true;
    let token = "token+with/signs=".repeat(40);
    let credentials = Credentials::new("AKIDTEST", SECRET, Some(token.clone()), None, "test");
    let tls = tls(&own, &location, Some(credentials));
    // 2026-11-26T20:15:30Z.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_724_130);
    let der = shown(&own, &tls, now).await.unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let told = |number| extension(&certificate, number).unwrap();
    assert_eq!(text(&told(1)), "fsap-0123456789abcdef0");
    assert_eq!(text(&told(3)), "fs-0123abcd");
    let authorization = told(2);
    let (tag, inside, _) = element(&authorization);
    assert_eq!(tag, 0x30);
    let (tag, key_id, rest) = element(inside);
    assert_eq!((tag, key_id), (0x0c, b"AKIDTEST".as_slice()));
    let (tag, signature, rest) = element(rest);
    assert_eq!(tag, 0x04);
    let escaped = token
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let expected = expected_signature(&certificate, "20261126T201530Z", &escaped);
    assert_eq!(signature, expected.as_bytes());
    let (tag, time, rest) = element(rest);
    assert_eq!((tag, time), (0x17, b"261126201530Z".as_slice()));
    let (tag, explicit, rest) = element(rest);
    assert_eq!((tag, text(explicit)), (0xa0, token));
    assert!(rest.is_empty());
    let validity = certificate.validity();
    let at = 1_795_724_130;
    assert_eq!(validity.not_before.timestamp(), at - 15 * 60);
    assert_eq!(validity.not_after.timestamp(), at + 3 * 3600);
    assert_eq!(certificate.subject(), certificate.issuer());
    // The next connection is signed anew.
    let later = shown(&own, &tls, now + Duration::from_secs(60))
        .await
        .unwrap();
    let (_, later) = X509Certificate::from_der(&later).unwrap();
    assert_ne!(extension(&later, 2), Some(authorization));
    assert_eq!(later.public_key(), certificate.public_key());
    assert!(!format!("{tls:?}").contains("canary"));
}

#[tokio::test]
async fn an_access_point_needs_no_role_and_nothing_needs_no_certificate() {
    let (own, mut location) = (server(), location());
    let now = SystemTime::now();
    let plain = tls(&own, &location, None);
    assert_eq!(shown(&own, &plain, now).await, None);
    location.access_point_id = Some("fsap-4567".to_owned());
    // A key that the location has no role for is not used.
    let key = Credentials::new("AKIDTEST", SECRET, None, None, "test");
    let der = shown(&own, &tls(&own, &location, Some(key)), now)
        .await
        .unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(extension(&certificate, 1).is_some() && extension(&certificate, 3).is_some());
    assert_eq!(extension(&certificate, 2), None);
}

#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("role is unknown")))
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_signed() {
    let mut location = location();
    location.signed = true;
    let credentials = Some(SharedCredentialsProvider::new(Nobody));
    let tls = EfsTls::new(&location, None, ClientKeys::default(), credentials).unwrap();
    let error = tls.session().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
}

#[test]
fn a_file_system_is_at_its_name_or_where_the_configuration_says() {
    let mut location = location();
    let none = BTreeMap::new();
    let nfs = as_nfs(&location, &none).unwrap();
    assert_eq!(
        nfs.server_hostname,
        "fs-0123abcd.efs.eu-west-1.amazonaws.com"
    );
    assert_eq!(
        (nfs.version, nfs.subdirectory.as_str()),
        (NfsVersion::Nfs4_1, "/a")
    );
    let address = ServerName::parse("[::1]:12049").unwrap();
    let addresses = [("fs-0123abcd".to_owned(), address)].into();
    let nfs = as_nfs(&location, &addresses).unwrap();
    assert_eq!(nfs.server_hostname, "[::1]:12049");
    location.encrypted = false;
    assert!(as_nfs(&location, &none).is_ok());
    location.access_point_id = Some("fsap-4567".to_owned());
    let error = as_nfs(&location, &none).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.detail.contains("TLS1_2"), "{error}");
}

#[test]
fn what_fails_has_a_name_and_a_remedy() {
    for (kind, code) in [
        (ErrorKind::Unreachable, ErrorCode::SourceUnreachable),
        (ErrorKind::NotSupported, ErrorCode::NotSupported),
        (
            ErrorKind::PermissionDenied,
            ErrorCode::SourcePermissionDenied,
        ),
        (ErrorKind::NotFound, ErrorCode::SourcePathNotFound),
    ] {
        assert_eq!(advice(Side::Source, kind).map(|(code, _)| code), Some(code));
    }
    assert_eq!(advice(Side::Source, ErrorKind::Protocol), None);
}
