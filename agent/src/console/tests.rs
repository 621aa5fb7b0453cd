//! Screens against golden files, and the console's ways from one state to the next.

mod frames;
mod moves;

use datasync_model::{
    Bottleneck, ExecutionReport, ExecutionStatus, PhaseStatus, TimeLeft, UpdateState,
};

use super::app::{Agent, App, Place};
use crate::appliance::ControlSettings;
use crate::executions::launching;
use crate::local::{SessionState, Snapshot};
use crate::supervisor::Phase;
use crate::updates::UpdateTold;

const AGENT: &str = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";
const EXECUTION: &str = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0fedcba9876543210";

fn place(is_appliance: bool) -> Place {
    Place {
        name: "backup-vm".to_owned(),
        control: ControlSettings {
            address: "control.example:9443".to_owned(),
            fingerprint: "AB:".repeat(31) + "AB",
        },
        is_appliance,
        faults: None,
        support_directory: "/var/lib/datasync-agent/support".to_owned(),
        is_ascii: true,
    }
}

fn app(is_appliance: bool, has_password: bool, size: (u16, u16)) -> App {
    App::new(place(is_appliance), has_password, size)
}

fn running() -> ExecutionReport {
    let mut report = launching(EXECUTION.parse().unwrap());
    report.status = ExecutionStatus::Transferring;
    report.result.prepare_status = PhaseStatus::Success;
    report.counters.discovered = 20;
    report.counters.unchanged = 12;
    report.counters.to_transfer = 8;
    report.counters.transferred = 3;
    report.counters.bytes_to_transfer = 8 << 20;
    report.counters.bytes_written = 3 << 20;
    report.counters.failed = 1;
    report.telemetry.bytes_per_second = 2 << 20;
    report.telemetry.items_per_second = 40;
    report.telemetry.time_left = Some(TimeLeft {
        low_ms: 4_000,
        likely_ms: 5_000,
        high_ms: Some(9_000),
    });
    report.telemetry.bottleneck = Some(Bottleneck::UploadLatency);
    report
}

fn online(executions: Vec<ExecutionReport>) -> Agent {
    let phase = Phase::Active {
        arn: AGENT.parse().unwrap(),
    };
    let session = SessionState::Open {
        control: "control.example:9443".to_owned(),
        ahead_seconds: 3,
    };
    let mut snapshot = Snapshot::new(phase, session, executions);
    snapshot.version = "0.1.0".to_owned();
    Agent::Up(Box::new(snapshot))
}

/// One whose update was taken back.
fn taken_back() -> Agent {
    let Agent::Up(mut snapshot) = online(Vec::new()) else {
        unreachable!("it is up");
    };
    snapshot.update = UpdateTold {
        state: UpdateState::RolledBack,
        version: Some("0.2.0".parse().unwrap()),
        request: None,
        detail: Some("it did not reach control within 600 s".to_owned()),
    };
    Agent::Up(snapshot)
}

fn waiting() -> Agent {
    let phase = Phase::AwaitingActivation {
        address: "0.0.0.0:80".parse().unwrap(),
    };
    let mut snapshot = Snapshot::new(phase, SessionState::None, Vec::new());
    snapshot.version = "0.1.0".to_owned();
    Agent::Up(Box::new(snapshot))
}

fn down() -> Agent {
    Agent::Down("no agent runs on state directory /var/lib/datasync-agent".to_owned())
}
