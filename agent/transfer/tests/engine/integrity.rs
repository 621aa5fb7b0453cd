//! Corruption on the way and at rest: never reported as good.

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{Algorithm, Checksum, Crc64, Integrity, ObjectChecksum};
use datasync_model::{ErrorCode, VerifyMode};

use crate::world::{MIB, SHA256, World, bytes, key};

fn tree() -> Tree {
    Tree::new()
        .file("file", bytes(1, 1000))
        .file("large", bytes(2, 9 * MIB))
        .file("other", "fine")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_damaged_on_its_way_is_sent_again() {
    for integrity in [Integrity::Crc64, SHA256, Integrity::Md5] {
        let destination = MemoryDestination::new().with_abilities(|a| a.integrity = integrity);
        let script = destination.script();
        script.add(Fault::new(Operation::Put, Action::Flip).at("file").times(2));
        script.add(Fault::new(Operation::UploadPart, Action::Flip).times(1));
        let world = World::of(MemorySource::new(tree()), destination);
        world.run_well().await;
        assert_eq!(
            world.destination.script().count_at(Operation::Put, "file"),
            3
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_damaged_fails_as_such() {
    let world = World::new(tree());
    let fault = Fault::new(Operation::Put, Action::Flip).at("file");
    world.at_destination(fault);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert!(
        run.detail()
            .contains("/file (ChecksumMismatch: damaged on the way: "),
        "{}",
        run.detail()
    );
    assert_eq!(world.object("file"), None);
}

#[tokio::test(start_paused = true)]
async fn reading_back_finds_what_the_store_did_not() {
    for (operation, path) in [(Operation::Put, "/file"), (Operation::UploadPart, "/large")] {
        for mode in VerifyMode::ALL {
            let destination =
                MemoryDestination::new().with_abilities(|a| a.integrity = Integrity::ReadBack);
            let mut world = World::of(MemorySource::new(tree()), destination);
            world.options().verify_mode = *mode;
            let at = &path[1..];
            world.at_destination(Fault::new(operation, Action::Flip).at(at));
            let run = world.run().await;
            assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{mode}");
            assert!(
                run.failures()
                    .contains(&format!("{path} failed ChecksumMismatch")),
                "{mode} {:?}",
                run.failures()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_check_finds_content_that_changed_at_the_destination() {
    for at in ["file", "large"] {
        let world = World::new(tree());
        world.run_well().await;
        world.destination.edit(|objects| {
            let stored = objects.get_mut(&key(at)).unwrap();
            let mut content = stored.content.to_vec();
            content[500] ^= 0x40;
            stored.crc64 = Some(Crc64::of(&content));
            stored.content = content.into();
            stored.last_modified.seconds += 60;
        });
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ChecksumMismatch), "{at}");
        assert_eq!(run.report.counters.mismatched, 1);
        assert!(run.detail().contains(at), "{}", run.detail());
    }
}

/// Small and in parts: neither is read back to be verified, nor again once it was.
#[tokio::test(start_paused = true)]
async fn the_end_check_compares_the_source_with_the_stores_sha256() {
    let destination = MemoryDestination::new().with_abilities(|a| a.integrity = SHA256);
    let mut world = World::of(MemorySource::new(tree()), destination);
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.run_well().await;
    let script = world.destination.script();
    assert_eq!(script.count(Operation::ReadBack), 0);
    for at in ["file", "large"] {
        world.destination.edit(|objects| {
            let stored = objects.get_mut(&key(at)).unwrap();
            let mut content = stored.content.to_vec();
            content[500] ^= 0x40;
            let sum = Checksum::of(Algorithm::Sha256, &content);
            stored.checksum = Some(ObjectChecksum::whole(sum));
            stored.content = content.into();
            stored.last_modified.seconds += 60;
        });
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ChecksumMismatch), "{at}");
        assert!(run.detail().contains(at), "{}", run.detail());
        world.destination.edit(|objects| {
            objects.remove(&key(at));
        });
        world.run_well().await;
    }
}

/// An object in parts may be of others than ours would be: it says nothing of the content.
#[tokio::test(start_paused = true)]
async fn a_checksum_of_other_parts_is_no_difference() {
    let destination = MemoryDestination::new().with_abilities(|a| a.integrity = SHA256);
    let mut world = World::of(MemorySource::new(tree()), destination);
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.run_well().await;
    world.destination.edit(|objects| {
        let stored = objects.get_mut(&key("large")).unwrap();
        let parts = stored.content.chunks(5 << 20);
        let sums = parts.map(|part| Checksum::of(Algorithm::Sha256, part));
        let sums: Vec<_> = sums.chain([Checksum::of(Algorithm::Sha256, b"")]).collect();
        stored.checksum = ObjectChecksum::of_parts(sums);
        stored.last_modified.seconds += 60;
    });
    world.run_well().await;
    let script = world.destination.script();
    assert_eq!(script.count_at(Operation::ReadBack, "large"), 1);
    assert_eq!(script.count(Operation::ReadBack), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_check_reads_back_where_the_store_has_no_checksum() {
    for integrity in [Integrity::Md5, Integrity::ReadBack] {
        let destination = MemoryDestination::new().with_abilities(|a| a.integrity = integrity);
        let world = World::of(MemorySource::new(tree()), destination);
        // The second listing begins after everything was written and confirmed.
        world.run_well().await;
        world.destination.edit(|objects| {
            objects.get_mut(&key("file")).unwrap().content = bytes(3, 1000).into();
        });
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ChecksumMismatch));
        assert_eq!(run.failures(), ["/file mismatched DestinationDamaged"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_verify_modes_do_not_look_at_old_objects() {
    for mode in [VerifyMode::OnlyFilesTransferred, VerifyMode::None] {
        let mut world = World::new(tree());
        world.options().verify_mode = mode;
        world.run_well().await;
        world.destination.edit(|objects| {
            objects.get_mut(&key("file")).unwrap().content = bytes(3, 1000).into();
        });
        assert_eq!(world.run().await.code(), None, "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_that_was_changed_at_the_destination_is_put_right() {
    let world = World::new(tree());
    world.run_well().await;
    world.destination.edit(|objects| {
        let stored = objects.get_mut(&key("file")).unwrap();
        stored.metadata.owner = Some(4711);
        stored.last_modified.seconds += 60;
    });
    let run = world.run_well().await;
    assert_eq!(run.report.counters.transferred, 1);
    assert_eq!(world.destination.script().count(Operation::SetMetadata), 1);
    assert_eq!(
        world.destination.script().count_at(Operation::Put, "file"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_check_finds_metadata_that_changes_while_the_run_goes_on() {
    let world = World::new(tree());
    world.run_well().await;
    // The metadata is set, and the store forgets it at once.
    world
        .source
        .edit(|tree| tree.set("file", |attributes| attributes.uid = 7));
    let destination = world.destination.clone();
    let forget = Action::change(move |_| {
        destination.edit(|objects| {
            objects.get_mut(&key("file")).unwrap().metadata.owner = Some(8);
        });
    });
    // The root of the source is asked for twice for the scan, before the deletes, before the check.
    world.at_source(Fault::new(Operation::Root, forget).after(3).times(1));
    let run = world.run().await;
    assert_eq!(run.failures(), ["/file mismatched MetadataDiffers"]);
    assert_eq!(run.code(), Some(ErrorCode::MetadataDiffers));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanishes_before_the_end_check_is_missed() {
    let world = World::new(tree());
    let destination = world.destination.clone();
    let steal = Action::change(move |_| {
        destination.edit(|objects| objects.remove(&key("other")));
    });
    world.at_source(Fault::new(Operation::Root, steal).after(3).times(1));
    let run = world.run().await;
    assert_eq!(run.failures(), ["/other mismatched FileNotAtDestination"]);
    assert_eq!(run.code(), Some(ErrorCode::FileNotAtDestination));
}

#[tokio::test(start_paused = true)]
async fn the_end_check_finds_what_the_source_delivered_wrong() {
    let mut world = World::new(tree());
    world.at_source(
        Fault::new(Operation::Read, Action::Flip)
            .at("/file")
            .times(1),
    );
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ChecksumMismatch));
    assert_eq!(run.failures(), ["/file mismatched SourceInconsistent"]);
}

/// A store that has no checksum of its own is read back at the end; one that has is believed.
#[tokio::test(start_paused = true)]
async fn content_that_rots_in_the_store_after_it_was_checked_is_found_by_reading_back() {
    for (operation, path) in [
        (Operation::Put, "/file"),
        (Operation::UploadPart, "/large"),
        (Operation::CompleteUpload, "/large"),
    ] {
        let destination = MemoryDestination::new().with_abilities(|a| a.integrity = Integrity::Md5);
        let rot = Fault::new(operation, Action::FlipStored).at(&path[1..]);
        destination.script().add(rot.times(1));
        let world = World::of(MemorySource::new(tree()), destination);
        let run = world.run().await;
        assert_eq!(
            run.code(),
            Some(ErrorCode::ChecksumMismatch),
            "{operation:?}"
        );
        assert_eq!(
            run.failures(),
            [format!("{path} mismatched DestinationDamaged")]
        );
    }
}
