use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinSet;

use super::*;
use crate::script::{Act, Request, Server, Xdr, accepted, record, reply};

const ECHO: (u32, u32, u32) = (1, 1, 1);

fn transport(server: &Server, timeout: Duration) -> Arc<Transport> {
    let config = NfsConfig {
        call_timeout: timeout,
        ..server.config("/")
    };
    Arc::new(Transport::new(server.address, &config))
}

/// Sends a number and expects it back.
async fn echo(transport: &Transport, number: u32) -> Result<(), Broken> {
    let record = transport.call(ECHO, &number).await?;
    let mut results = rpc::accepted(record).unwrap();
    assert_eq!(results.u32("the number"), Ok(number));
    Ok(())
}

fn echoed(request: &mut Request) -> Xdr {
    let number = request.arguments.u32("the number").unwrap();
    Xdr::default().words(&[number])
}

fn all_permits(transport: &Transport) -> bool {
    transport.permits.available_permits() == transport.calls_max
        && transport
            .loads
            .lock()
            .unwrap()
            .iter()
            .all(|load| *load == 0)
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come true");
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// Makes the server answer what it holds back.
const FLUSH: u32 = u32::MAX;

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_in_any_order_each_get_their_own_answer() {
    let held: StdMutex<HashMap<usize, Vec<Vec<u8>>>> = StdMutex::default();
    let most = Arc::new(StdMutex::new(0));
    let seen = Arc::clone(&most);
    let server = Server::start(move |mut request| {
        let mut held = held.lock().unwrap();
        let waiting = held.entry(request.connection).or_default();
        let number = echoed(&mut request);
        waiting.push(record(&accepted(request.xid, &number)));
        let mut most = seen.lock().unwrap();
        *most = (*most).max(waiting.len());
        // Answers come late, in reverse order, several at once.
        if waiting.len() < 3 && number.0 != FLUSH.to_be_bytes() {
            return Act::silence();
        }
        waiting.reverse();
        Act::write(waiting.drain(..).flatten().collect())
    })
    .await;
    let transport = transport(&server, LONG);
    // Both are polled all the time: a caller that is not, while its turn has come, holds up others.
    let flushing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Fewer would all be on the first connection, and what the other one holds back would stay.
            join_all((0..2 * CALLS_ENOUGH).map(|_| echo(&transport, FLUSH))).await;
        }
    };
    let answers = tokio::select! {
        answers = join_all((0..500).map(|number| echo(&transport, number))) => answers,
        () = flushing => Vec::new(),
    };
    assert_eq!(answers.len(), 500);
    for answer in answers {
        answer.unwrap();
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(*most.lock().unwrap(), 3);
    eventually(|| all_permits(&transport)).await;
}

