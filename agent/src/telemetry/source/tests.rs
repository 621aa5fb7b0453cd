use std::path::Path;

use datasync_transfer::ServerLimits;

use super::*;
use crate::config::{NfsSettings, PrivilegedPorts, S3Settings};
use crate::executions::launching;
use crate::local::Watched;

struct World {
    source: AgentSource,
    vitals: Arc<Vitals>,
    phase: watch::Sender<Phase>,
    session: watch::Sender<SessionState>,
    certificate_end: watch::Sender<Option<u64>>,
    watched: Watched,
    tally: Tally,
}

fn world(state_dir: &Path) -> World {
    let nfs = NfsSettings {
        connections: 4,
        mount_port: None,
        privileged_ports: PrivilegedPorts::Never,
        owners: crate::config::SharedOwners::default(),
        limits: ServerLimits::default(),
    };
    let (phase, session) = (
        watch::Sender::new(Phase::Starting),
        watch::Sender::new(SessionState::None),
    );
    let (vitals, watched, tally) = (
        Arc::<Vitals>::default(),
        Watched::default(),
        Tally::default(),
    );
    let certificate_end = watch::Sender::new(None);
    let sources = Sources {
        vitals: Arc::clone(&vitals),
        board: Board {
            phase: phase.subscribe(),
            session: session.subscribe(),
            executions: watched.clone(),
            update: watch::channel(crate::updates::UpdateTold::default()).1,
        },
        tally: tally.clone(),
        servers: Servers::new(&nfs, &S3Settings::default()),
        certificate_end: certificate_end.subscribe(),
        state_dir: state_dir.to_owned(),
        memory_target_bytes: 64 << 20,
        executions_max: 2,
        bytes_per_second: BytesPerSecond::try_from(1000).unwrap(),
    };
    World {
        source: AgentSource::new(sources, UNIX_EPOCH),
        vitals,
        phase,
        session,
        certificate_end,
        watched,
        tally,
    }
}

const EXECUTION: &str = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcdef0";

#[tokio::test]
async fn the_page_tells_what_the_agent_is_and_does() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let idle = world.source.metrics().await.render();
    for line in [
        "datasync_agent_connected 0",
        "datasync_agent_activated 0",
        "datasync_agent_executions{status=\"TRANSFERRING\"} 0",
        "datasync_agent_items_transferred_total 0",
        "datasync_agent_limit_bytes_per_second 1000",
        "datasync_agent_memory_target_bytes 67108864",
        "# TYPE datasync_agent_certificate_expiry_timestamp_seconds gauge",
    ] {
        assert!(idle.lines().any(|found| found == line), "{line}\n{idle}");
    }
    let arn = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";
    let arn = arn.parse().unwrap();
    world.phase.send_replace(Phase::Active { arn });
    world.certificate_end.send_replace(Some(1_800_000_000));
    let mut report = launching(EXECUTION.parse().unwrap());
    report.status = ExecutionStatus::Transferring;
    report.counters.transferred = 3;
    report.counters.bytes_transferred = 5000;
    report.telemetry.bytes_per_second = 700;
    report.telemetry.source_requests = [("READ", 9)].into_iter().collect();
    report.telemetry.destination_requests = [("PutObject", 4)].into_iter().collect();
    let reports = watch::Sender::new(report.clone());
    world.watched.add(reports.subscribe());
    let mut account = world.tally.open("exec", false);
    account.limited_by(watch::Sender::new(BytesPerSecond::try_from(900).unwrap()).subscribe());
    account.observe(&report);
    let busy = world.source.metrics().await.render();
    for line in [
        "datasync_agent_activated 1",
        "datasync_agent_certificate_expiry_timestamp_seconds 1800000000",
        "datasync_agent_executions{status=\"TRANSFERRING\"} 1",
        "datasync_agent_items_transferred_total 3",
        "datasync_agent_sent_bytes_total 5000",
        "datasync_agent_nfs_requests_total{kind=\"READ\"} 9",
        "datasync_agent_s3_requests_total{kind=\"PutObject\"} 4",
        "datasync_agent_rate_bytes_per_second 700",
        "datasync_agent_limit_bytes_per_second 900",
    ] {
        assert!(busy.lines().any(|found| found == line), "{line}\n{busy}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_with_a_session_and_a_disk_and_lives_by_its_loops() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let missing = world.source.ready().await.unwrap_err();
    assert_eq!(missing, ["no session with control yet"]);
    world.session.send_replace(SessionState::Open {
        control: "control:9443".to_owned(),
        ahead_seconds: 0,
    });
    assert_eq!(world.source.ready().await, Ok(()));
    world.session.send_replace(SessionState::Lost {
        reason: "refused".to_owned(),
    });
    let missing = world.source.ready().await.unwrap_err();
    assert_eq!(missing, ["no session with control: refused"]);
    assert_eq!(world.source.live(), Ok(()));
    let second = std::time::Duration::from_secs(1);
    world.vitals.pulses.beat("session with control", second);
    tokio::time::sleep(3 * second).await;
    assert!(world.source.live().is_err());
}
