//! Rows for the tests of fleet and scheduler.

use datasync_model::{
    AgentArn, EfsLocation, Excludes, ExecutionSpec, ExecutionStatus, Includes, Location, Manifest,
    NfsLocation, NfsVersion, Options, Pair, Partition, S3Location, StorageClass, TaskArn,
    TaskExecutionArn, TaskMode, TaskStatus, Tenure, UniqueId,
};
use jiff::Timestamp;

use super::views::{AgentView, LiveExecution, Revision, Side, Snapshot, TaskView};
use crate::records::{AgentPresence, Eligible, Execution, Readiness, Tags, Task};

pub(crate) const MANIFEST_ROLE: &str = "arn:aws:iam::000000000000:role/manifest";

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn agent(number: u8) -> AgentArn {
    format!("arn:aws:datasync:us-east-1:000000000000:agent/agent-{number:017}")
        .parse()
        .unwrap()
}

/// The row of an agent that was heard of at the epoch.
pub(crate) fn presence(number: u8) -> AgentPresence {
    AgentPresence {
        arn: agent(number),
        reported: datasync_model::AgentStatus::Online,
        last_contact_ms: 0,
        version: "1".to_owned(),
        boot_nonce: "boot".to_owned(),
        abilities: Vec::new(),
        host: None,
        replica: String::new(),
        lease_ms: 0,
        losers: Vec::new(),
        certificate: None,
        clone_seen_ms: None,
    }
}

pub(crate) fn snapshot(agents: u8) -> Snapshot {
    let views = (0..agents).map(|number| {
        let arn = agent(number);
        let view = AgentView {
            arn: arn.clone(),
            online: true,
            lost: false,
            gone: false,
            lease_ms: 0,
            last_connection: Some(at(0)),
            version: "1".to_owned(),
            boot_nonce: "boot".to_owned(),
            replica: "here".to_owned(),
            here: true,
            abilities: Vec::new(),
        };
        (arn.to_string(), view)
    });
    Snapshot {
        incarnation: "incarnation".to_owned(),
        generation: 1,
        agents: views.collect(),
        ..Snapshot::default()
    }
}

/// One that is not online was not heard of for long.
pub(crate) fn set_online(snapshot: &mut Snapshot, number: u8, online: bool) {
    let key = agent(number).to_string();
    let view = snapshot.agents.get_mut(&key).unwrap();
    (view.online, view.here, view.lost) = (online, online, !online);
}

/// Nothing was heard of it for longer than any lease.
pub(crate) fn set_gone(snapshot: &mut Snapshot, number: u8) {
    set_online(snapshot, number, false);
    let key = agent(number).to_string();
    snapshot.agents.get_mut(&key).unwrap().gone = true;
}

/// It said goodbye a moment ago.
pub(crate) fn set_left(snapshot: &mut Snapshot, number: u8) {
    let key = agent(number).to_string();
    let view = snapshot.agents.get_mut(&key).unwrap();
    (view.online, view.here, view.lost) = (false, false, false);
}

fn location_arn(number: u8) -> datasync_model::LocationArn {
    format!("arn:aws:datasync:us-east-1:000000000000:location/loc-0000000000000000{number}")
        .parse()
        .unwrap()
}

pub(crate) fn export() -> Location {
    Location::Nfs(NfsLocation {
        arn: location_arn(1),
        server_hostname: "nfs.example".to_owned(),
        subdirectory: "/export".to_owned(),
        version: NfsVersion::Automatic,
    })
}

pub(crate) fn bucket() -> Location {
    Location::S3(S3Location {
        arn: location_arn(2),
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        region: None,
        endpoint: None,
        server_certificate: None,
        storage_class: StorageClass::Standard,
    })
}

/// With or without a role.
pub(crate) fn file_system(signed: bool) -> Location {
    Location::Efs(EfsLocation {
        arn: location_arn(3),
        file_system_id: "fs-0123abcd".to_owned(),
        partition: Partition::Aws,
        region: "us-east-1".to_owned(),
        subdirectory: "/".to_owned(),
        access_point_id: None,
        encrypted: signed,
        signed,
    })
}

fn task_arn(number: u64) -> TaskArn {
    TaskArn::new(agent(0).home(), UniqueId::from_random(number.to_be_bytes()))
}

pub(crate) fn side(location: Location) -> Side {
    Side {
        location,
        revision: Revision::default(),
    }
}

pub(crate) fn task(number: u64) -> TaskView {
    TaskView {
        arn: task_arn(number),
        status: TaskStatus::Available,
        failure: None,
        created: at(0),
        eligible: vec![agent(0)],
        sides: Ok([side(export()), side(bucket())]),
    }
}

pub(crate) fn execution(task: u64, number: u64) -> LiveExecution {
    let arn = TaskExecutionArn::new(&task_arn(task), UniqueId::from_random(number.to_be_bytes()));
    let pair = Pair {
        object_to_object: false,
        storage_class: Some(StorageClass::Standard),
    };
    let options = Options::defaults(TaskMode::Basic, pair);
    LiveExecution {
        arn: arn.clone(),
        status: ExecutionStatus::Queued,
        agent: None,
        tenure: Tenure::default(),
        eligible: vec![agent(0)],
        requested: at(0),
        revisions: [Revision::default(); 2],
        role_keys: Default::default(),
        rate: options.bytes_per_second.into(),
        spec: ExecutionSpec {
            execution: arn,
            task_mode: TaskMode::Basic,
            source: export(),
            destination: bucket(),
            options,
            includes: Includes::default(),
            excludes: Excludes::default(),
            extensions: datasync_model::Extensions::default(),
        },
    }
}

/// The same execution with a manifest.
pub(crate) fn with_manifest(mut execution: LiveExecution) -> LiveExecution {
    let Location::S3(store) = bucket() else {
        panic!("the fixture writes to S3");
    };
    execution.spec.extensions.manifest = Some(Manifest {
        store: S3Location {
            arn: location_arn(3),
            ..store
        },
        role_arn: MANIFEST_ROLE.to_owned(),
        key: "list.csv".to_owned(),
        version_id: None,
    });
    execution.role_keys = [(MANIFEST_ROLE.to_owned(), 7)].into();
    execution
}

/// An execution as a row, not launched yet.
pub(crate) fn execution_row(task: u64, number: u64) -> Execution {
    let spec = execution(task, number).spec;
    Execution {
        rate: spec.options.bytes_per_second.into(),
        spec,
        status: ExecutionStatus::Queued,
        agent: None,
        tenure: Tenure::default(),
        earlier_agents: Vec::new(),
        eligible: Eligible::Any,
        requested_at_ms: 0,
        scheduled_for_ms: None,
        launched_at_ms: None,
        ended_at_ms: None,
        report: None,
        manifest: None,
        report_config: None,
        log_group_arn: None,
        tags: Tags::new(),
    }
}

pub(crate) fn task_row(number: u64, last_execution: Option<TaskExecutionArn>) -> Task {
    let spec = execution(number, 0).spec;
    Task {
        arn: task_arn(number),
        name: None,
        created_at_ms: 0,
        source: location_arn(1),
        destination: location_arn(2),
        mode: spec.task_mode,
        options: spec.options,
        includes: spec.includes,
        excludes: spec.excludes,
        log_group_arn: None,
        readiness: Readiness::Creating,
        unable: Vec::new(),
        last_execution,
        schedule: None,
        manifest: None,
        report: None,
        tags: Tags::new(),
    }
}
