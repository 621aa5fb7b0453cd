//! The front door over TLS: strangers, slow and loud clients, and the way out.

use std::net::SocketAddr;

use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::ca::Authority;
use crate::credentials::CredentialService;
use crate::state::State;

/// Bound on every wait of these tests: reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);
const PLACES: usize = 4;
const PATIENT: Limits = Limits {
    connections: SeatLimits {
        total: PLACES,
        per_source: PLACES,
    },
    handshake: PATIENCE,
    header: PATIENCE,
    body: PATIENCE,
    drain: PATIENCE,
};
const UNSIGNED: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}";
/// What the server says when it begins to read a body that asks for it.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A request whose body lacks a byte.
const UNFINISHED: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
    expect: 100-continue\r\nx-amz-date: 20260101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
    Credential=a/20260101/us-east-1/datasync/aws4_request,SignedHeaders=host;x-amz-date,\
    Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n\r\n{";

struct Door {
    address: SocketAddr,
    connector: TlsConnector,
    shutdown: CancellationToken,
    serving: JoinSet<()>,
    directory: tempfile::TempDir,
}

fn tls(authority: &Authority) -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let identity = authority.server_identity(&[], Timestamp::now()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}

impl Door {
    async fn open(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path(), Timestamp::now()).unwrap();
        let config = crate::config::Config::new(directory.path()).unwrap();
        let credentials = CredentialService::new(
            state.store.clone(),
            state.sealer.clone(),
            Vec::new(),
            config.home.clone(),
        );
        let api = Api {
            store: state.store.clone(),
            sealer: state.sealer.clone(),
            credentials: Arc::new(credentials),
            settings: Arc::new(crate::api::Settings::of(&config)),
            audit: Arc::new(crate::audit::Audit::off()),
            body_room: crate::api::BodyRoom::new(),
            meters: Arc::default(),
        };
        let (server, connector) = tls(&state.authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(api, listener, Some(server), limits, shutdown.clone()));
        Self {
            address,
            connector,
            shutdown,
            serving,
            directory,
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = self.connector.connect(name, stream);
        tokio::time::timeout(PATIENCE, connecting)
            .await
            .expect("a place becomes free")
            .unwrap()
    }

    /// A connection with a request on its way: the server waits for the rest of its body.
    async fn slow(&self) -> TlsStream<TcpStream> {
        let mut stream = self.connect().await;
        stream.write_all(UNFINISHED).await.unwrap();
        let mut said = [0; CONTINUE.len()];
        let reading = tokio::time::timeout(PATIENCE, stream.read_exact(&mut said));
        reading.await.expect("the server reads").unwrap();
        assert_eq!(said, CONTINUE);
        stream
    }

    /// A stranger's request, answered as such: the door works.
    async fn works(&self) {
        let mut stream = self.connect().await;
        stream.write_all(UNSIGNED).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("MissingAuthenticationToken"), "{answer}");
    }

    async fn close(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.serving.join_next()).await;
        ended.expect("the server ends").unwrap().unwrap();
    }
}

/// Head and body of the next answer, or what came before the end.
async fn answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let reading = async {
        loop {
            let text = String::from_utf8_lossy(&bytes);
            let length = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))?;
                Some((length.parse::<usize>().ok()?, body.len()))
            });
            if length.is_some_and(|(announced, there)| there >= announced) {
                break;
            }
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an answer or the end");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn who_speaks_no_tls_is_sent_away_and_others_are_served() {
    let door = Door::open(PATIENT).await;
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain.write_all(UNSIGNED).await.unwrap();
    let mut got = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut got)).await;
    ended.expect("the connection is closed").ok();
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
    door.works().await;
    door.close().await;
}

