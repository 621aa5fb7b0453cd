//! One bit flipped at each point between the NFS reply and the store's disk: for a file that goes out
//! in one request, one in parts and one that is read while it is sent; for every kind of store and
//! every verification.

use datasync_endpoint::Integrity;
use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_model::{ErrorCode, ExecutionStatus, VerifyMode};

use crate::world::{INTEGRITIES, KIB, MIB, Run, World, bytes, key, store};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneRequest,
    Parts,
    Streamed,
}

const FORMS: [Form; 3] = [Form::OneRequest, Form::Parts, Form::Streamed];

impl Form {
    /// The request that carries its bytes.
    fn operation(self) -> Operation {
        match self {
            Self::OneRequest => Operation::Put,
            Self::Parts | Self::Streamed => Operation::UploadPart,
        }
    }

    /// The request after which the store has its checksum of the whole.
    fn last_operation(self) -> Operation {
        match self {
            Self::OneRequest => Operation::Put,
            Self::Parts | Self::Streamed => Operation::CompleteUpload,
        }
    }

    /// A file of this form and one beside it that nothing happens to.
    fn world(self, integrity: Integrity, verify_mode: VerifyMode) -> World {
        let (size, memory_target) = match self {
            Self::OneRequest => (KIB, 64 * MIB),
            Self::Parts => (200 * KIB, 64 * MIB),
            // The whole file is one part, too large for a quarter of the budget.
            Self::Streamed => (200 * KIB, MIB),
        };
        let tree = Tree::new()
            .file("file", bytes(1, size))
            .file("other", "fine");
        let source = MemorySource::new(tree).with_read_max(4096);
        let mut world = World::of(source, store(integrity));
        world.settings.memory_target_bytes = memory_target;
        world.options().verify_mode = verify_mode;
        world
    }
}

/// Runs with a fault, for each form, kind of store and verification.
async fn each(
    fault: impl Fn(Form) -> Fault,
    check: impl Fn(Form, Integrity, VerifyMode, &World, &Run),
) {
    for form in FORMS {
        for integrity in INTEGRITIES {
            for verify_mode in VerifyMode::ALL {
                let world = form.world(integrity, *verify_mode);
                world.at_destination(fault(form));
                let run = world.run().await;
                check(form, integrity, *verify_mode, &world, &run);
            }
        }
    }
}

const FAILED: (&str, ErrorCode) = ("failed", ErrorCode::ChecksumMismatch);

/// The report names the file, and only it.
fn assert_named(run: &Run, (outcome, code): (&str, ErrorCode), case: &str) {
    assert_eq!(run.report.status, ExecutionStatus::Error, "{case}");
    let line = format!("/file {outcome} {code}");
    assert_eq!(run.failures(), [line], "{case}");
    assert!(
        run.detail().contains(&format!("/file ({code}")),
        "{case}: {}",
        run.detail()
    );
}

/// The object is right, and nobody need know.
fn assert_right(world: &World, run: &Run, case: &str) {
    assert_eq!(run.code(), None, "{case}: {:?}", run.failures());
    assert_eq!(world.differences(), Vec::<String>::new(), "{case}");
}

/// The transfer cannot know: its first checksum is of the bytes that came. Reading the source again
/// tells.
#[tokio::test(start_paused = true)]
async fn in_the_reply_of_the_nfs_server_the_end_check_finds_it() {
    for form in FORMS {
        for integrity in INTEGRITIES {
            for verify_mode in VerifyMode::ALL {
                let world = form.world(integrity, *verify_mode);
                world.at_source(
                    Fault::new(Operation::Read, Action::Flip)
                        .at("/file")
                        .times(1),
                );
                let run = world.run().await;
                let case = format!("{form:?} {integrity:?} {verify_mode}");
                if *verify_mode == VerifyMode::PointInTimeConsistent {
                    assert_named(&run, ("mismatched", ErrorCode::SourceInconsistent), &case);
                } else {
                    assert_eq!(run.code(), None, "{case}");
                }
            }
        }
    }
}

