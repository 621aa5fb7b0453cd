//! Access control lists and extended attributes.

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{ErrorKind, ExtendedKinds, ExtendedMetadata};
use datasync_model::{Acls, ErrorCode, VerifyMode, Xattrs};

use crate::world::{KIB, Run, World, bytes, store_of_small_parts};

const BOTH: ExtendedKinds = ExtendedKinds {
    acls: true,
    xattrs: true,
};
const LIST: &str = "A::1000:rw";

fn coloured(extended: &mut ExtendedMetadata, value: &[u8]) {
    assert!(extended.xattrs.add(b"colour", value));
}

fn tree() -> Tree {
    let mut tree = Tree::new()
        .file("d/listed", "content")
        .file("large", bytes(1, 5 * KIB))
        .file("plain", "content")
        .symlink("link", "plain");
    tree.extend("d/listed", |extended| {
        extended.acl = Some(LIST.parse().unwrap());
    });
    tree.extend("large", |extended| coloured(extended, b"blue"));
    tree.extend("d", |extended| coloured(extended, b"red"));
    tree
}

fn keeping(mut world: World) -> World {
    world.spec.extensions.acls = Acls::Preserve;
    world.spec.extensions.xattrs = Xattrs::Preserve;
    world
}

fn world_of(tree: Tree, destination: MemoryDestination) -> World {
    let source = MemorySource::new(tree).with_extended(BOTH);
    keeping(World::of(source, destination))
}

fn small_parts() -> MemoryDestination {
    store_of_small_parts(datasync_endpoint::Integrity::Crc64)
}

/// What every object has is what its entry has.
fn assert_extended(world: &World) {
    let tree = world.source.snapshot();
    for (path, inode) in tree.entries() {
        let slash = if inode.attributes.kind == datasync_endpoint::EntryKind::Directory {
            "/"
        } else {
            ""
        };
        let key = format!("{path}{slash}");
        let key = key.trim_start_matches('/');
        let stored = world.object(key);
        let stored = stored.unwrap_or_else(|| panic!("{key:?} is missing"));
        let found = stored.extended.as_deref().cloned().unwrap_or_default();
        assert_eq!(found, inode.extended, "{key:?}");
    }
}

async fn run_well(world: &World) -> Run {
    let run = world.run_well().await;
    assert_extended(world);
    run
}

fn calls(world: &World, operation: Operation) -> usize {
    let (source, destination) = (world.source.script(), world.destination.script());
    source.count(operation) + destination.count(operation)
}

fn forget_calls(world: &World) {
    world.source.script().forget_calls();
    world.destination.script().forget_calls();
}

