//! RPC over TCP by hand (RFC 5531), and a server whose answers a test spoils.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::disk::Disk;
use super::verbs::Verb;

const LAST: u32 = 1 << 31;

/// XDR words and opaques, one after another.
#[derive(Debug, Default, Clone)]
pub(crate) struct Xdr(pub(crate) Vec<u8>);

impl Xdr {
    pub(crate) fn words(mut self, words: &[u32]) -> Self {
        for word in words {
            self.0.extend(word.to_be_bytes());
        }
        self
    }

    pub(crate) fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn opaque(self, data: &[u8]) -> Self {
        let mut whole = self.words(&[u32::try_from(data.len()).unwrap()]);
        whole.0.extend(data);
        whole.0.resize(whole.0.len().next_multiple_of(4), 0);
        whole
    }

    pub(crate) fn then(mut self, more: &Self) -> Self {
        self.0.extend(&more.0);
        self
    }
}

/// What is left of a call.
#[derive(Debug, Clone)]
pub(crate) struct Arguments(pub(crate) Vec<u8>);

impl Arguments {
    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub(crate) fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        self.0.drain(..length).collect()
    }

    pub(crate) fn opaque(&mut self) -> Vec<u8> {
        let length = self.word() as usize;
        let mut data = self.take(length.next_multiple_of(4));
        data.truncate(length);
        data
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    xid: u32,
    pub(crate) program: u32,
    pub(crate) procedure: u32,
    pub(crate) arguments: Arguments,
    /// What was done about it, and of version 4 by which operations.
    pub(crate) verbs: Vec<Verb>,
    pub(crate) operations: Vec<u32>,
}

impl Call {
    fn read(record: Vec<u8>) -> Self {
        let mut rest = Arguments(record);
        let words: Vec<u32> = (0..6).map(|_| rest.word()).collect();
        for _credential_and_verifier in 0..2 {
            rest.word();
            rest.opaque();
        }
        Self {
            xid: words[0],
            program: words[3],
            procedure: words[5],
            arguments: rest,
            verbs: Vec::new(),
            operations: Vec::new(),
        }
    }

    pub(crate) fn last_operation(&self) -> u32 {
        self.operations.last().copied().unwrap_or_default()
    }

    /// The record of an accepted reply, its mark included.
    pub(crate) fn reply(&self, results: &Xdr) -> Vec<u8> {
        let body = Xdr::default().words(&[self.xid, 1, 0, 0, 0, 0]);
        record(&body.then(results).0)
    }
}

/// One fragment.
pub(crate) fn record(body: &[u8]) -> Vec<u8> {
    let mark = u32::try_from(body.len()).unwrap() | LAST;
    [&mark.to_be_bytes(), body].concat()
}

/// What is sent instead of an answer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Act {
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Before each piece but the first.
    pub(crate) pause: Duration,
    pub(crate) is_closed: bool,
}

impl Act {
    pub(crate) fn send(bytes: Vec<u8>) -> Self {
        Self {
            pieces: vec![bytes],
            ..Self::default()
        }
    }

    pub(crate) fn send_and_close(bytes: Vec<u8>) -> Self {
        Self {
            is_closed: true,
            ..Self::send(bytes)
        }
    }
}

/// Carries out a call.
type Speak = fn(&mut Call, &mut Disk) -> Xdr;
type Spoil = Box<dyn Fn(&Call, Vec<u8>) -> Act + Send>;

/// A server that answers as is sound, until that is spoilt.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    disk: Arc<Mutex<Disk>>,
    spoil: Arc<Mutex<Option<Spoil>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(speak: Speak) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let spoil: Arc<Mutex<Option<Spoil>>> = Arc::default();
        let disk = Arc::new(Mutex::new(Disk::new()));
        let (mut tasks, shared) = (JoinSet::new(), (Arc::clone(&disk), Arc::clone(&spoil)));
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                serving.spawn(serve(stream, speak, shared.clone()));
            }
        });
        Self {
            address,
            disk,
            spoil,
            _tasks: tasks,
        }
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    /// From now on `spoil` makes of each call and its record what is sent.
    pub(crate) fn spoil(&self, spoil: impl Fn(&Call, Vec<u8>) -> Act + Send + 'static) {
        *self.spoil.lock().unwrap() = Some(Box::new(spoil));
    }

    pub(crate) fn be_honest(&self) {
        *self.spoil.lock().unwrap() = None;
    }
}

type Shared = (Arc<Mutex<Disk>>, Arc<Mutex<Option<Spoil>>>);

async fn serve(mut stream: TcpStream, speak: Speak, (disk, spoil): Shared) {
    while let Ok(mark) = stream.read_u32().await {
        let mut body = vec![0; (mark & !LAST) as usize];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let mut call = Call::read(body);
        let mut asked = call.clone();
        let results = speak(&mut call, &mut disk.lock().unwrap());
        (asked.verbs, asked.operations) = (call.verbs, call.operations);
        let honest = asked.reply(&results);
        let act = match &*spoil.lock().unwrap() {
            Some(spoil) => spoil(&asked, honest),
            None => Act::send(honest),
        };
        for (number, piece) in act.pieces.into_iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(act.pause).await;
            }
            // The client may have gone: that is for the test to see.
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
        if act.is_closed {
            return;
        }
    }
}