/// In our memory after the checksum was taken, on the way, and in the store before it takes its own:
/// another body than the checksum is of, always found.
#[tokio::test(start_paused = true)]
async fn on_the_way_it_is_found_each_time() {
    for action in [Action::FlipSent, Action::Flip] {
        let fault = |form: Form| Fault::new(form.operation(), action.clone()).at("file");
        each(fault, |form, integrity, verify_mode, world, run| {
            let case = format!("{action:?} {form:?} {integrity:?} {verify_mode}");
            assert_named(run, FAILED, &case);
            assert!(world.object("file").is_none(), "{case}");
        })
        .await;
    }
}

/// A store that checks refuses it; what reading back tells of is deleted. Both are sent again.
#[tokio::test(start_paused = true)]
async fn on_the_way_once_it_is_sent_again() {
    for action in [Action::FlipSent, Action::Flip] {
        let fault = |form: Form| {
            Fault::new(form.operation(), action.clone())
                .at("file")
                .times(1)
        };
        each(fault, |form, integrity, verify_mode, world, run| {
            let case = format!("{action:?} {form:?} {integrity:?} {verify_mode}");
            // What left our own memory otherwise was accepted as what it was.
            if form == Form::Streamed && matches!(action, Action::FlipSent) {
                assert_named(run, FAILED, &case);
            } else {
                assert_right(world, run, &case);
            }
        })
        .await;
    }
}

/// On the store's disk after its checksum: reading back finds it, at once where nothing else proves the
/// write, else in the end check. A store with a checksum of its own is believed: only reading an object
/// shows that it is not what its checksum says.
#[tokio::test(start_paused = true)]
async fn on_the_disk_of_the_store_reading_back_finds_it() {
    let fault = |form: Form| Fault::new(form.last_operation(), Action::FlipStored).at("file");
    each(fault, |form, integrity, verify_mode, world, run| {
        let case = format!("{form:?} {integrity:?} {verify_mode}");
        match (integrity, verify_mode) {
            (Integrity::ReadBack, _) => assert_named(run, FAILED, &case),
            (Integrity::Md5, VerifyMode::PointInTimeConsistent) => {
                assert_named(run, ("mismatched", ErrorCode::DestinationDamaged), &case);
            }
            (Integrity::Md5 | Integrity::Crc64 | Integrity::Checksum(_), _) => {
                assert_eq!(run.code(), None, "{case}");
                let stored = world.object("file").unwrap();
                assert_ne!(
                    stored.content,
                    world.expected()[&key("file")].content,
                    "{case}"
                );
            }
        }
    })
    .await;
}

/// In the store's part, before it takes the checksum of the whole: its own word tells.
#[tokio::test(start_paused = true)]
async fn in_a_part_at_the_store_the_end_check_finds_it() {
    for form in [Form::Parts, Form::Streamed] {
        for integrity in [Integrity::Crc64, Integrity::Md5] {
            let world = form.world(integrity, VerifyMode::PointInTimeConsistent);
            world.at_destination(Fault::new(Operation::UploadPart, Action::FlipStored).at("file"));
            assert_named(
                &world.run().await,
                ("mismatched", ErrorCode::DestinationDamaged),
                &format!("{form:?} {integrity:?}"),
            );
        }
    }
}

/// What was found once is not taken for good later.
#[tokio::test(start_paused = true)]
async fn a_file_whose_object_was_damaged_is_written_by_the_next_execution() {
    for verify_mode in VerifyMode::ALL {
        for form in FORMS {
            let world = form.world(Integrity::ReadBack, *verify_mode);
            world.at_destination(Fault::new(form.operation(), Action::Flip).at("file"));
            let first = world.run().await;
            assert_named(&first, FAILED, verify_mode.as_str());
            world.destination.script().clear();
            assert_right(&world, &world.run().await, verify_mode.as_str());
        }
    }
}
