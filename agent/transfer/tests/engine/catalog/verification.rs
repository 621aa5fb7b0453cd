//! POINT_IN_TIME_CONSISTENT with a catalog.

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, Operation};
use datasync_endpoint::{Crc64, Integrity};
use datasync_model::VerifyMode;

use super::{OBJECTS, edit, requests, world, world_of};
use crate::world::bytes;

#[tokio::test(start_paused = true)]
async fn verification_reads_again_only_what_it_has_not_verified_before() {
    let mut world = world();
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    let first = world.run_well().await;
    assert_eq!(first.report.counters.verified, OBJECTS as u64);
    let reads_of = |path| world.source.script().count_at(Operation::Read, path);
    assert_eq!(reads_of("/d1/1"), 2, "to copy it, and to verify it");
    world.source.script().forget_calls();
    assert_eq!(requests(&world).await, (0, 2, 0));
    assert_eq!(world.source.script().count(Operation::Read), 0);
    world.source.edit(|tree| tree.write("d1/1", bytes(9, 500)));
    let third = world.run_well().await;
    assert_eq!(third.report.counters.verified, OBJECTS as u64);
    assert_eq!((reads_of("/d1/1"), reads_of("/d2/2")), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_only_compared_by_its_metadata_is_read_and_then_proven() {
    let mut world = world();
    world.options().verify_mode = VerifyMode::None;
    let file = world.settings.catalog_file.take();
    world.run_well().await;
    edit(&world, "d1/1", |stored| {
        stored.content = bytes(77, 500).into();
        stored.crc64 = Some(Crc64::of(&stored.content));
    });
    world.settings.catalog_file = file;
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    for _ in 0..2 {
        let run = world.run().await;
        assert_eq!(run.report.counters.mismatched, 1);
        assert_eq!(run.report.counters.verified, OBJECTS as u64 - 1);
    }
    // Only what did not match is still asked about, by the comparison and by the verification.
    world.source.script().forget_calls();
    world.destination.script().forget_calls();
    world.run().await;
    assert_eq!(world.destination.script().count(Operation::Stat), 2);
    let script = world.source.script();
    assert_eq!(
        script.count(Operation::Read),
        script.count_at(Operation::Read, "/d1/1")
    );
}

#[tokio::test(start_paused = true)]
async fn without_checksums_of_the_store_verification_reads_both_sides() {
    for integrity in [Integrity::Md5, Integrity::ReadBack] {
        let destination = MemoryDestination::new();
        let mut world = world_of(destination.with_abilities(|a| a.integrity = integrity));
        world.options().verify_mode = VerifyMode::PointInTimeConsistent;
        world.run_well().await;
        world.source.script().forget_calls();
        assert_eq!(requests(&world).await.0, OBJECTS);
        let script = world.destination.script();
        assert_eq!(script.count(Operation::ReadBack), OBJECTS);
        assert_eq!(world.source.script().count_at(Operation::Read, "/d1/1"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn deep_verification_reads_what_was_proven_before_too() {
    for integrity in [Integrity::Crc64, Integrity::Md5] {
        let destination = MemoryDestination::new();
        let mut world = world_of(destination.with_abilities(|a| a.integrity = integrity));
        world.options().verify_mode = VerifyMode::PointInTimeConsistent;
        world.run_well().await;
        world.source.script().forget_calls();
        world.destination.script().forget_calls();
        world.spec.extensions.verify_deep = true;
        let run = world.run_well().await;
        assert_eq!(run.report.counters.verified, OBJECTS as u64);
        assert_eq!(world.source.script().count_at(Operation::Read, "/d1/1"), 1);
        let read_back = world.destination.script().count(Operation::ReadBack);
        assert_eq!(read_back, OBJECTS);
    }
}

/// Damage that changes neither a file's ctime nor an object's date.
#[tokio::test(start_paused = true)]
async fn deep_verification_says_which_side_rotted() {
    for (at_source, code) in [(true, "SourceInconsistent"), (false, "DestinationDamaged")] {
        let mut world = world();
        world.options().verify_mode = VerifyMode::PointInTimeConsistent;
        world.run_well().await;
        if at_source {
            let flip = Fault::new(Operation::Read, Action::Flip).at("/d1/1");
            world.at_source(flip);
        } else {
            edit(&world, "d1/1", |stored| {
                stored.content = bytes(77, 500).into();
                stored.crc64 = Some(Crc64::of(&stored.content));
            });
        }
        let blind = world.run().await;
        assert_eq!(
            blind.code(),
            None,
            "nothing shows that there is anything to see"
        );
        world.spec.extensions.verify_deep = true;
        let run = world.run().await;
        let found = format!("/d1/1 mismatched {code}");
        assert_eq!(run.failures()[0], found);
        assert_eq!(run.report.counters.mismatched, 1);
    }
}
