//! What the scan waits for, and what does not wait for it.

use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};

use crate::world::World;

fn two_directories() -> Tree {
    let mut tree = Tree::new();
    tree.add("a/1", EntryKind::File, "first");
    for number in 0..50 {
        tree.add(format!("b/{number}"), EntryKind::File, "later");
    }
    tree
}

#[tokio::test(start_paused = true)]
async fn the_first_file_is_on_its_way_before_the_second_directory_is_read_to_its_end() {
    let source = MemorySource::new(two_directories()).with_page(10);
    let world = World::of(source, MemoryDestination::new());
    let second = Action::Delay(Duration::from_secs(1));
    world.at_source(Fault::new(Operation::ReadDir, second).at("/b"));
    world.run_well().await;
    let puts = world.destination.script().calls();
    let first = puts.iter().find(|call| call.target == "a/1").unwrap();
    let reads = world.source.script().calls();
    let last = reads.iter().rfind(|call| call.target == "/b").unwrap();
    assert!(first.at < last.at);
}
