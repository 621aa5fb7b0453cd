//! What is remembered from one execution to the next: unchanged trees cost listings and nothing
//! else, and changes on either side are seen.

mod losses;
mod verification;

use std::path::PathBuf;

use crate::world::{INTEGRITIES, MIB, World, bytes};
use datasync_endpoint::memory::{
    Action, Fault, MemoryDestination, MemorySource, Operation, Stored, Tree,
};
use datasync_endpoint::{EntryKind, ErrorKind, Key};
use datasync_model::{
    Atime, Excludes, Mtime, OverwriteMode, PreserveDeletedFiles, TransferMode, Uid, VerifyMode,
};

/// Objects of the tree: the root, 5 directories, 150 files, a link and a large file.
const OBJECTS: usize = 158;

fn tree() -> Tree {
    let mut tree = Tree::new().file("large", bytes(1, 9 * MIB));
    for number in 0..150 {
        let path = format!("d{}/{number}", number % 5);
        tree.add(path, EntryKind::File, bytes(number, 500));
    }
    tree.add("link", EntryKind::Symlink, "large");
    tree.add("fifo", EntryKind::Fifo, "");
    tree
}

fn world_of(destination: MemoryDestination) -> World {
    let mut world = World::of(MemorySource::new(tree()), destination);
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world
}

fn world() -> World {
    world_of(MemoryDestination::new())
}

fn catalog(world: &World) -> PathBuf {
    world.settings.catalog_file.clone().unwrap()
}

/// Requests of one run that ends well: HEADs, LISTs, and writes of any kind.
async fn requests(world: &World) -> (usize, usize, usize) {
    world.destination.script().forget_calls();
    world.run_well().await;
    let count = |operation| world.destination.script().count(operation);
    let writes = [
        Operation::Put,
        Operation::CreateUpload,
        Operation::SetMetadata,
        Operation::Delete,
    ];
    (
        count(Operation::Stat),
        count(Operation::List),
        writes.into_iter().map(count).sum(),
    )
}