#[tokio::test(start_paused = true)]
async fn objects_have_them_and_an_unchanged_tree_costs_no_call() {
    let world = world_of(tree(), small_parts());
    run_well(&world).await;
    forget_calls(&world);
    run_well(&world).await;
    for operation in [Operation::Extended, Operation::Stat, Operation::Put] {
        assert_eq!(calls(&world, operation), 0, "{operation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_alone_is_found_by_the_ctime_and_moves_no_content() {
    let mut world = world_of(tree(), small_parts());
    world.options().verify_mode = VerifyMode::None;
    run_well(&world).await;
    for path in ["d", "plain", "large"] {
        forget_calls(&world);
        world.source.edit(|tree| {
            tree.extend(path, |extended| extended.acl = Some(LIST.parse().unwrap()));
        });
        let run = run_well(&world).await;
        let counters = run.report.counters;
        assert_eq!((counters.transferred, counters.bytes_written), (1, 0));
        // A directory's object has no content that would have to be kept: it is written anew.
        let copies = usize::from(path != "d");
        assert_eq!(calls(&world, Operation::SetMetadata), copies, "{path}");
        let asked = calls(&world, Operation::Extended);
        assert!(
            (1..=2).contains(&asked),
            "nothing else is asked about: {path} {asked}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_keep_them_has_every_object_looked_at_once() {
    let mut world = world_of(tree(), MemoryDestination::new());
    world.spec.extensions = datasync_model::Extensions::default();
    world.source = MemorySource::new(tree()).into();
    world.run_well().await;
    assert!(world.object("d/listed").unwrap().extended.is_none());
    world.source = MemorySource::new(tree()).with_extended(BOTH).into();
    let world = keeping(world);
    forget_calls(&world);
    let run = run_well(&world).await;
    assert_eq!(run.report.counters.transferred, 3, "the root has none");
    assert_eq!(run.report.counters.bytes_written, 0);
    assert!(calls(&world, Operation::Extended) >= 5);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_at_the_destination_is_put_right() {
    let world = world_of(tree(), MemoryDestination::new());
    run_well(&world).await;
    world.destination.edit(|objects| {
        for (key, stored) in objects.iter_mut() {
            if matches!(key.as_str(), "d/listed" | "plain") {
                let mut other = ExtendedMetadata::default();
                coloured(&mut other, b"other");
                stored.extended = Some(Box::new(other));
                stored.etag.push('x');
            }
        }
    });
    let run = run_well(&world).await;
    assert_eq!(run.report.counters.transferred, 2);
}

fn too_large(tree: &mut Tree) {
    for path in ["plain", "large"] {
        tree.extend(path, |extended| {
            extended.acl = Some(LIST.parse().unwrap());
            assert!(extended.xattrs.add(b"big", &[7; 3000]));
        });
    }
}

fn assert_told_and_there(world: &World, run: &Run) {
    let failures = [
        "/large failed MetadataTooLarge",
        "/plain failed MetadataTooLarge",
    ];
    assert_eq!(run.failures(), failures);
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    world.assert_exact();
    for key in ["plain", "large"] {
        let kept = world.object(key).unwrap().extended.unwrap();
        assert_eq!(kept.acl.map(|acl| acl.to_string()).as_deref(), Some(LIST));
        assert!(kept.xattrs.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_told_and_the_content_is_there() {
    let mut tree = tree();
    too_large(&mut tree);
    let world = world_of(tree, small_parts());
    let run = world.run().await;
    assert_told_and_there(&world, &run);
    let writes = world.writes();
    forget_calls(&world);
    let again = world.run().await;
    assert_told_and_there(&world, &again);
    assert_eq!(world.writes(), writes, "nothing is written twice");
    assert_eq!(calls(&world, Operation::SetMetadata), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_told_after_a_restart_too() {
    let mut tree = tree();
    too_large(&mut tree);
    let world = world_of(tree, small_parts());
    for operation in [Operation::Put, Operation::CompleteUpload] {
        let hangs = Fault::new(operation, Action::Hang);
        world.at_destination(hangs.when(|target| matches!(target, "plain" | "large")));
    }
    let directory = world.stop_half_way().await;
    let run = world.resume(directory).await;
    assert_told_and_there(&world, &run);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_and_the_content_is_there() {
    let world = world_of(tree(), MemoryDestination::new());
    let denied = Fault::new(
        Operation::Extended,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_source(denied.at("/plain"));
    let large = Fault::new(Operation::Extended, Action::Fail(ErrorKind::TooLarge));
    world.at_source(large.at("/large"));
    let run = world.run().await;
    let failures = [
        "/large failed MetadataTooLarge",
        "/plain failed SourcePermissionDenied",
    ];
    assert_eq!(run.failures(), failures);
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_verification_compares_them() {
    let mut world = world_of(tree(), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.spec.extensions.verify_deep = true;
    run_well(&world).await;
    // The store loses them without a trace in its listing.
    world.destination.edit(|objects| {
        for stored in objects.values_mut() {
            stored.extended = None;
        }
    });
    let run = world.run().await;
    let differ =
        ["/d", "/d/listed", "/large"].map(|path| format!("{path} mismatched MetadataDiffers"));
    assert_eq!(run.failures(), differ);
    assert_eq!(run.code(), Some(ErrorCode::MetadataDiffers));
}
