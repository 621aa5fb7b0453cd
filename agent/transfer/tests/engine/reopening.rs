//! Large directories that were read before the process was killed are not read again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_endpoint::memory::{
    Action, EPOCH, Fault, MemoryDestination, MemorySource, Operation, Tree,
};
use datasync_endpoint::{EntryKind, ErrorKind};

use datasync_model::VerifyMode;

use crate::world::{KIB, World};

const FILES: u64 = 600;

/// A directory with a multiple of what memory is to hold of it.
fn world() -> World {
    let mut tree = Tree::new();
    for number in 0..FILES {
        tree.add(format!("d/{number:04}"), EntryKind::File, "content");
    }
    let source = MemorySource::new(tree).with_page(100);
    let mut world = World::of(source, MemoryDestination::new());
    world.settings.memory_target_bytes = 64 * KIB;
    world
}

/// Killed when some of the files are with the store.
async fn kill_in_the_middle(world: &World) -> PathBuf {
    let directory = world.directory();
    let hang = Fault::new(Operation::Put, Action::Hang).after(FILES / 3);
    world.at_destination(hang);
    world.kill_after(&directory, Duration::from_secs(1)).await;
    assert!(files(&directory) > 2, "runs and a note of them");
    directory
}

fn files(directory: &Path) -> usize {
    let listed = std::fs::read_dir(directory.join("spill"));
    listed.map_or(0, |files| files.count())
}

/// Goes on to the end; gives the pages of the directory that were read.
async fn resume(world: &World, directory: PathBuf) -> usize {
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    world.assert_exact();
    assert_eq!(files(&run.directory), 0, "what was sorted is still there");
    world.source.script().count_at(Operation::ReadDir, "/d")
}

/// Of the whole directory; the end check reads them in any case.
const PAGES: usize = 6;

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_what_it_was_is_not_read_again() {
    let world = world();
    let directory = kill_in_the_middle(&world).await;
    for _ in 0..2 {
        world.at_destination(Fault::new(Operation::Put, Action::Hang).after(100));
        world.kill_after(&directory, Duration::from_secs(1)).await;
    }
    assert_eq!(resume(&world, directory).await, PAGES);
}

/// What was known of its files is old then; a file that changed is read as it is.
#[tokio::test(start_paused = true)]
async fn a_file_in_it_that_changed_meanwhile_is_copied_as_it_is() {
    let world = world();
    let directory = kill_in_the_middle(&world).await;
    world.source.edit(|tree| tree.write("d/0599", "changed"));
    assert_eq!(resume(&world, directory).await, PAGES);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_changed_is_read_again() {
    let mut world = world();
    world.options().verify_mode = VerifyMode::None;
    let directory = kill_in_the_middle(&world).await;
    world
        .source
        .edit(|tree| tree.add("d/new", EntryKind::File, "new"));
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    assert!(world.source.script().count_at(Operation::ReadDir, "/d") > 0);
    assert!(world.object("d/new").is_some());
    assert_eq!(files(&run.directory), 0);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_read_long_ago_is_read_again() {
    let mut world = world();
    let directory = kill_in_the_middle(&world).await;
    world.settings.now_seconds = || EPOCH + 24 * 3600 + 1;
    assert!(resume(&world, directory).await > PAGES);
}

/// A run is cut off, or is gone; or the note is.
#[tokio::test(start_paused = true)]
async fn runs_that_are_damaged_are_read_again() {
    type Change = fn(&Path) -> std::io::Result<()>;
    let changes: [Change; 2] = [
        |path| std::fs::write(path, "x"),
        |path| std::fs::remove_file(path),
    ];
    for change in changes {
        let world = world();
        let directory = kill_in_the_middle(&world).await;
        let file = std::fs::read_dir(directory.join("spill")).unwrap().next();
        change(&file.unwrap().unwrap().path()).unwrap();
        assert!(resume(&world, directory).await > PAGES);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_kill_left_of_a_directory_that_was_being_read_is_removed() {
    let world = world();
    let directory = world.directory();
    world.at_source(
        Fault::new(Operation::ReadDir, Action::Hang)
            .at("/d")
            .after(4),
    );
    world.kill_after(&directory, Duration::from_secs(1)).await;
    assert!(files(&directory) > 0);
    assert_eq!(resume(&world, directory).await, 2 * PAGES);
}

/// The cursor of a directory that changes while it is read means nothing after a while.
#[tokio::test(start_paused = true)]
async fn what_was_sorted_before_a_directory_was_read_anew_is_removed() {
    let world = world();
    let lost = Action::Fail(ErrorKind::BadCookie);
    world.at_source(
        Fault::new(Operation::ReadDir, lost)
            .at("/d")
            .after(4)
            .times(1),
    );
    let directory = world.directory();
    let hang = Fault::new(Operation::Put, Action::Hang);
    world.at_destination(hang);
    world.kill_after(&directory, Duration::from_secs(1)).await;
    let again = world.directory();
    world.at_destination(Fault::new(Operation::Put, Action::Hang));
    world.kill_after(&again, Duration::from_secs(1)).await;
    assert_eq!(files(&directory), files(&again));
    assert_eq!(resume(&world, directory).await, PAGES);
}
