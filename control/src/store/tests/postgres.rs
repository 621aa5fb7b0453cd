//! What only a server does: it goes away, it is shared, it is reached over a network.

use std::time::{Duration, Instant};

use super::{key, names};
use crate::fleet::fixture;
use crate::store::test_server::{Server, settings};
use crate::store::{Postgres, Store, StoreError, postgres, transaction};

const PATIENCE: Duration = Duration::from_secs(60);

fn connect(url: &str) -> Store {
    connect_to(&settings(url)).unwrap()
}

fn connect_to(settings: &Postgres) -> Result<Store, StoreError> {
    let connected = Store::connect(settings, "one", |_| Ok::<_, StoreError>(()));
    connected.map(|(store, ())| store)
}

async fn until_it_works(store: &Store, id: &'static str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = store.commit(move |tx| tx.insert(&key(id))).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_restart_of_the_server_is_survived() {
    let mut server = Server::start();
    let store = connect(&server.new_database());
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    // A restart that nobody noticed costs nobody an error.
    server.kill();
    server.run();
    store.commit(|tx| tx.insert(&key("b"))).await.unwrap();
    assert_eq!(names(&store, None, 9).await, ["a", "b"]);
    server.kill();
    for _ in 0..3 {
        let written = store.commit(|tx| tx.insert(&key("c"))).await.unwrap_err();
        let read = store.read(|tx| tx.generation()).await.unwrap_err();
        for error in [written, read] {
            let text = error.to_string();
            assert!(
                text.contains("failed while beginning a transaction"),
                "{text}"
            );
        }
    }
    server.run();
    until_it_works(&store, "c").await;
    assert_eq!(names(&store, None, 9).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_connection_that_is_cut_in_a_transaction_changes_nothing() {
    let server = Server::start();
    let url = server.new_database();
    let (store, other) = (connect(&url), connect(&url));
    let mut wakes = other.changes();
    let cut = || {
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'datasync-control' AND state = 'idle in transaction'";
        server.psql("postgres", all);
    };
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (done, is_done) = std::sync::mpsc::channel();
    let written = store.commit(move |tx| {
        tx.insert(&key("a"))?;
        begun.send(()).unwrap();
        is_done.recv_timeout(PATIENCE).unwrap();
        tx.insert(&key("b"))
    });
    let interrupted = async {
        has_begun.await.unwrap();
        cut();
        done.send(()).unwrap();
    };
    let (written, ()) = tokio::join!(written, interrupted);
    assert!(
        matches!(written, Err(StoreError::Database { .. })),
        "{written:?}"
    );
    assert_eq!(names(&other, None, 9).await.len(), 0);
    wakes.mark_unchanged();
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    let woken = tokio::time::timeout(PATIENCE, wakes.changed());
    woken
        .await
        .expect("another process's commit wakes")
        .unwrap();
}

#[tokio::test]
async fn unsuitable_databases_are_named() {
    let server = Server::start();
    let ascii = server.new_database_with("ENCODING 'SQL_ASCII' LOCALE 'C'");
    let error = connect_to(&settings(&ascii)).unwrap_err().to_string();
    assert!(error.contains("ENCODING 'UTF8'"), "{error}");
    let missing = server.new_database().replace("/d1?", "/missing?");
    let error = connect_to(&settings(&missing)).unwrap_err().to_string();
    assert!(error.contains("\"missing\" does not exist"), "{error}");
    assert!(
        error.contains("/missing failed while connecting"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_needs_a_certificate_for_the_servers_name_of_a_ca_that_is_trusted() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let tls = [
        "ssl=on",
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
    ];
    let server = Server::with(&tls, |server| {
        server.write("server.crt", &pem);
        server.write("server.key", &made.signing_key.serialize_pem());
        server.write(
            "pg_hba.conf",
            "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n",
        );
    });
    let database = "CREATE DATABASE tls TEMPLATE template0 ENCODING 'UTF8'";
    server.psql_at(port, "postgres", database);
    let url = |host: &str, mode: &str| {
        format!("postgresql://postgres@{host}:{port}/tls?hostaddr=127.0.0.1&sslmode={mode}")
    };
    let with =
        |url: String, ca: &str| connect_to(&Postgres::parse(&url, Some(ca.to_owned())).unwrap());
    let store = with(url("localhost", "require"), &pem).unwrap();
    store.commit(|tx| tx.insert(&key("a"))).await.unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (url, ca) in [
        (url("localhost", "require"), other.cert.pem()),
        (url("db.example", "verify-full"), pem.clone()),
    ] {
        let error = with(url, &ca).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    let plain = with(url("localhost", "disable"), &pem).unwrap_err();
    assert!(plain.to_string().contains("pg_hba.conf"), "{plain}");
}

#[tokio::test]
async fn every_statement_is_answered_by_an_index_in_its_order() {
    let server = Server::start();
    let store = connect(&server.new_database());
    let made = store.commit(|tx| {
        for number in 0..300 {
            tx.insert(&fixture::task_row(number, None))?;
            tx.insert(&fixture::execution_row(number, number))?;
        }
        Ok::<_, StoreError>(())
    });
    made.await.unwrap();
    let lists = &postgres::STATEMENTS;
    for (statement, index) in [
        (transaction::ONE, "records_pkey"),
        (crate::store::lists::PAGE, "records_pkey"),
        (lists.several, "records_pkey"),
        (lists.children, "records_by_parent"),
        (lists.live_executions, "records_live_executions"),
        (lists.launched_executions, "records_launched_executions"),
        (lists.queued_executions, "records_queued_executions"),
        (lists.live_of_task, "records_live_of_task"),
        (lists.live_of_tasks, "records_live_of_task"),
        (lists.ended_executions, "records_ended_executions"),
        (lists.planned_tasks, "records_due_tasks"),
        (lists.tasks_by_readiness, "records_tasks_by_readiness"),
        (lists.tasks_by_source, "records_tasks_by_source"),
        (lists.tasks_by_destination, "records_tasks_by_destination"),
    ] {
        // As for every value, and not for a table that is read whole for being small.
        let values = (1..9).filter(|number| statement.contains(&format!("?{number}")));
        let values = values.map(|_| "'1'").collect::<Vec<_>>().join(", ");
        let values = if values.is_empty() {
            values
        } else {
            format!("({values})")
        };
        let explain = format!(
            "ANALYZE; SET enable_seqscan = off; SET enable_bitmapscan = off;
             SET enable_sort = off; SET plan_cache_mode = force_generic_plan;
             PREPARE asked AS {}; EXPLAIN EXECUTE asked {values}",
            statement.replace('?', "$")
        );
        let plan = server.psql("d0", &explain);
        assert!(
            plan.contains(&format!("Index Scan using {index}")),
            "{statement}: {plan}"
        );
        assert!(!plan.contains("Sort"), "{statement}: {plan}");
    }
}
