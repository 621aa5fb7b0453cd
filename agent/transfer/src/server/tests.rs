use std::sync::atomic::AtomicUsize;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::attempts::Attempts;
use crate::retry::RetryLimits;

const SMALL: Request<'_> = Request {
    bytes: Some(1),
    operation: "READ",
    pace: None,
};

fn limits(in_flight: usize) -> ServerLimits {
    ServerLimits {
        in_flight_max: Some(in_flight),
        operations_per_second: None,
    }
}

fn fault(kind: ErrorKind) -> EndpointError {
    EndpointError::new(kind, "READ", "file", "as told")
}

#[tokio::test(start_paused = true)]
async fn two_executions_have_the_same_share_of_a_server() {
    let server = Server::new("nas", limits(8));
    let mut workers = JoinSet::new();
    let done: [Arc<AtomicUsize>; 2] = Default::default();
    for (done, eagerness) in done.iter().zip([8, 100]) {
        let access = Arc::new(server.join(Arc::new(Waits::new())));
        for _ in 0..eagerness {
            let (access, done) = (Arc::clone(&access), Arc::clone(done));
            workers.spawn(async move {
                loop {
                    let call = async {
                        sleep(Duration::from_millis(10)).await;
                        Ok(())
                    };
                    access.ask(SMALL, || call).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    sleep(Duration::from_secs(10)).await;
    let [modest, greedy] = done.map(|done| done.load(Ordering::Relaxed));
    assert!(modest + greedy >= 7600, "{modest} and {greedy}");
    assert!(modest.abs_diff(greedy) < 800, "{modest} and {greedy}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_only_errors_is_left_alone_until_it_serves_again() {
    let server = Server::default();
    let broken_for = Duration::from_secs(100);
    let begun = Instant::now();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for _ in 0..64 {
        let (access, asked) = (server.join(Arc::new(Waits::new())), Arc::clone(&asked));
        workers.spawn(async move {
            while begun.elapsed() < broken_for + Duration::from_secs(60) {
                let call = async {
                    asked.lock().unwrap().push(begun.elapsed());
                    sleep(Duration::from_millis(200)).await;
                    if begun.elapsed() < broken_for {
                        Err(fault(ErrorKind::Unreachable))
                    } else {
                        Ok(())
                    }
                };
                drop(access.ask(SMALL, || call).await);
            }
        });
    }
    workers.join_all().await;
    let asked = asked.lock().unwrap();
    let during = asked.iter().filter(|at| **at < broken_for).count();
    assert!(
        during < 64 + 32 + 10,
        "{during} requests to a broken server"
    );
    let recovered = asked
        .iter()
        .filter(|at| **at > broken_for + Duration::from_secs(31));
    assert!(recovered.count() > 1000, "it is used again");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_minute_for_a_server_that_is_left_alone() {
    let server = Server::default();
    let access = server.join(Arc::new(Waits::new()));
    for _ in 0..32 {
        let call = async { Err::<(), _>(fault(ErrorKind::ServerFault)) };
        assert!(access.ask(SMALL, || call).await.is_err());
    }
    let failing = async {
        loop {
            let call = async { Err::<(), _>(fault(ErrorKind::ServerFault)) };
            drop(access.ask(SMALL, || call).await);
        }
    };
    let asking = async {
        sleep(Duration::from_secs(120)).await;
        let begun = Instant::now();
        let call = async {
            sleep(Duration::from_secs(1)).await;
            Err::<(), _>(fault(ErrorKind::ServerFault))
        };
        (
            access.ask(SMALL, || call).await.unwrap_err(),
            begun.elapsed(),
        )
    };
    tokio::select! {
        () = failing => {}
        (error, waited) = asking => {
            assert!(waited <= PATIENCE + Duration::from_secs(1), "{waited:?} {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_long_keeps_nobody_waiting() {
    let server = Server::default();
    let access = server.join(Arc::new(Waits::new()));
    for _ in 0..32 {
        let call = async { Err::<(), _>(fault(ErrorKind::ServerFault)) };
        assert!(access.ask(SMALL, || call).await.is_err());
    }
    let probing = access.ask(SMALL, std::future::pending::<Result<(), _>>);
    let mut probing = Box::pin(timeout(Duration::from_secs(300), probing));
    assert!(futures::poll!(&mut probing).is_pending());
    sleep(Duration::from_secs(2)).await;
    assert!(futures::poll!(&mut probing).is_pending());
    let begun = Instant::now();
    access.ask(SMALL, || async { Ok(()) }).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    access.ask(SMALL, || async { Ok(()) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_not_left_alone() {
    let access = Server::default().join(Arc::new(Waits::new()));
    let begun = Instant::now();
    for _ in 0..100 {
        let call = async { Err::<(), _>(fault(ErrorKind::Busy)) };
        assert_eq!(
            access.ask(SMALL, || call).await.unwrap_err().kind,
            ErrorKind::Busy
        );
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn errors_of_an_item_are_no_fault_of_the_server() {
    let access = Server::default().join(Arc::new(Waits::new()));
    for _ in 0..1000 {
        let call = async { Err::<(), _>(fault(ErrorKind::NotFound)) };
        access.ask(SMALL, || call).await.unwrap_err();
    }
    let begun = Instant::now();
    access.ask(SMALL, || async { Ok(()) }).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requests_per_second_are_capped_over_all_executions() {
    let server = Server::new(
        "store",
        ServerLimits {
            in_flight_max: None,
            operations_per_second: NonZeroU32::new(100),
        },
    );
    let listing = Request {
        bytes: None,
        operation: "LIST",
        pace: None,
    };
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..4 {
        let access = server.join(Arc::new(Waits::new()));
        workers.spawn(async move {
            let request = if number % 2 == 0 { SMALL } else { listing };
            for _ in 0..100 {
                access.ask(request, || async { Ok(()) }).await.unwrap();
            }
        });
    }
    workers.join_all().await;
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(3950) && took < Duration::from_millis(4050),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_is_not_in_the_time_of_the_attempts() {
    let retries = RetryLimits {
        attempts_max: 3,
        elapsed_max: Duration::from_secs(5),
        ..RetryLimits::default()
    };
    let attempts = Arc::new(Attempts::new(retries, 0));
    let server = Server::new("nas", limits(1));
    let access = Arc::new(server.join(attempts.waits().clone()));
    let mut workers = JoinSet::new();
    for _ in 0..20 {
        let (access, attempts) = (Arc::clone(&access), Arc::clone(&attempts));
        workers.spawn(async move {
            let asked = AtomicUsize::new(0);
            let call = || {
                let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
                access.ask(SMALL, move || async move {
                    sleep(Duration::from_secs(1)).await;
                    if is_first {
                        Err(fault(ErrorKind::Busy))
                    } else {
                        Ok(())
                    }
                })
            };
            attempts.run(call).await
        });
    }
    let begun = Instant::now();
    for done in workers.join_all().await {
        done.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn all_are_refused_in_time_by_a_server_that_is_left_alone_however_few_places_it_has() {
    let server = Server::new("nas", limits(1));
    let access = Arc::new(server.join(Arc::new(Waits::new())));
    let failing = || async { Err::<(), _>(fault(ErrorKind::ServerFault)) };
    for _ in 0..32 {
        assert!(access.ask(SMALL, failing).await.is_err());
    }
    let mut workers = JoinSet::new();
    for _ in 0..20 {
        let access = Arc::clone(&access);
        workers.spawn(async move { access.ask(SMALL, failing).await.unwrap_err() });
    }
    let begun = Instant::now();
    let refused = workers.join_all().await;
    assert_eq!(begun.elapsed(), PATIENCE);
    let not_answered = refused
        .iter()
        .filter(|error| error.kind == ErrorKind::Timeout && error.held == Duration::ZERO);
    // The others were probes.
    assert!(not_answered.count() >= 14, "{refused:?}");
}