#[tokio::test]
async fn one_caller_needs_one_connection() {
    let server = Server::start(|mut request| reply(request.xid, &echoed(&mut request))).await;
    let transport = transport(&server, LONG);
    for number in 0..50 {
        echo(&transport, number).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

/// How many connections so many users open for so many calls each, none of which is answered.
async fn connections_for(users: usize, calls: u32, further: usize) -> usize {
    let asked = Arc::new(AtomicU64::new(0));
    let server = Server::start({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Act::silence()
        }
    })
    .await;
    let config = NfsConfig {
        connections: 4,
        in_flight_per_connection: 64,
        further_connections: Arc::new(Semaphore::new(further)),
        ..server.config("/")
    };
    let mut callers = JoinSet::new();
    for _ in 0..users {
        let transport = Arc::new(Transport::new(server.address, &config));
        for number in 0..calls {
            let transport = Arc::clone(&transport);
            callers.spawn(async move { echo(&transport, number).await });
        }
    }
    let all = users as u64 * u64::from(calls);
    eventually(|| asked.load(Ordering::Relaxed) == all).await;
    let connections = server.connections();
    callers.shutdown().await;
    assert_eq!(config.further_connections.available_permits(), further);
    connections
}

#[tokio::test]
async fn another_connection_is_opened_when_there_are_calls_enough_for_it() {
    for (calls, connections) in [(4, 1), (5, 2), (9, 3), (40, 4)] {
        assert_eq!(connections_for(1, calls, 3).await, connections, "{calls}");
    }
}

#[tokio::test]
async fn all_users_of_a_server_together_open_no_more_connections_than_they_may() {
    // One for each, and two.
    assert_eq!(connections_for(3, 40, 2).await, 5);
}

#[tokio::test]
async fn fragments_make_no_difference() {
    let server = Server::start(|mut request| {
        let whole = accepted(request.xid, &echoed(&mut request));
        let mut wire = Vec::new();
        for piece in whole.chunks(3) {
            wire.extend(u32::try_from(piece.len()).unwrap().to_be_bytes());
            wire.extend(piece);
        }
        wire.extend(record(b""));
        Act::write(wire)
    })
    .await;
    let transport = transport(&server, LONG);
    for number in 0..20 {
        echo(&transport, number).await.unwrap();
    }
}

/// The first connection misbehaves; the call fails as `kind`, the next one works.
async fn first_connection_fails(
    kind: ErrorKind,
    timeout: Duration,
    act: impl Fn(&mut Request) -> Act + Send + Sync + 'static,
) {
    let server = Server::start(move |mut request| match request.connection {
        0 => act(&mut request),
        _ => reply(request.xid, &echoed(&mut request)),
    })
    .await;
    let transport = transport(&server, timeout);
    let broken = echo(&transport, 1).await.unwrap_err();
    assert_eq!(broken.kind, kind, "{broken:?}");
    echo(&transport, 2).await.unwrap();
    assert_eq!(server.connections(), 2);
    assert!(all_permits(&transport));
}

#[tokio::test]
async fn an_end_of_the_stream_is_unreachable() {
    first_connection_fails(ErrorKind::Unreachable, LONG, |_| Act::close()).await;
}

#[tokio::test]
async fn a_cut_reply_is_unreachable() {
    for cut in [1, 4, 9, 27] {
        first_connection_fails(ErrorKind::Unreachable, LONG, move |request| {
            let whole = record(&accepted(request.xid, &echoed(request)));
            Act {
                write: whole[..cut].to_vec(),
                close: true,
            }
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_to_another_call_is_a_breach() {
    first_connection_fails(ErrorKind::ServerFault, LONG, |request| {
        reply(request.xid.wrapping_add(1000), &echoed(request))
    })
    .await;
}

#[tokio::test]
async fn a_call_instead_of_a_reply_is_a_breach() {
    first_connection_fails(ErrorKind::ServerFault, LONG, |request| {
        Act::write(record(&Xdr::default().words(&[request.xid, 0, 2]).0))
    })
    .await;
}

#[tokio::test]
async fn a_lying_length_is_a_breach() {
    for mark in [u32::MAX, LAST - 1, 5 << 20] {
        first_connection_fails(ErrorKind::ServerFault, LONG, move |_| {
            Act::write(mark.to_be_bytes().to_vec())
        })
        .await;
    }
}

const LAST: u32 = crate::record::LAST_FRAGMENT;

#[tokio::test]
async fn no_answer_is_a_timeout_and_retires_the_connection() {
    first_connection_fails(ErrorKind::Timeout, SHORT, |_| Act::silence()).await;
    // Half an answer is none.
    first_connection_fails(ErrorKind::Timeout, SHORT, |request| {
        let whole = record(&accepted(request.xid, &echoed(request)));
        Act::write(whole[..10].to_vec())
    })
    .await;
}

#[tokio::test]
async fn an_overdue_call_takes_younger_ones_with_it() {
    let server = Server::start(|_| Act::silence()).await;
    let config = NfsConfig {
        connections: 1,
        call_timeout: SHORT,
        ..server.config("/")
    };
    let transport = Transport::new(server.address, &config);
    let younger = async {
        tokio::time::sleep(SHORT / 2).await;
        echo(&transport, 2).await
    };
    let (older, younger) = tokio::join!(echo(&transport, 1), younger);
    assert_eq!(older.unwrap_err().kind, ErrorKind::Timeout);
    assert_eq!(younger.unwrap_err().kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_call_that_is_never_answered_times_out_although_others_are_answered() {
    let server = Server::start(
        |mut request| match (echoed(&mut request), request.connection) {
            (number, 0) if number.0 == FLUSH.to_be_bytes() => Act::silence(),
            (number, _) => reply(request.xid, &number),
        },
    )
    .await;
    let config = NfsConfig {
        connections: 1,
        call_timeout: SHORT / 3,
        ..server.config("/")
    };
    let transport = Transport::new(server.address, &config);
    let mut unanswered = std::pin::pin!(echo(&transport, FLUSH));
    let broken = loop {
        tokio::select! {
            ended = &mut unanswered => break ended.unwrap_err(),
            () = tokio::time::sleep(SHORT / 30) => {
                // One of these may be on the wire when the connection is given up.
                if let Err(broken) = echo(&transport, 1).await {
                    assert_eq!(broken.kind, ErrorKind::Unreachable);
                }
            }
        }
    };
    assert_eq!(broken.kind, ErrorKind::Timeout);
    echo(&transport, FLUSH).await.unwrap();
}

#[tokio::test]
async fn dropped_callers_stay_in_flight_until_the_server_has_answered() {
    let held: StdMutex<Vec<u8>> = StdMutex::default();
    let server = Server::start(move |mut request| {
        let mut held = held.lock().unwrap();
        let number = echoed(&mut request);
        held.extend(record(&accepted(request.xid, &number)));
        if number.0 == 99u32.to_be_bytes() {
            return Act::write(std::mem::take(&mut *held));
        }
        Act::silence()
    })
    .await;
    let config = NfsConfig {
        connections: 1,
        ..server.config("/")
    };
    let transport = Arc::new(Transport::new(server.address, &config));
    let mut callers = JoinSet::new();
    for number in 0..3 {
        let transport = Arc::clone(&transport);
        callers.spawn(async move { echo(&transport, number).await });
    }
    eventually(|| transport.permits.available_permits() == 1).await;
    callers.shutdown().await;
    assert_eq!(transport.permits.available_permits(), 1);
    echo(&transport, 99).await.unwrap();
    eventually(|| all_permits(&transport)).await;
    echo(&transport, 99).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_come_and_go_break_nothing() {
    let server = Server::start(|mut request| reply(request.xid, &echoed(&mut request))).await;
    let transport = transport(&server, LONG);
    // Connected first: a caller that goes while it connects takes that attempt with it.
    join_all((0..2).map(|number| echo(&transport, number))).await;
    let mut callers = JoinSet::new();
    for number in 0..2000 {
        let transport = Arc::clone(&transport);
        let caller = callers.spawn(async move { echo(&transport, number).await });
        if number % 3 == 0 {
            tokio::task::yield_now().await;
            caller.abort();
        }
    }
    while let Some(answer) = callers.join_next().await {
        match answer {
            Ok(answer) => answer.unwrap(),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    eventually(|| all_permits(&transport)).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_closes_in_the_middle_answers_everybody() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |mut request| {
        if count.fetch_add(1, Ordering::Relaxed) % 7 == 6 {
            return Act::close();
        }
        reply(request.xid, &echoed(&mut request))
    })
    .await;
    let transport = transport(&server, LONG);
    let answers = join_all((0..300).map(|number| echo(&transport, number))).await;
    let failed: Vec<&Broken> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(!failed.is_empty() && failed.len() < answers.len());
    assert!(
        failed
            .iter()
            .all(|broken| broken.kind == ErrorKind::Unreachable),
        "{failed:?}"
    );
    eventually(|| all_permits(&transport)).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable_for_all_who_wait() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = Transport::new(address, &crate::script::config("unused", "/"));
    for answer in join_all((0..20).map(|number| echo(&transport, number))).await {
        assert_eq!(answer.unwrap_err().kind, ErrorKind::Unreachable);
    }
    assert!(all_permits(&transport));
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_when_connecting_again() {
    let server = Server::start(|mut request: Request| {
        let number = echoed(&mut request);
        reply(request.xid, &number)
    })
    .await;
    // The mount saw another address of the name: nobody is there any more.
    let gone = std::net::SocketAddr::from(([127, 9, 9, 9], server.address.port()));
    let mut config = server.config("/");
    config.connections = 1;
    config.call_timeout = LONG;
    let transport = Transport::new(gone, &config);
    assert_eq!(
        echo(&transport, 1).await.unwrap_err().kind,
        ErrorKind::Unreachable
    );
    echo(&transport, 2).await.unwrap();
    let unknown = current_address("no-such-host.invalid", gone, LONG).await;
    assert_eq!(unknown, gone);
}