#[tokio::test]
async fn slow_heads_give_their_places_back() {
    let limits = Limits {
        header: SHORT,
        ..PATIENT
    };
    let door = Door::open(limits).await;
    let mut slow = Vec::new();
    for _ in 0..PLACES {
        let mut stream = door.connect().await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: local")
            .await
            .unwrap();
        slow.push(stream);
    }
    door.works().await;
    for mut stream in slow {
        let answer = answer(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    door.close().await;
}

#[tokio::test]
async fn handshakes_that_never_end_give_their_places_back() {
    let limits = Limits {
        handshake: SHORT,
        ..PATIENT
    };
    let door = Door::open(limits).await;
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(TcpStream::connect(door.address).await.unwrap());
    }
    door.works().await;
    door.close().await;
}

/// They would stay for ever, and yield all the same.
#[tokio::test]
async fn idle_connections_yield_to_new_ones_before_others_do() {
    let door = Door::open(PATIENT).await;
    let mut slow = door.slow().await;
    let mut idle = Vec::new();
    for _ in 0..PLACES * 3 {
        idle.push(door.connect().await);
    }
    door.works().await;
    let ended = tokio::time::timeout(PATIENCE, idle[0].read(&mut [0])).await;
    assert_eq!(ended.expect("it is cut off").unwrap_or(0), 0);
    slow.write_all(b"}").await.unwrap();
    let answer = answer(&mut slow).await;
    assert!(answer.contains("UnrecognizedClientException"), "{answer}");
    door.close().await;
}

/// A stranger at one address, or at two, has every place; others are served all the same.
#[tokio::test]
async fn requests_that_do_not_come_yield_to_new_ones() {
    let door = Door::open(PATIENT).await;
    let mut slow = Vec::new();
    for _ in 0..PLACES {
        slow.push(door.slow().await);
    }
    door.works().await;
    let ended = tokio::time::timeout(PATIENCE, slow[0].read(&mut [0])).await;
    assert_eq!(ended.expect("it is cut off").unwrap_or(0), 0);
    // One that comes after all is answered.
    slow[PLACES - 1].write_all(b"}").await.unwrap();
    let answer = answer(&mut slow[PLACES - 1]).await;
    assert!(answer.contains("UnrecognizedClientException"), "{answer}");
    door.close().await;
}

/// To check a signature takes the sealing key, whose file is looked at.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_no_other_request() {
    let door = Door::open(PATIENT).await;
    let directory = door.directory.path();
    let key = crate::admin::create_access_key(directory, None, crate::records::Access::Full);
    let key = key.await.unwrap().access_key_id;
    let stuck = crate::stuck::StuckFile::put(&crate::store::Sealer::default_path(directory));
    let request = String::from_utf8(UNFINISHED.to_vec()).unwrap();
    let request = request.replace("expect: 100-continue\r\n", "");
    let request = request.replace("Credential=a/", &format!("Credential={key}/"));
    let mut waits = door.connect().await;
    waits
        .write_all(format!("{request}}}").as_bytes())
        .await
        .unwrap();
    door.works().await;
    assert!(stuck.release(), "others waited with it");
    let answer = answer(&mut waits).await;
    assert!(answer.contains("InvalidSignatureException"), "{answer}");
    door.close().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_as_such() {
    let door = Door::open(Limits {
        body: SHORT,
        ..PATIENT
    })
    .await;
    let mut stream = door.slow().await;
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    door.works().await;
    door.close().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let door = Door::open(PATIENT).await;
    let long = "x".repeat(BUFFER_BYTES_MAX * 2);
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    for head in [format!("x-long: {long}\r\n"), many] {
        let mut stream = door.connect().await;
        let request = format!("POST / HTTP/1.1\r\nhost: localhost\r\n{head}\r\n");
        // The server may close before everything is written.
        stream.write_all(request.as_bytes()).await.ok();
        let answer = answer(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    door.works().await;
    door.close().await;
}

#[tokio::test]
async fn requests_in_progress_end_and_no_new_ones_come() {
    let door = Door::open(PATIENT).await;
    let mut stream = door.connect().await;
    let idle = door.connect().await;
    let (head, rest) = UNSIGNED.split_at(30);
    stream.write_all(head).await.unwrap();
    stream.flush().await.unwrap();
    // The server has the beginning once it answered another request on its own connection.
    door.works().await;
    door.shutdown.cancel();
    stream.write_all(rest).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let address = door.address;
    drop(idle);
    door.close().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_shutdown() {
    let door = Door::open(Limits {
        drain: SHORT,
        ..PATIENT
    })
    .await;
    let mut stream = door.connect().await;
    stream.write_all(&UNSIGNED[..30]).await.unwrap();
    door.works().await;
    door.close().await;
}
