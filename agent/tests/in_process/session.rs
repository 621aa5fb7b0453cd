//! Desired state in, observed state out.

use datasync_model::{
    ErrorCode, Excludes, ExecutionSpec, ExecutionStatus, Includes, Location, LogLevel, NfsLocation,
    NfsVersion, Options, Pair, S3Location, StorageClass, TaskMode,
};
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as ToAgent;
use datasync_proto::{
    Deactivate, DesiredExecution, DesiredProbe, Generation, Heartbeat, Hello, LogKept, LogLines,
};

use crate::agent::Agent;
use crate::control::FakeControl;

async fn member(control: &FakeControl) -> Agent {
    let mut agent = Agent::start(control);
    agent.activate(control).await;
    control.until_sessions(1).await;
    agent
}

/// A bucket; as source and as destination the same one is refused without asking a server.
fn bucket(arn: &str) -> Location {
    Location::S3(S3Location {
        arn: format!("arn:aws:datasync:us-east-1:123456789012:location/{arn}")
            .parse()
            .unwrap(),
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        region: None,
        endpoint: None,
        server_certificate: None,
        storage_class: StorageClass::Standard,
    })
}

/// A server that cannot be looked for.
fn no_source() -> Location {
    Location::Nfs(NfsLocation {
        arn: "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0"
            .parse()
            .unwrap(),
        server_hostname: "no host".to_owned(),
        subdirectory: "/".to_owned(),
        version: NfsVersion::Nfs3,
    })
}

fn doomed(number: u8) -> (ExecutionSpec, DesiredExecution) {
    let pair = Pair {
        object_to_object: false,
        storage_class: Some(StorageClass::Standard),
    };
    let spec = ExecutionSpec {
        execution: format!(
            "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcde{number:02x}"
        )
        .parse()
        .unwrap(),
        task_mode: TaskMode::Basic,
        source: bucket("loc-0123456789abcdef0"),
        destination: bucket("loc-0123456789abcdef1"),
        options: Options::defaults(TaskMode::Basic, pair),
        includes: Includes::default(),
        excludes: Excludes::default(),
        extensions: datasync_model::Extensions::default(),
    };
    let desired = DesiredExecution::new(&spec, spec.options.bytes_per_second, false);
    (spec, desired)
}

fn heartbeats(received: &[FromAgent]) -> impl Iterator<Item = &Heartbeat> {
    received.iter().filter_map(|message| match message {
        FromAgent::Heartbeat(heartbeat) => Some(heartbeat),
        _ => None,
    })
}

fn hellos(received: &[FromAgent]) -> Vec<Hello> {
    received
        .iter()
        .filter_map(|message| match message {
            FromAgent::Hello(hello) => Some(hello.clone()),
            _ => None,
        })
        .collect()
}

fn applied(received: &[FromAgent]) -> Vec<(String, u64)> {
    received
        .iter()
        .filter_map(|message| match message {
            FromAgent::Applied(Generation {
                incarnation,
                generation,
            }) => Some((incarnation.clone(), *generation)),
            _ => None,
        })
        .collect()
}

fn ended(received: &[FromAgent], spec: &ExecutionSpec) -> Option<ErrorCode> {
    received.iter().find_map(|message| match message {
        FromAgent::Execution(observed) => {
            let report = observed.report().unwrap();
            let is_it = report.execution == spec.execution;
            (is_it && report.status == ExecutionStatus::Error)
                .then(|| report.result.failure.unwrap().code)
        }
        _ => None,
    })
}

#[tokio::test]
async fn heartbeats_describe_the_host_and_the_last_one_says_offline() {
    let control = FakeControl::start().await;
    let mut agent = member(&control).await;
    let heartbeat = control
        .until("two heartbeats", |all| heartbeats(all).nth(1).cloned())
        .await;
    assert_eq!(heartbeat.status, "ONLINE");
    let host = heartbeat.host.unwrap();
    assert_eq!(host.hostname, "agent under test");
    assert!(host.cpu_count > 0 && host.memory_total_bytes > 0);
    assert!(host.process_resident_bytes > 0 && host.uptime_seconds > 0);
    let hello = control.until("hello", |all| hellos(all).pop()).await;
    assert_eq!(hello.agent_version, datasync_agent::VERSION);
    assert_eq!(hello.boot_nonce.len(), 32);
    agent.stop().await;
    let last = control
        .until("the farewell", |all| heartbeats(all).last().cloned())
        .await;
    assert_eq!(last.status, "OFFLINE");
}

#[tokio::test]
async fn the_agent_comes_back_after_control_and_repeats_what_ended() {
    let mut control = FakeControl::start().await;
    let mut agent = member(&control).await;
    let (spec, desired) = doomed(1);
    control
        .desire("one", 1, vec![desired.clone()], Vec::new())
        .await;
    let code = control
        .until("the end of the execution", |all| ended(all, &spec))
        .await;
    assert_eq!(code, ErrorCode::InvalidConfiguration);
    control.stop().await;
    control.forget_received();
    control.come_back().await;
    control.until_sessions(2).await;
    control.until("the same end", |all| ended(all, &spec)).await;
    let hello = control.until("hello", |all| hellos(all).pop()).await;
    assert_eq!(hello.applied.unwrap().generation, 1);
    // Forgotten once control no longer lists it.
    let folder = agent
        .state_dir()
        .join("executions")
        .join(spec.execution.id());
    assert!(folder.join("report.json").exists());
    control.desire("one", 2, Vec::new(), Vec::new()).await;
    control
        .until("generation 2", |all| {
            applied(all).contains(&("one".to_owned(), 2)).then_some(())
        })
        .await;
    assert!(!folder.exists());
    agent.stop().await;
}

