//! Sessions against a server that does what a test says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::script::{Act, Request, Server, Xdr, accepted, record};
use crate::v4::attributes::tests::file;

const SEQUENCE: u32 = 53;

/// What a call of minor version 1 was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Made(u32),
    /// Session, number, and how many operations came with it.
    Called(u32, u32, u32),
}

#[derive(Default)]
struct Script {
    /// The session that is good, and those before it are not.
    good: AtomicU32,
    made: AtomicU32,
    /// Calls that are left without an answer.
    silent: AtomicU32,
    /// Questions about a call in doubt that are put off.
    put_off: AtomicU32,
    seen: Mutex<Vec<Seen>>,
}

impl Script {
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }

    fn answer(&self, mut request: Request) -> Act {
        let call = &mut request.arguments;
        call.opaque(4, "tag").unwrap();
        let (_minor, count) = (call.u32("minor").unwrap(), call.u32("count").unwrap());
        let results = match call.u32("operation").unwrap() {
            42 => ok(&[42], Xdr::default().long(7).words(&[1, 0, 0])),
            43 => {
                let made = self.made.fetch_add(1, Ordering::SeqCst) + 1;
                self.good.store(made, Ordering::SeqCst);
                self.note(Seen::Made(made));
                let granted = [0, 1 << 16, 1 << 20, 4096, 16, 2, 0];
                let session = Xdr::default().words(&[made, 0, 0, 0, 1, 0]);
                ok(&[43], session.words(&granted).words(&granted))
            }
            SEQUENCE => match self.sequenced(call, count) {
                Some(results) => results,
                None => return Act::silence(),
            },
            _ => ok(&[44], Xdr::default()),
        };
        Act::write(record(&accepted(request.xid, &results)))
    }

    fn sequenced(&self, call: &mut Reply, count: u32) -> Option<Xdr> {
        let session = call.u32("session").unwrap();
        for _ in 0..3 {
            call.u32("session").unwrap();
        }
        let (number, slot) = (call.u32("number").unwrap(), call.u32("slot").unwrap());
        for _ in 0..2 {
            call.u32("sequence").unwrap();
        }
        let is_reclaim = count == 2 && call.clone().u32("operation").unwrap() == 58;
        if !is_reclaim {
            self.note(Seen::Called(session, number, count));
        }
        if session != self.good.load(Ordering::SeqCst) {
            return Some(Xdr::default().words(&[10052, 0, 1, SEQUENCE, 10052]));
        }
        let one_less = |left: u32| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if !is_reclaim && self.silent.fetch_update(order, order, one_less).is_ok() {
            return None;
        }
        if count == 1 && self.put_off.fetch_update(order, order, one_less).is_ok() {
            return Some(Xdr::default().words(&[10008, 0, 1, SEQUENCE, 10008]));
        }
        let mut results = Xdr::default().words(&[0, 0, count, SEQUENCE, 0]);
        results = results.words(&[session, 0, 0, 0, number, slot, 1, 1, 0]);
        match count {
            1 => {}
            2 => results = results.words(&[58, 0]),
            _ => {
                results = results.words(&[22, 0, 9, 0]);
                results.0.extend_from_slice(&file(5, "1", None).0);
            }
        }
        Some(results)
    }
}

fn ok(operation: &[u32], result: Xdr) -> Xdr {
    let mut whole = Xdr::default()
        .words(&[0, 0, 1])
        .words(operation)
        .words(&[0]);
    whole.0.extend_from_slice(&result.0);
    whole
}

async fn server() -> (Server, Arc<Script>, Client) {
    let script = Arc::new(Script::default());
    let told = Arc::clone(&script);
    let server = Server::start(move |request| told.answer(request)).await;
    let config = NfsConfig {
        call_timeout: Duration::from_millis(300),
        connections: 1,
        in_flight_per_connection: 1,
        ..server.config("/")
    };
    let client = Client::new(server.address, 1, &config, Arc::default());
    (server, script, client)
}

