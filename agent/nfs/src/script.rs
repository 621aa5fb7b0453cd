//! A server that does what a test tells it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nfs3_types::xdr_codec::{Opaque, Pack};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::config::{NfsConfig, PrivilegedPorts};
use crate::record::{LAST_FRAGMENT, RECORD_MAX, read_record};
use crate::xdr::Reply;

/// A configuration with short waits.
pub(crate) fn config(host: &str, path: &str) -> NfsConfig {
    NfsConfig {
        version: datasync_model::NfsVersion::Nfs3,
        owners: Arc::default(),
        tls: None,
        lacking: Arc::default(),
        extended: datasync_endpoint::ExtendedKinds::default(),
        server_hostname: host.to_owned(),
        path: path.to_owned(),
        mount_port: None,
        privileged_ports: PrivilegedPorts::Never,
        uid: 0,
        gid: 0,
        gids: Vec::new(),
        connections: 2,
        further_connections: std::sync::Arc::new(tokio::sync::Semaphore::new(1)),
        in_flight_per_connection: 4,
        call_timeout: Duration::from_secs(5),
        read_size_max: 1 << 20,
    }
}

/// A call as the server saw it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) xid: u32,
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) procedure: u32,
    pub(crate) arguments: Reply,
    /// Counts from 0.
    pub(crate) connection: usize,
}

/// What the server does about a call.
#[derive(Debug, Default)]
pub(crate) struct Act {
    pub(crate) write: Vec<u8>,
    pub(crate) close: bool,
}

impl Act {
    pub(crate) fn silence() -> Self {
        Self::default()
    }

    pub(crate) fn close() -> Self {
        Self {
            write: Vec::new(),
            close: true,
        }
    }

    pub(crate) fn write(write: Vec<u8>) -> Self {
        Self {
            write,
            close: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(Request) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        answer: impl Fn(Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream, number, Arc::clone(&answer)));
            }
        });
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self, path: &str) -> NfsConfig {
        config(&self.address.to_string(), path)
    }
}

async fn serve<F: Fn(Request) -> Act>(mut stream: TcpStream, connection: usize, answer: Arc<F>) {
    let pool = Arc::default();
    while let Ok(record) = read_record(&mut stream, RECORD_MAX, &pool).await {
        let act = answer(request(record, connection));
        // The client may have gone: that is for the test to see.
        stream.write_all(&act.write).await.ok();
        if act.close {
            return;
        }
    }
}

fn request(record: Bytes, connection: usize) -> Request {
    let mut call = Reply::new(record);
    let mut word = || call.u32("a call").unwrap();
    let (xid, _call, _rpc, program, version, procedure) =
        (word(), word(), word(), word(), word(), word());
    for _ in 0..2 {
        call.u32("an auth flavor").unwrap();
        call.opaque(400, "an auth body").unwrap();
    }
    Request {
        xid,
        program,
        version,
        procedure,
        arguments: call,
        connection,
    }
}

/// XDR words and opaques, one after another.
#[derive(Debug, Default, Clone)]
pub(crate) struct Xdr(pub(crate) Vec<u8>);

impl Xdr {
    pub(crate) fn words(mut self, words: &[u32]) -> Self {
        for word in words {
            word.pack(&mut self.0).unwrap();
        }
        self
    }

    pub(crate) fn long(mut self, value: u64) -> Self {
        value.pack(&mut self.0).unwrap();
        self
    }

    pub(crate) fn opaque(mut self, data: &[u8]) -> Self {
        Opaque::borrowed(data).pack(&mut self.0).unwrap();
        self
    }

    /// `fattr3` of a type, with a size.
    pub(crate) fn attributes(self, kind: u32, size: u64) -> Self {
        let named = self.words(&[kind, 0o644, 1, 0, 0]).long(size).long(size);
        named.words(&[0, 0]).long(1).long(2).words(&[0; 6])
    }
}

/// A record of one fragment.
pub(crate) fn record(body: &[u8]) -> Vec<u8> {
    let mark = u32::try_from(body.len()).unwrap() | LAST_FRAGMENT;
    [&mark.to_be_bytes(), body].concat()
}

/// The body of an accepted reply.
pub(crate) fn accepted(xid: u32, results: &Xdr) -> Vec<u8> {
    let mut body = Xdr::default().words(&[xid, 1, 0, 0, 0, 0]).0;
    body.extend_from_slice(&results.0);
    body
}

/// An accepted reply.
pub(crate) fn reply(xid: u32, results: &Xdr) -> Act {
    Act::write(record(&accepted(xid, results)))
}

/// Calls a fuzz target with each of its committed seeds.
pub(crate) fn seeds(target: &str, called: impl Fn(&[u8])) {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds");
    let seeds: Vec<_> = std::fs::read_dir(format!("{seeds}/{target}"))
        .unwrap()
        .collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        called(&std::fs::read(seed.unwrap().path()).unwrap());
    }
}