#[tokio::test]
async fn an_older_desired_state_counts_only_in_another_incarnation() {
    let control = FakeControl::start().await;
    let agent = member(&control).await;
    let (old, desired_old) = doomed(1);
    let (new, desired_new) = doomed(2);
    control.desire("one", 5, Vec::new(), Vec::new()).await;
    control
        .desire("one", 4, vec![desired_old], Vec::new())
        .await;
    control
        .desire("two", 1, vec![desired_new], Vec::new())
        .await;
    control.until("the end", |all| ended(all, &new)).await;
    control
        .until("both generations", |all| {
            let expected = [("one".to_owned(), 5), ("two".to_owned(), 1)];
            (applied(all) == expected).then_some(())
        })
        .await;
    let unstarted = agent
        .state_dir()
        .join("executions")
        .join(old.execution.id());
    assert!(!unstarted.exists());
    let first = control.until("hello", |all| hellos(all).pop()).await;
    let mut agent = agent.restart().await;
    control.until_sessions(2).await;
    let second = control
        .until("the second hello", |all| hellos(all).get(1).cloned())
        .await;
    let remembered = second.applied.unwrap();
    assert_eq!(
        (remembered.incarnation.as_str(), remembered.generation),
        ("two", 1)
    );
    assert_ne!(first.boot_nonce, second.boot_nonce);
    agent.stop().await;
}

#[tokio::test]
async fn a_probe_is_answered_and_answered_again_after_a_reconnect() {
    let mut control = FakeControl::start().await;
    let mut agent = member(&control).await;
    let probe = DesiredProbe::new("probe-1".to_owned(), &no_source(), false);
    control.desire("one", 1, Vec::new(), vec![probe]).await;
    let find = |all: &[FromAgent]| {
        all.iter().find_map(|message| match message {
            FromAgent::Probed(answer) => Some(answer.clone()),
            _ => None,
        })
    };
    let answer = control.until("the answer", find).await;
    assert_eq!(answer.probe_id, "probe-1");
    let failure = answer.result().unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidConfiguration);
    assert!(failure.detail.contains("correct the location"), "{failure}");
    control.stop().await;
    control.forget_received();
    control.come_back().await;
    control.until("the same answer", find).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_deleted_agent_becomes_activatable_with_another_key_pair() {
    let control = FakeControl::start().await;
    let mut agent = member(&control).await;
    let (spec, desired) = doomed(1);
    control.desire("one", 1, vec![desired], Vec::new()).await;
    control.until("the end", |all| ended(all, &spec)).await;
    let first_request = control.requests().pop().unwrap();
    control.say(ToAgent::Deactivate(Deactivate {})).await;
    agent.activation_address().await;
    assert!(!agent.state_dir().join("identity/certificate.pem").exists());
    let mut left = std::fs::read_dir(agent.state_dir().join("executions")).unwrap();
    assert!(left.next().is_none());
    agent.activate(&control).await;
    control.until_sessions(2).await;
    let requests = control.requests();
    assert!(requests.iter().any(|request| *request != first_request));
    agent.stop().await;
}

#[tokio::test]
async fn messages_of_a_newer_control_are_tolerated() {
    let control = FakeControl::start().await;
    let mut agent = member(&control).await;
    control.say(ToAgent::HeartbeatAck(Default::default())).await;
    control.say(ToAgent::Desired(Default::default())).await;
    control.say_nothing().await;
    control.desire("one", 3, Vec::new(), Vec::new()).await;
    control
        .until("generation 3", |all| {
            applied(all).contains(&("one".to_owned(), 3)).then_some(())
        })
        .await;
    assert_eq!(control.sessions(), 1);
    agent.stop().await;
}

fn log_parts(received: &[FromAgent]) -> Vec<LogLines> {
    let parts = received.iter().filter_map(|message| match message {
        FromAgent::Log(part) => Some(part.clone()),
        _ => None,
    });
    parts.collect()
}

#[tokio::test]
async fn the_log_of_an_execution_is_sent_until_control_has_it() {
    let mut control = FakeControl::start().await;
    let agent = member(&control).await;
    let (mut spec, _) = doomed(7);
    spec.options.log_level = LogLevel::Basic;
    let desired = DesiredExecution::new(&spec, spec.options.bytes_per_second, false);
    control.desire("one", 1, vec![desired], Vec::new()).await;
    let whole = |all: &[FromAgent]| {
        let ends = |part: &LogLines| part.lines.iter().any(|line| line.text.contains("finished"));
        log_parts(all).into_iter().find(ends)
    };
    let part = control.until("the log's end", whole).await;
    assert_eq!(part.execution_arn, spec.execution.to_string());
    let last = part.lines.last().unwrap();
    assert_eq!(last.severity, "ERROR");
    assert!(last.text.contains("with status Error"), "{last:?}");
    // It was not answered, and the execution is forgotten meanwhile.
    control.desire("one", 2, Vec::new(), Vec::new()).await;
    control.forget_received();
    control.stop().await;
    control.come_back().await;
    control.until_sessions(2).await;
    let again = control
        .until("the same lines", |all| log_parts(all).pop())
        .await;
    assert_eq!(again.log_id, part.log_id);
    let next = again.first + again.lines.len() as u64;
    let kept = LogKept {
        log_id: again.log_id,
        next,
    };
    control.say(ToAgent::LogKept(kept)).await;
    let logs = agent.state_dir().join("logs");
    let gone = async {
        while std::fs::read_dir(&logs).unwrap().count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::agent::PATIENCE, gone)
        .await
        .expect("what control has is removed");
}
