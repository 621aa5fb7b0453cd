//! Errors of source and destination: retried, reported by name, or the end of the run.

use std::num::NonZeroU64;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind};
use datasync_model::{ErrorCode, OverwriteMode, PhaseStatus, VerifyMode};

use crate::world::{INTEGRITIES, KIB, MIB, World, bytes, store};

fn tree() -> Tree {
    tree_with(9 * MIB)
}

/// `d/large` is so large.
fn tree_with(large: u64) -> Tree {
    Tree::new()
        .file("d/file", "content")
        .file("d/large", bytes(1, large))
        .file("other", "fine")
        .symlink("link", "other")
}

const SOURCE_CALLS: [Operation; 6] = [
    Operation::Root,
    Operation::ReadDir,
    Operation::Lookup,
    Operation::Attributes,
    Operation::Read,
    Operation::ReadLink,
];
const DESTINATION_CALLS: [Operation; 13] = [
    Operation::List,
    Operation::Stat,
    Operation::Put,
    Operation::CreateUpload,
    Operation::UploadPart,
    Operation::CompleteUpload,
    Operation::AbortUpload,
    Operation::OpenUploads,
    Operation::ListParts,
    Operation::SetMetadata,
    Operation::ReadBack,
    Operation::DeleteBatch,
    Operation::Delete,
];
const TRANSIENT: [ErrorKind; 4] = [
    ErrorKind::Busy,
    ErrorKind::Timeout,
    ErrorKind::Unreachable,
    ErrorKind::ServerFault,
];

