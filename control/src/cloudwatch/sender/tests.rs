//! What is sent, on both databases, against answers that a test gives.

use std::sync::{Arc, Mutex};

use datasync_model::Severity;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::credentials::CredentialService;
use crate::egress::Egress;
use crate::fleet::fixture;
use crate::logs::{Part, keep};
use crate::records::Execution;
use crate::store::Sealer;
use crate::store::tests::bed::{Bed, contract};

const GROUP: &str = "arn:aws:logs:eu-north-1:123456789012:log-group:group";

/// Calls that came, and the errors that are answered next, the last first.
#[derive(Default)]
struct Double {
    calls: Vec<(String, Value)>,
    errors: Vec<&'static str>,
}

type Shared = Arc<Mutex<Double>>;

async fn answer(double: Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    let operation = header("x-amz-target");
    let scope =
        "/eu-north-1/logs/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target";
    assert!(
        header("authorization").contains(scope),
        "{}",
        header("authorization")
    );
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap();
    let mut double = double.lock().unwrap();
    double.calls.push((operation, body));
    let (status, body) = match double.errors.pop() {
        Some(code) => (400, json!({"__type": code, "message": "said so"})),
        None => (200, json!({})),
    };
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder().status(status).body(body).unwrap()
}

async fn serve(double: Shared) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let double = double.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let double = double.clone();
                    async move { Ok::<_, std::convert::Infallible>(answer(double, request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                http.serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    (endpoint, serving)
}

/// Keeps lines with these texts, numbered from `first` on, of an execution that goes to the group.
async fn keep_lines(store: &Store, first: u64, texts: &[&str]) -> String {
    keep_lines_of(store, 1, first, texts).await
}

async fn keep_lines_of(store: &Store, number: u64, first: u64, texts: &[&str]) -> String {
    let mut execution = fixture::execution_row(1, number);
    execution.log_group_arn = Some(GROUP.to_owned());
    execution.agent = Some(fixture::agent(0));
    let at_ms = Timestamp::now().as_millisecond();
    let line = |text: &&str| datasync_proto::LogLine {
        at_milliseconds: at_ms,
        severity: Severity::Info.to_string(),
        text: (*text).to_owned(),
    };
    let part = Part::read(datasync_proto::LogLines {
        execution_arn: execution.arn().to_string(),
        log_id: "log".to_owned(),
        first,
        lines: texts.iter().map(line).collect(),
    });
    let (part, id) = (part.unwrap(), execution.arn().id().to_owned());
    let agent = fixture::agent(0);
    let kept = store.commit(move |rows: &Transaction<'_>| {
        if rows.get::<Execution>(execution.arn().id())?.is_none() {
            rows.insert(&execution)?;
        }
        keep(rows, &agent, part)
    });
    let _next: u64 = Box::pin(kept).await.unwrap();
    id
}

async fn shipment(store: &Store, id: &str) -> Option<LogShipment> {
    let id = id.to_owned();
    let row = store.read(move |rows: &Transaction<'_>| rows.get::<LogShipment>(&id));
    row.await.unwrap().map(|row| row.record)
}

fn messages(double: &Shared) -> Vec<String> {
    let calls = &double.lock().unwrap().calls;
    let puts = calls
        .iter()
        .filter(|(operation, _)| operation.ends_with("PutLogEvents"));
    let events = puts.flat_map(|(_, body)| body["logEvents"].as_array().unwrap());
    events
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

async fn sender(store: &Store, endpoint: String, holder: &str) -> Sender {
    let directory = tempfile::tempdir().unwrap();
    let sealer = Arc::new(Sealer::open(directory.path()).unwrap());
    let home = crate::config::Config::new("/unused").unwrap().home;
    let key = aws_credential_types::Credentials::new("base", "base", None, None, "test");
    let credentials = CredentialService::new(store.clone(), sealer, Vec::new(), home);
    let credentials = Arc::new(credentials.with_key(key).await);
    let client = Client::new(credentials, Egress::default(), Some(endpoint), None);
    Sender::new(store.clone(), client, holder.to_owned())
}

async fn lines_get_there_in_order_whatever_is_answered(bed: &Bed<'_>) {
    let store = &bed.open();
    let double = Shared::default();
    let (endpoint, _serving) = serve(double.clone()).await;
    let mut sender = Box::pin(sender(store, endpoint.clone(), "us")).await;
    assert_eq!(
        sender.round().await.unwrap(),
        Next::Change,
        "nothing to send"
    );
    let id = keep_lines(store, 0, &["a", "b"]).await;
    // The group is missing: the stream cannot be made.
    let missing = "ResourceNotFoundException";
    double.lock().unwrap().errors = vec![missing, missing];
    assert_eq!(sender.round().await.unwrap(), Next::Later(PAUSE_MIN));
    let failure = shipment(store, &id).await.unwrap().failure.unwrap();
    assert_eq!(
        failure,
        format!("CreateLogStream answers {missing}: said so")
    );
    assert!(
        matches!(sender.round().await.unwrap(), Next::Later(_)),
        "it pauses"
    );
    assert_eq!(double.lock().unwrap().calls.len(), 2);
    // Then the stream alone is, and somebody else makes it meanwhile.
    sender.paused.clear();
    double.lock().unwrap().calls.clear();
    double.lock().unwrap().errors = vec!["ResourceAlreadyExistsException", missing];
    keep_lines(store, 2, &["c"]).await;
    assert_eq!(sender.round().await.unwrap(), Next::Change);
    assert_eq!(shipment(store, &id).await, None);
    let operations: Vec<_> = double
        .lock()
        .unwrap()
        .calls
        .iter()
        .map(|call| call.0.clone())
        .collect();
    let [put, make] = [
        "Logs_20140328.PutLogEvents",
        "Logs_20140328.CreateLogStream",
    ];
    assert_eq!(operations, [put, make, put]);
    double.lock().unwrap().calls.remove(0);
    assert_eq!(messages(&double), ["[INFO] a", "[INFO] b", "[INFO] c"]);
    let names = &double.lock().unwrap().calls[0].1;
    assert_eq!(names["logGroupName"], "group");
    assert!(
        names["logStreamName"].as_str().unwrap().ends_with(&id),
        "{names}"
    );
}

async fn one_control_of_several_sends_and_the_others_load_nothing(bed: &Bed<'_>) {
    let store = &bed.open();
    let double = Shared::default();
    let (endpoint, _serving) = serve(double.clone()).await;
    let mut us = Box::pin(sender(store, endpoint.clone(), "us")).await;
    let mut other = Box::pin(sender(store, endpoint, "other")).await;
    keep_lines(store, 0, &["a"]).await;
    assert_eq!(us.round().await.unwrap(), Next::Change);
    keep_lines(store, 1, &["b"]).await;
    bed.sql("UPDATE records SET body = '{}' WHERE kind = 'log-chunk' AND body LIKE '%\"b\"%'");
    assert_eq!(other.round().await.unwrap(), Next::Later(LOOK));
    assert_eq!(messages(&double), ["[INFO] a"]);
    assert!(other.named.is_empty(), "it has looked at no line");
    assert_eq!(us.round().await.unwrap(), Next::Change);
    assert_eq!(us.named.len(), 1);
}

/// Rows of a later release, or damaged ones: of the lines, of a log, and of what is to be sent.
async fn a_row_that_cannot_be_read_costs_its_own_lines_and_no_others(bed: &Bed<'_>) {
    let store = &bed.open();
    let double = Shared::default();
    let (endpoint, _serving) = serve(double.clone()).await;
    let mut sender = Box::pin(sender(store, endpoint, "us")).await;
    let mut ids = Vec::new();
    for number in 1..=4 {
        for (first, text) in ["x", "y", "z"].into_iter().enumerate() {
            let text = format!("{number}{text}");
            ids.push(keep_lines_of(store, number, first as u64, &[text.as_str()]).await);
        }
    }
    let [first, second, third] = [&ids[0], &ids[3], &ids[6]];
    for broken in [
        format!("kind = 'log-chunk' AND id = '{first}-0000000001'"),
        format!("kind = 'execution-log' AND id = '{second}'"),
        format!("kind = 'log-shipment' AND id = '{third}'"),
    ] {
        bed.sql(&format!("UPDATE records SET body = '{{}}' WHERE {broken}"));
    }
    for _ in 0..2 {
        assert_eq!(sender.round().await.unwrap(), Next::Change);
        let sent = ["1x", "1z", "4x", "4y", "4z"].map(|text| format!("[INFO] {text}"));
        assert_eq!(messages(&double), sent);
        assert_eq!(sender.named.len(), 3, "each of them");
    }
    assert_eq!(shipment(store, first).await, None);
}

contract! {
    lines_get_there_in_order_whatever_is_answered,
    one_control_of_several_sends_and_the_others_load_nothing,
    a_row_that_cannot_be_read_costs_its_own_lines_and_no_others,
}
