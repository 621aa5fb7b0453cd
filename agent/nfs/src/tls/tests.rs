//! Calls over TLS, to a script behind a front that speaks it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::NfsConfig;
use crate::rpc;
use crate::script::{Server, Xdr, reply};
use crate::transport::Transport;

const NAME: &str = "fs-0123.efs.test";
const ECHO: (u32, u32, u32) = (1, 1, 1);

/// Trusts some certificates, and counts how often it was asked.
#[derive(Debug)]
struct Trusting {
    roots: RootCertStore,
    name: &'static str,
    asked: AtomicUsize,
}

impl Trusting {
    fn new(known: &CertifiedKey<KeyPair>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(known.cert.der().clone()).unwrap();
        Self {
            roots,
            name: NAME,
            asked: AtomicUsize::new(0),
        }
    }
}

impl Tls for Trusting {
    fn session(&self) -> SessionFuture<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let session = TlsSession {
            config: Arc::new(config),
            server_name: ServerName::try_from(self.name).unwrap(),
        };
        Box::pin(async { Ok(session) })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([NAME.to_owned()]).unwrap()
}

/// A server that gives back the number that it is sent.
async fn echo() -> Server {
    Server::start(|mut request| {
        let number = request.arguments.u32("the number").unwrap();
        reply(request.xid, &Xdr::default().words(&[number]))
    })
    .await
}

fn server_config(own: &CertifiedKey<KeyPair>, asks: bool) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let asking = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        builder.with_client_cert_verifier(asking.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![own.cert.der().clone()];
    builder.with_single_cert(chain, key).unwrap()
}

/// Speaks TLS and passes on what is in it.
async fn front(tasks: &mut JoinSet<()>, to: SocketAddr, config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tasks.spawn(async move {
        let mut serving = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            serving.spawn(async move {
                // Clients that do not get through are what some tests are about.
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect(to).await.unwrap();
                copy_bidirectional(&mut outer, &mut inner).await.ok();
            });
        }
    });
    address
}

fn transport(address: SocketAddr, tls: Option<Arc<dyn Tls>>) -> Transport {
    let config = NfsConfig {
        tls,
        ..crate::script::config(&address.to_string(), "/")
    };
    Transport::new(address, &config)
}

async fn call(transport: &Transport, number: u32) -> Result<u32, Broken> {
    let record = transport.call(ECHO, &number).await?;
    Ok(rpc::accepted(record).unwrap().u32("the number").unwrap())
}

#[tokio::test]
async fn calls_go_through_tls_that_is_asked_for_at_each_connection() {
    let (mut tasks, server, own) = (JoinSet::new(), echo().await, certificate());
    let address = front(&mut tasks, server.address, server_config(&own, false)).await;
    let tls = Arc::new(Trusting::new(&own));
    let transport = transport(address, Some(tls.clone()));
    let calls = (0..32).map(|number| call(&transport, number));
    let answers = futures::future::join_all(calls).await;
    let answers: Vec<u32> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..32).collect::<Vec<u32>>());
    assert_eq!(
        tls.asked.load(Ordering::SeqCst),
        server.connections(),
        "one for each connection"
    );
}

#[tokio::test]
async fn whoever_cannot_be_trusted_is_named() {
    let (mut tasks, server, own) = (JoinSet::new(), echo().await, certificate());
    let address = front(&mut tasks, server.address, server_config(&own, false)).await;
    let said = async |address, tls: Option<Arc<dyn Tls>>| {
        let broken = call(&transport(address, tls), 1).await.unwrap_err();
        (broken.kind, broken.detail.to_string())
    };
    let stranger: Arc<dyn Tls> = Arc::new(Trusting::new(&certificate()));
    let (kind, detail) = said(address, Some(stranger)).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(detail.contains("no authority that is trusted"), "{detail}");
    let elsewhere: Arc<dyn Tls> = Arc::new(Trusting {
        name: "fs-4567.efs.test",
        ..Trusting::new(&own)
    });
    let (kind, detail) = said(address, Some(elsewhere)).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(detail.contains("fs-4567.efs.test"), "{detail}");
    let trusting: Arc<dyn Tls> = Arc::new(Trusting::new(&own));
    let (kind, detail) = said(server.address, Some(trusting)).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(detail.contains("no TLS"), "{detail}");
    let (kind, detail) = said(address, None).await;
    assert_eq!(kind, ErrorKind::NotSupported);
    assert!(detail.contains("answers in TLS"), "{detail}");
}

#[tokio::test]
async fn a_server_that_wants_another_certificate_refuses_access() {
    let (mut tasks, server, own) = (JoinSet::new(), echo().await, certificate());
    let address = front(&mut tasks, server.address, server_config(&own, true)).await;
    let transport = transport(address, Some(Arc::new(Trusting::new(&own))));
    let broken = call(&transport, 1).await.unwrap_err();
    assert_eq!(broken.kind, ErrorKind::PermissionDenied, "{broken:?}");
}

#[tokio::test]
async fn without_tls_there_is_no_connection() {
    #[derive(Debug)]
    struct Denied;
    impl Tls for Denied {
        fn session(&self) -> SessionFuture<'_> {
            let kind = ErrorKind::Credentials;
            let detail = "none to sign with".to_owned();
            Box::pin(async move { Err(NoTls { kind, detail }) })
        }
    }
    let server = echo().await;
    let transport = transport(server.address, Some(Arc::new(Denied)));
    let broken = call(&transport, 1).await.unwrap_err();
    assert_eq!(
        (broken.kind, &*broken.detail),
        (ErrorKind::Credentials, "none to sign with")
    );
    assert_eq!(server.connections(), 0);
}