#[tokio::test(start_paused = true)]
async fn transient_errors_of_every_call_are_retried() {
    for kind in TRANSIENT {
        let world = World::new(tree());
        for operation in SOURCE_CALLS {
            world.at_source(Fault::new(operation, Action::Fail(kind)).times(3));
        }
        for operation in DESTINATION_CALLS {
            world.at_destination(Fault::new(operation, Action::Fail(kind)).times(3));
        }
        world.run_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_replies_of_every_call_leave_nothing_behind() {
    for integrity in INTEGRITIES {
        for mode in OverwriteMode::ALL {
            for operation in DESTINATION_CALLS {
                let tree = tree_with(2 * KIB);
                let mut world = World::of(MemorySource::new(tree), store(integrity));
                world.options().overwrite_mode = *mode;
                let lost = Action::LoseReply(ErrorKind::Timeout);
                world.at_destination(Fault::new(operation, lost).times(2));
                let run = world.run_well().await;
                let counters = run.report.counters;
                let found = (counters.transferred, counters.skipped);
                assert_eq!(found, (6, 0), "{mode} {integrity:?} {operation:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_file_is_reported_and_the_rest_is_copied() {
    for (operation, path) in [
        (Operation::Read, "/d/file"),
        (Operation::Read, "/d/large"),
        (Operation::ReadLink, "/link"),
        (Operation::Attributes, "/d/large"),
    ] {
        let mut world = World::new(tree());
        world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
        let refuse = Fault::new(operation, Action::Fail(ErrorKind::PermissionDenied)).at(path);
        world.at_source(refuse);
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
        assert_eq!(run.report.counters.failed, 1);
        let list = run.directory.join("failures.jsonl").display().to_string();
        for part in [
            "except for 1 of 6 items",
            path,
            "SourcePermissionDenied",
            &list,
        ] {
            assert!(run.detail().contains(part), "{part}: {}", run.detail());
        }
        assert_eq!(
            run.failures(),
            [format!("{path} failed SourcePermissionDenied")]
        );
        assert_eq!(
            world.differences(),
            [format!("Key({:?}) is missing", &path[1..])]
        );
        assert_eq!(world.destination.open_upload_keys(), Vec::new());
        world.source.script().clear();
        world.run_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stale_handles_are_looked_up_again() {
    for operation in [Operation::Read, Operation::Attributes, Operation::ReadLink] {
        let world = World::new(tree());
        let stale = Fault::new(operation, Action::Fail(ErrorKind::Stale)).times(1);
        world.at_source(stale);
        world.run_well().await;
        assert!(
            world.source.script().count(Operation::Lookup) > 0,
            "{operation:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_changes_under_the_cursor_is_read_again() {
    for kind in [ErrorKind::BadCookie, ErrorKind::Stale] {
        let mut wide = Tree::new();
        for number in 0..20 {
            wide.add(format!("d/{number}"), EntryKind::File, "x");
        }
        let source = MemorySource::new(wide).with_page(6);
        source.script().add(
            Fault::new(Operation::ReadDir, Action::Fail(kind))
                .at("/d")
                .after(2)
                .times(1),
        );
        World::of(source, MemoryDestination::new()).run_well().await;
    }
}

/// A run in which one call fails for ever ends with this code.
async fn ends_with(add: fn(&World, Fault), operation: Operation, kind: ErrorKind, code: ErrorCode) {
    let world = World::new(tree());
    add(&world, Fault::new(operation, Action::Fail(kind)));
    let run = world.run().await;
    let found = run.code();
    assert_eq!(
        found,
        Some(code),
        "{operation:?} {kind:?}: {}",
        run.detail()
    );
    assert_eq!(world.destination.open_upload_keys(), Vec::new());
    assert_ne!(run.report.result.transfer_status, PhaseStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_gone_ends_the_run_with_its_code() {
    use ErrorKind::{ContainerNotFound, Unreachable};
    use Operation::{Read, ReadDir, Root};
    for (operation, kind, code) in [
        (Root, Unreachable, ErrorCode::SourceUnreachable),
        (Root, ContainerNotFound, ErrorCode::SourcePathNotFound),
        (ReadDir, Unreachable, ErrorCode::SourceUnreachable),
        (Read, Unreachable, ErrorCode::SourceUnreachable),
    ] {
        ends_with(World::at_source, operation, kind, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_ends_the_run_with_its_code() {
    use ErrorKind::{ContainerNotFound, Credentials, NoSpace, Unreachable};
    use Operation::{List, Put, UploadPart};
    for (operation, kind, code) in [
        (List, ContainerNotFound, ErrorCode::BucketNotFound),
        (Put, Unreachable, ErrorCode::DestinationUnreachable),
        (Put, Credentials, ErrorCode::CredentialsUnavailable),
        (UploadPart, NoSpace, ErrorCode::DestinationFault),
    ] {
        ends_with(World::at_destination, operation, kind, code).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_listing_ends_the_run() {
    let world = World::new(tree());
    let refuse = Fault::new(Operation::List, Action::Fail(ErrorKind::PermissionDenied));
    world.at_destination(refuse);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DestinationPermissionDenied));
    assert!(world.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_item_and_nothing_else() {
    for (operation, path) in [
        (Operation::Read, "/d/file"),
        (Operation::Read, "/d/large"),
        (Operation::ReadLink, "/link"),
    ] {
        let world = World::new(tree());
        world.at_source(Fault::new(operation, Action::Panic).at(path));
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
        assert!(
            run.failures().contains(&format!("{path} failed Internal")),
            "{:?}",
            run.failures()
        );
        assert_eq!(
            world.differences(),
            [format!("Key({:?}) is missing", &path[1..])]
        );
        assert_eq!(world.destination.open_upload_keys(), Vec::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_walk_or_the_listing_ends_the_run() {
    let world = World::new(tree());
    world.at_source(Fault::new(Operation::ReadDir, Action::Panic).at("/d"));
    assert_eq!(world.run().await.code(), Some(ErrorCode::Internal));
    let world = World::new(tree());
    world.at_destination(Fault::new(Operation::List, Action::Panic));
    assert_eq!(world.run().await.code(), Some(ErrorCode::Internal));
}

#[tokio::test(start_paused = true)]
async fn slow_servers_only_take_longer() {
    let world = World::new(tree());
    let slow = || Action::Delay(Duration::from_millis(300));
    for operation in SOURCE_CALLS {
        world.at_source(Fault::new(operation, slow()));
    }
    for operation in DESTINATION_CALLS {
        world.at_destination(Fault::new(operation, slow()));
    }
    let run = world.run_well().await;
    assert!(run.report.result.total_duration_ms > 1_000);
}

#[tokio::test(start_paused = true)]
async fn an_execution_ends_when_too_many_items_have_failed() {
    let mut tree = Tree::new();
    for number in 0..1000u64 {
        tree.add(format!("f{number:04}"), EntryKind::File, bytes(number, 10));
    }
    let mut world = World::new(tree);
    let refused = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::Read, refused).after(100));
    world.settings.failures_max = NonZeroU64::new(50);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::TooManyFailures));
    assert_eq!(run.report.counters.failed, 50);
    assert_eq!(run.failures().len(), 50);
    assert!(run.detail().contains("50 items"), "{}", run.detail());
    // Without a limit it goes on.
    world.source.script().clear();
    world.at_source(Fault::new(
        Operation::Read,
        Action::Fail(ErrorKind::PermissionDenied),
    ));
    world.settings.failures_max = None;
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(run.report.counters.failed, 900);
}
