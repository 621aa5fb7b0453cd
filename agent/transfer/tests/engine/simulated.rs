//! What the simulation (`tests/sim`) found, each as a test of its own.

use datasync_endpoint::ErrorKind;
use datasync_endpoint::memory::{Action, Fault, Operation, Tree};
use datasync_model::VerifyMode;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_handle_that_goes_stale_during_the_end_check_is_looked_up_again() {
    let mut world = World::new(Tree::new().file("file", "content").symlink("link", "to"));
    world.run_well().await;
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.settings.catalog_file = None;
    for operation in [Operation::Read, Operation::ReadLink] {
        let stale = Fault::new(operation, Action::Fail(ErrorKind::Stale));
        world.at_source(stale.times(2));
    }
    let run = world.run_well().await;
    assert_eq!(run.report.counters.verified, 3);
    assert_eq!(
        world.source.script().count_at(Operation::Lookup, "/file"),
        2
    );
}
