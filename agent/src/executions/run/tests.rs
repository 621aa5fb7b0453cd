use std::future::pending;

use clap::Parser;
use datasync_model::{BytesPerSecond, S3Location, StorageClass};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::copy::{CopyFlags, CopyRequest};
use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::DestinationLocation;
use crate::executions::tests::spec;
use crate::executions::{Turn, launching};
use crate::lease::LeaseHolder;
use crate::lease::tests::{give, tokio_time};

const MOMENT: Duration = Duration::from_millis(1);

pub(in crate::executions) fn assignment(directory: &TempDir) -> Assignment {
    let spec = spec(1);
    Assignment {
        directory: directory.path().to_owned(),
        cancel: CancellationToken::new(),
        give_up: CancellationToken::new(),
        stop: CancellationToken::new(),
        released: CancellationToken::new(),
        leased: true,
        rate: watch::Sender::new(BytesPerSecond::UNLIMITED).subscribe(),
        reports: watch::Sender::new(launching(spec.execution.clone())),
        turn: Turn::default(),
        spec: Arc::new(spec),
    }
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    copy: CopyFlags,
}

fn request() -> CopyRequest {
    let line = "copy nfs://nas/export s3://bucket/prefix --endpoint-url http://store:9000 \
                --state-dir /state";
    CopyRequest::new(&Line::parse_from(line.split_whitespace()).copy, []).unwrap()
}

fn store() -> S3Location {
    S3Location {
        arn: spec(1).destination.arn().clone(),
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        region: None,
        endpoint: Some("http://store:9000".to_owned()),
        server_certificate: None,
        storage_class: StorageClass::Standard,
    }
}

fn runner(holder: &LeaseHolder) -> Runner {
    let process = request().process;
    let endpoints = Endpoints::new(&process, CredentialStore::new(Giver::Control));
    let limits = Limits::shared_by(1, &process, None);
    let lease = Some(holder.lease());
    Runner::new(endpoints, limits, lease, PathBuf::new(), PathBuf::new())
}

fn owed_aborts(assignment: &Assignment) -> PathBuf {
    assignment.directory.join("owed-aborts")
}

/// How a preparation that never ends is cut; `None` if it is not.
async fn cut(assignment: &Assignment) -> Option<String> {
    let owed = owed_aborts(assignment);
    let preparation = interruptible(assignment, &owed, pending::<Result<(), Failure>>());
    match tokio::time::timeout(MOMENT, preparation).await {
        Err(_) => None,
        Ok(Err(Halt::Failed(failure))) => Some(failure.to_string()),
        Ok(_) => panic!("it never ends"),
    }
}

#[test]
fn a_run_that_comes_back_has_the_reason_that_it_has() {
    let stopped = |is_stopped, has_expired| halt(Interrupted::Stopped, is_stopped, has_expired);
    assert!(matches!(stopped(true, false), Halt::Stopped));
    assert!(matches!(stopped(true, true), Halt::Stopped));
    assert!(matches!(stopped(false, true), Halt::Expired));
    assert!(matches!(stopped(false, false), Halt::LeaseOver));
    let full = || Interrupted::LocalState(Failure::new(ErrorCode::LocalStateFault, "no space"));
    assert!(matches!(halt(full(), false, false), Halt::LocalState(_)));
    assert!(matches!(halt(full(), true, false), Halt::Stopped));
}

#[tokio::test(start_paused = true)]
async fn opening_a_destination_that_a_stop_cuts_is_not_told_as_a_lost_control() {
    let directory = tempfile::tempdir().unwrap();
    let assignment = assignment(&directory);
    let holder = LeaseHolder::new(tokio_time);
    give(&holder, Duration::from_secs(60));
    let runner = runner(&holder);
    let fence = runner.fence(&assignment).await;
    assignment.stop.cancel();
    let store = store();
    let to = DestinationLocation::S3(&store);
    let opened = runner.open_destination(&assignment, to, &fence).await;
    assert!(matches!(opened, Err(Halt::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_cuts_what_has_not_begun_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let assignment = assignment(&directory);
    assert_eq!(cut(&assignment).await, None);
    assignment.cancel.cancel();
    let failure = cut(&assignment).await.unwrap();
    assert!(failure.contains("before the transfer began"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn all_preparations_of_a_cleaning_up_have_one_deadline() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("journal"), b"damaged").unwrap();
    let assignment = assignment(&directory);
    assignment.cancel.cancel();
    assert_eq!(cut(&assignment).await, None);
    assignment.give_up.cancel();
    for _ in 0..3 {
        let failure = cut(&assignment).await.unwrap();
        assert!(failure.contains("may still be open"), "{failure}");
    }
    let owed = owed_aborts(&assignment);
    let no_room = Failure::new(ErrorCode::LocalStateFault, "no space");
    let paused = pause_for_room(&assignment, &owed, no_room);
    let paused = tokio::time::timeout(MOMENT, paused).await.unwrap();
    assert!(matches!(paused, Err(Halt::Failed(_))));
}
