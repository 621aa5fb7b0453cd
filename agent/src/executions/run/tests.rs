use std::future::pending;

use datasync_model::BytesPerSecond;
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::executions::launching;
use crate::executions::tests::spec;

const MOMENT: Duration = Duration::from_millis(1);

fn assignment(directory: &TempDir) -> Assignment {
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
        spec: Arc::new(spec),
    }
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