fn edit(world: &World, key: &str, change: impl FnOnce(&mut Stored)) {
    let key = Key::from_listing(key.to_owned());
    world
        .destination
        .edit(|objects| change(objects.get_mut(&key).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_tree_costs_listings_alone() {
    for integrity in INTEGRITIES {
        let destination = MemoryDestination::new()
            .with_page(50)
            .with_abilities(|abilities| abilities.integrity = integrity);
        let world = world_of(destination);
        world.run_well().await;
        let reads = world.source.script().count(Operation::Read);
        for _ in 0..3 {
            assert_eq!(requests(&world).await, (0, OBJECTS / 50 + 1, 0));
        }
        assert_eq!(world.source.script().count(Operation::Read), reads);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_objects_come_with_each_listing() {
    let mut world = world();
    world.source.edit(|tree| {
        for number in 0..2_400 {
            tree.add(format!("many/{number}"), EntryKind::File, "");
        }
    });
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    assert_eq!(requests(&world).await, (0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_catalog_is_not_written_when_nothing_was_learned() {
    let world = world();
    world.run_well().await;
    // The listing tells the exact time of each write.
    world.run_well().await;
    let file = catalog(&world);
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    let run = world.run_well().await;
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        before
    );
    let left = std::fs::read_dir(&run.directory).unwrap();
    let left = left.filter_map(|file| file.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.starts_with("catalog")).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn objects_that_were_there_before_are_asked_about_once() {
    let mut world = world();
    let file = world.settings.catalog_file.take();
    world.run_well().await;
    assert_eq!(requests(&world).await.0, OBJECTS);
    world.settings.catalog_file = file;
    assert_eq!(requests(&world).await.0, OBJECTS);
    assert_eq!(requests(&world).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_tell_the_time_is_asked_once() {
    let world = world_of(MemoryDestination::new().without_dates());
    world.run_well().await;
    assert_eq!(requests(&world).await.0, OBJECTS);
    assert_eq!(requests(&world).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_at_the_source_is_asked_about_or_written() {
    let world = world();
    world.run_well().await;
    world.source.edit(|tree| {
        tree.write("d1/1", "another size");
        tree.write("d2/2", bytes(9, 500));
        tree.set("d3/3", |attributes| attributes.mode = 0o600);
        tree.add("new", EntryKind::File, "new");
    });
    // New metadata needs the object's state; the root's mtime is one more object to write.
    assert_eq!(requests(&world).await, (2, 1, 5));
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn foreign_changes_at_the_destination_are_seen() {
    let world = world();
    world.run_well().await;
    world.run_well().await;
    edit(&world, "d1/1", |stored| {
        stored.content = bytes(77, 500).into();
        stored.crc64 = None;
        stored.metadata.mtime = None;
        stored.etag = "\"foreign\"".to_owned();
        stored.last_modified.seconds += 1;
    });
    edit(&world, "d2/2", |stored| {
        stored.metadata.owner = Some(77);
        stored.last_modified.seconds += 1;
    });
    edit(&world, "d3/3", |stored| stored.content = "".into());
    let key = Key::from_listing("d4/4".to_owned());
    world.destination.edit(|objects| objects.remove(&key));
    let (stats, _, writes) = requests(&world).await;
    assert_eq!((stats, writes), (2, 4));
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_moved_to_another_class_is_asked_about_once_and_keeps_it() {
    let world = world();
    world.run_well().await;
    world.run_well().await;
    let glacier = |stored: &mut Stored| stored.storage_class = "GLACIER".to_owned();
    edit(&world, "d1/1", glacier);
    assert_eq!(requests(&world).await, (1, 1, 0));
    assert_eq!(requests(&world).await, (0, 1, 0));
    world.source.edit(|tree| tree.write("d1/1", bytes(9, 500)));
    assert_eq!(requests(&world).await, (0, 1, 1));
    assert_eq!(world.object("d1/1").unwrap().storage_class, "GLACIER");
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_puts_the_mtime_back_is_seen_by_its_ctime() {
    let world = world();
    world.run_well().await;
    world.source.edit(|tree| {
        tree.write_and_put_mtime_back("d1/1", bytes(9, 500));
        tree.write_and_put_mtime_back("large", bytes(9, 9 * MIB));
        tree.write_and_put_mtime_back("link", "egral");
    });
    assert_eq!(requests(&world).await, (0, 1, 3));
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_touched_inode_is_read_once_and_not_written() {
    let world = world();
    world.run_well().await;
    let touched = |_: &mut datasync_endpoint::Attributes| {};
    world.source.edit(|tree| {
        tree.set("d1/1", touched);
        tree.set("large", touched);
        tree.set("d2", touched);
    });
    world.source.script().forget_calls();
    assert_eq!(requests(&world).await, (0, 1, 0));
    assert!(world.source.script().count_at(Operation::Read, "/d1/1") > 0);
    assert!(world.source.script().count_at(Operation::Read, "/large") > 0);
    world.source.script().forget_calls();
    assert_eq!(requests(&world).await, (0, 1, 0));
    assert_eq!(world.source.script().count(Operation::Read), 0);
}

#[tokio::test(start_paused = true)]
async fn a_touched_file_that_cannot_be_read_fails_with_the_reason() {
    let world = world();
    world.run_well().await;
    world.source.edit(|tree| tree.set("d1/1", |_| {}));
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    let fault = Fault::new(Operation::Read, refuse).at("/d1/1");
    world.source.script().add(fault);
    let run = world.run().await;
    let failures = run.failures();
    assert_eq!(failures[0], "/d1/1 failed SourcePermissionDenied");
    assert!(!failures[1..].iter().any(|f| f.contains(" failed ")));
}

#[tokio::test(start_paused = true)]
async fn other_options_are_obeyed() {
    let mut world = world();
    world.options().uid = Uid::None;
    world.run_well().await;
    world.options().uid = Uid::IntValue;
    let (stats, _, writes) = requests(&world).await;
    assert_eq!((stats, writes), (OBJECTS, OBJECTS));
    assert_eq!(requests(&world).await, (0, 1, 0));
    // What is not kept is not compared, as without a catalog.
    (world.options().atime, world.options().mtime) = (Atime::None, Mtime::None);
    world.destination.script().forget_calls();
    world.run().await;
    assert_eq!(world.destination.script().count(Operation::Stat), 0);
    // A link's target may have changed unseen: it is written without its mtime once.
    let script = world.destination.script();
    assert_eq!(
        script.count(Operation::Put),
        script.count_at(Operation::Put, "link")
    );
}

#[tokio::test(start_paused = true)]
async fn transfer_mode_all_writes_everything_and_never_protects() {
    let mut world = world();
    world.run_well().await;
    world.options().transfer_mode = TransferMode::All;
    assert_eq!(requests(&world).await, (0, 0, OBJECTS));
    world.options().transfer_mode = TransferMode::Changed;
    assert_eq!(requests(&world).await, (0, 1, 0));
    world.options().overwrite_mode = OverwriteMode::Never;
    world.source.edit(|tree| tree.write("d1/1", bytes(9, 500)));
    world.destination.script().forget_calls();
    let run = world.run().await;
    assert_eq!(run.report.counters.skipped, OBJECTS as u64 + 1);
    assert_eq!(world.destination.script().count(Operation::Put), 0);
    world.options().overwrite_mode = OverwriteMode::Always;
    assert_eq!(requests(&world).await, (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_filters_leave_out_is_still_known_afterwards() {
    let mut world = world();
    world.options().preserve_deleted_files = PreserveDeletedFiles::Preserve;
    world.run_well().await;
    world.spec.excludes = Excludes::try_from("/d1|/large".to_owned()).unwrap();
    world.source.edit(|tree| tree.write("d2/2", bytes(9, 500)));
    world.run().await;
    world.spec.excludes = Excludes::default();
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_this_time_is_still_known_the_next() {
    let world = world();
    world.run_well().await;
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    let fault = Fault::new(Operation::ReadDir, refuse).at("/d1");
    world.source.script().add(fault);
    world.run().await;
    world.source.script().clear();
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_source_is_forgotten() {
    let world = world();
    world.run_well().await;
    let full = std::fs::metadata(catalog(&world)).unwrap().len();
    world.source.edit(|tree| {
        for number in 0..150 {
            tree.remove(format!("d{}/{number}", number % 5));
        }
    });
    world.run_well().await;
    assert!(std::fs::metadata(catalog(&world)).unwrap().len() < full / 4);
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn failed_items_have_no_entry_and_the_others_do() {
    let world = world();
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    let fault = Fault::new(Operation::Put, refuse).at("d1/1").times(1);
    world.destination.script().add(fault);
    let run = world.run().await;
    assert_eq!(run.report.counters.failed, 1);
    // The file that failed, which is not there, is written without a question.
    assert_eq!(requests(&world).await, (0, 1, 1));
    world.source.edit(|tree| tree.write("d1/1", bytes(9, 500)));
    let fault = Fault::new(Operation::Read, Action::Fail(ErrorKind::PermissionDenied));
    world.source.script().add(fault.at("/d1/1"));
    world.run().await;
    world.source.script().clear();
    assert_eq!(requests(&world).await, (1, 1, 1));
}
