//! Parts larger than the memory budget are read while they are sent.

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{ErrorKind, Integrity};
use datasync_model::ErrorCode;

use crate::world::{INTEGRITIES, MIB, World, bytes};

const READ_MAX: u32 = 64 << 10;

/// Three parts of 14 MiB at most, in 5 MiB of memory for data.
fn world(integrity: Integrity) -> World {
    let tree = Tree::new()
        .file("large", bytes(1, 41 * MIB + 1))
        .file("small", "fine");
    let destination = MemoryDestination::new().with_abilities(|a| {
        a.integrity = integrity;
        a.parts_max = 3;
    });
    let source = MemorySource::new(tree).with_read_max(READ_MAX);
    let mut world = World::of(source, destination);
    world.settings.memory_target_bytes = 10 * MIB;
    world
}

#[tokio::test(start_paused = true)]
async fn files_much_larger_than_memory_arrive() {
    for integrity in INTEGRITIES {
        let world = world(integrity);
        world.run_well().await;
        assert_eq!(world.destination.script().count(Operation::UploadPart), 3);
        let held = world.destination.held_max();
        assert!(held <= 3 * u64::from(READ_MAX), "{held} bytes at once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_damaged_or_cut_off_is_read_again() {
    let world = world(Integrity::Crc64);
    let script = world.destination.script();
    script.add(Fault::new(Operation::UploadPart, Action::Flip).times(1));
    let lost = Action::LoseReply(ErrorKind::Timeout);
    script.add(Fault::new(Operation::UploadPart, lost).after(1).times(1));
    world.run_well().await;
    assert!(world.destination.script().count(Operation::UploadPart) >= 4);
    let reads = world.source.script().count_at(Operation::Read, "/large");
    assert!(reads as u64 > 42 * MIB / u64::from(READ_MAX), "{reads}");
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_middle_of_a_part_begins_the_file_anew() {
    let world = world(Integrity::Crc64);
    let change = Action::change(|tree| tree.write("large", bytes(2, 41 * MIB + 1)));
    let fault = Fault::new(Operation::Read, change).at("/large");
    world.at_source(fault.after(50).times(1));
    world.run_well().await;
    assert_eq!(world.destination.script().count(Operation::CreateUpload), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_the_source_s_failure() {
    let world = world(Integrity::Crc64);
    let denied = Action::Fail(ErrorKind::PermissionDenied);
    let fault = Fault::new(Operation::Read, denied).at("/large").after(50);
    world.at_source(fault);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert!(run.detail().contains("/large"), "{}", run.detail());
    assert_eq!(run.failures()[0], "/large failed SourcePermissionDenied");
    assert_eq!(world.destination.open_upload_keys(), []);
    assert_eq!(world.object("large"), None);
}