#[tokio::test]
async fn a_session_serves_all_calls_and_is_made_again_when_it_is_lost() {
    let (_server, script, client) = server().await;
    for _ in 0..2 {
        assert_eq!(client.attributes(b"file").await.unwrap().size, 5);
    }
    // RECLAIM_COMPLETE was the first.
    let expected = [Seen::Made(1), Seen::Called(1, 2, 3), Seen::Called(1, 3, 3)];
    assert_eq!(script.seen(), expected);
    script.good.store(99, Ordering::SeqCst);
    assert_eq!(client.attributes(b"file").await.unwrap().size, 5);
    let since = &script.seen()[3..];
    assert_eq!(
        since,
        [Seen::Called(1, 4, 3), Seen::Made(2), Seen::Called(2, 2, 3)]
    );
}

#[tokio::test]
async fn a_server_that_takes_no_session_is_not_asked_for_ever() {
    let (_server, script, client) = server().await;
    client.attributes(b"file").await.unwrap();
    let told = Arc::clone(&script);
    let mut denying = tokio::task::JoinSet::new();
    denying.spawn(async move {
        loop {
            told.good.store(0, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let error = client.attributes(b"file").await.unwrap_err();
    denying.abort_all();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    assert!(error.detail.contains("BADSESSION"), "{error}");
    assert!(script.made.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn what_became_of_an_unanswered_call_is_asked_before_its_slot_is_used() {
    let (_server, script, client) = server().await;
    client.attributes(b"file").await.unwrap();
    let calls = client.current().unwrap().slots.highest() + 1;
    assert_eq!(calls, 1, "what was asked for, not what was granted");
    script.silent.store(1, Ordering::SeqCst);
    let error = client.attributes(b"file").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    client.attributes(b"file").await.unwrap();
    let since = &script.seen()[2..];
    let expected = [
        Seen::Called(1, 3, 3),
        Seen::Called(1, 3, 1),
        Seen::Called(1, 4, 3),
    ];
    assert_eq!(since, expected);
}

#[tokio::test]
async fn a_call_in_doubt_that_the_server_is_still_at_is_waited_for() {
    let (_server, script, client) = server().await;
    client.attributes(b"file").await.unwrap();
    script.silent.store(1, Ordering::SeqCst);
    client.attributes(b"file").await.unwrap_err();
    script.put_off.store(3, Ordering::SeqCst);
    client.attributes(b"file").await.unwrap();
    let asked = [Seen::Called(1, 3, 1); 4];
    assert_eq!(script.seen()[3..7], asked);
    assert_eq!(script.seen()[7..], [Seen::Called(1, 4, 3)]);
    // Not for ever.
    script.silent.store(1, Ordering::SeqCst);
    client.attributes(b"file").await.unwrap_err();
    script.put_off.store(SETTLE_MAX, Ordering::SeqCst);
    let error = client.attributes(b"file").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    client.attributes(b"file").await.unwrap();
}

#[tokio::test]
async fn what_follows_a_read_may_be_damaged_and_its_data_counts() {
    for damage in [
        Xdr::default().words(&[9, 1]),
        Xdr::default().words(&[9, 0xc19a_e3fe, 0, 0x0010_011a]),
        Xdr::default().words(&[9, 0, 0, 0x0010_011a, 0x00b0_a03a, 4, 1]),
        Xdr::default(),
    ] {
        let server = Server::start(move |request| {
            let results = Xdr::default().words(&[0, 0, 3, 22, 0, 25, 0, 1]);
            let mut results = results.opaque(b"data");
            results.0.extend_from_slice(&damage.0);
            Act::write(record(&accepted(request.xid, &results)))
        })
        .await;
        let client = Client::new(server.address, 0, &server.config("/"), Arc::default());
        let reply = client.read(b"file", 0, 4).await.unwrap();
        assert_eq!((reply.data, reply.eof), (Bytes::from("data"), true));
        assert!(reply.attributes.is_none());
    }
}

#[test]
fn a_read_never_yields_more_than_was_asked_for() {
    let read = |eof: u32, data: &[u8]| {
        let wire = Xdr::default().words(&[eof]).opaque(data);
        read_results(&mut Reply::new(wire.0.into()), 4)
    };
    assert_eq!(read(0, b"abcd").unwrap(), (Bytes::from("abcd"), false));
    assert_eq!(read(1, b"ab").unwrap(), (Bytes::from("ab"), true));
    assert_eq!(read(1, b"abcdef").unwrap(), (Bytes::from("abcd"), false));
    assert_eq!(read(1, b"").unwrap(), (Bytes::new(), true));
    assert!(read(0, b"").is_err());
    assert!(read(2, b"abcd").is_err());
}
