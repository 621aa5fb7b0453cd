//! Stores behind a proxy, and with certificates of a private CA.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use datasync_endpoint::{Destination, ErrorKind};
use datasync_model::Proxy;
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::StoreIntegrity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::setup::{header, key, payload};
use crate::world::World;

/// A proxy that sends everything to one store, whose TLS it ends as the store would.
struct Through {
    address: SocketAddr,
    /// The first head of each connection.
    heads: Arc<Mutex<Vec<String>>>,
    ca: String,
    _server: JoinSet<()>,
}

impl Through {
    async fn to(store: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store: SocketAddr = store
            .endpoint
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        let (acceptor, ca) = certified("store.test");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        let seen = Arc::clone(&heads);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, acceptor) = (Arc::clone(&seen), acceptor.clone());
                connections.spawn(async move {
                    // A client that goes away is part of the tests.
                    relay(stream, store, acceptor, &seen).await.ok();
                });
            }
        });
        Self {
            address,
            heads,
            ca,
            _server: server,
        }
    }

    fn proxy(&self, no_proxy: &str) -> Proxy {
        Proxy::new(&format!("http://user:canary@{}", self.address), no_proxy).unwrap()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// What ends TLS for `name`, and the CA that vouches for it.
fn certified(name: &str) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), issuer.pem())
}

async fn relay(
    mut stream: TcpStream,
    store: SocketAddr,
    acceptor: TlsAcceptor,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(text.clone());
    if text.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Tunnel\r\n\r\n").await?;
        return joined(acceptor.accept(stream).await?, store, b"").await;
    }
    joined(stream, store, &head).await
}

async fn joined(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    store: SocketAddr,
    first: &[u8],
) -> std::io::Result<()> {
    let mut store = TcpStream::connect(store).await?;
    store.write_all(first).await?;
    copy_bidirectional(&mut client, &mut store).await?;
    Ok(())
}

fn at(world: &World, endpoint: &str, proxy: Proxy) -> S3Config {
    let mut config = world.config("p/");
    config.location.endpoint = Some(endpoint.to_owned());
    config.proxy = Some(proxy);
    config
}

async fn write_small_and_large(destination: &S3Destination) {
    for (name, length) in [("small", 10), ("large", 2 << 20)] {
        let content = payload(&vec![1; length]);
        let receipt = destination
            .put(&key(name), &header(), content)
            .await
            .unwrap();
        assert!(receipt.vouched);
    }
}

#[tokio::test]
async fn a_store_without_tls_is_asked_for_through_the_proxy_by_its_whole_url() {
    let world = World::start(StoreIntegrity::Full).await;
    let through = Through::to(&world).await;
    let config = at(&world, "http://store.test:9000", through.proxy(""));
    let destination = S3Destination::open(config).await.unwrap();
    write_small_and_large(&destination).await;
    assert_eq!(world.keys().await, ["p/large", "p/small"]);
    let heads = through.heads();
    assert!(!heads.is_empty());
    for head in heads {
        let line = head.lines().next().unwrap();
        assert!(line.contains(" http://store.test:9000/bucket"), "{line}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("proxy-authorization: basic "), "{head}");
    }
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_to_a_store_that_a_private_ca_vouches_for() {
    let world = World::start(StoreIntegrity::Full).await;
    let through = Through::to(&world).await;
    let mut config = at(&world, "https://store.test:9443", through.proxy(""));
    let stranger = S3Destination::open(config.clone()).await.unwrap_err();
    assert_eq!(stranger.kind, ErrorKind::Unreachable, "{stranger}");
    config.ca_bundle = Some(through.ca.clone());
    let shown = format!("{config:?} {stranger:?}");
    assert!(!shown.contains("canary"), "{shown}");
    let destination = S3Destination::open(config).await.unwrap();
    write_small_and_large(&destination).await;
    assert_eq!(world.keys().await, ["p/large", "p/small"]);
    for head in through.heads() {
        assert!(
            head.starts_with("CONNECT store.test:9443 HTTP/1.1"),
            "{head}"
        );
        let head = head.to_ascii_lowercase();
        assert!(head.contains("proxy-authorization: basic "), "{head}");
    }
}

#[tokio::test]
async fn hosts_that_need_no_proxy_are_reached_without_it() {
    let world = World::start(StoreIntegrity::Full).await;
    let through = Through::to(&world).await;
    let endpoint = world.endpoint.clone();
    let near = at(&world, &endpoint, through.proxy(""));
    write_small_and_large(&S3Destination::open(near).await.unwrap()).await;
    let port = endpoint.rsplit(':').next().unwrap();
    let named = format!("http://near.invalid:{port}");
    let excepted = at(&world, &named, through.proxy("near.invalid"));
    S3Destination::open(excepted).await.unwrap_err();
    assert_eq!(through.heads(), [""; 0]);
}
