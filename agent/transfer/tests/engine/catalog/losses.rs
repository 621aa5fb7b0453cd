//! A catalog that is lost, damaged or broken off costs requests and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, Operation};
use tokio::time::{sleep, timeout};

use super::{OBJECTS, catalog, requests, world};
use crate::world::{World, bytes};

#[tokio::test(start_paused = true)]
async fn a_catalog_that_is_lost_or_damaged_costs_requests_alone() {
    let world = world();
    world.run_well().await;
    let file = catalog(&world);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(requests(&world).await, (OBJECTS, 1, 0));
    let whole = std::fs::read(&file).unwrap();
    for place in [0, 30, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        let (stats, lists, writes) = requests(&world).await;
        assert!(stats <= OBJECTS);
        assert_eq!((lists, writes), (1, 0), "damage at {place}");
        assert_eq!(requests(&world).await.0, 0, "damage at {place} stays");
    }
    std::fs::write(&file, "not a catalog").unwrap();
    assert_eq!(requests(&world).await, (OBJECTS, 1, 0));
    assert_eq!(requests(&world).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_cannot_be_written_fails_nothing() {
    let mut world = world();
    world.settings.catalog_file = Some(PathBuf::from("/dev/null/catalog"));
    world.run_well().await;
    assert_eq!(requests(&world).await, (OBJECTS, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_catalog_of_another_prefix_is_not_believed() {
    let mut world = world();
    world.run_well().await;
    if let datasync_model::Location::S3(s3) = &mut world.spec.destination {
        s3.prefix = "another/".to_owned();
    }
    assert_eq!(requests(&world).await, (OBJECTS, 1, 0));
}

fn slow(world: &World) {
    let slow = |operation| Fault::new(operation, Action::Delay(Duration::from_millis(31)));
    for operation in [Operation::Put, Operation::UploadPart, Operation::List] {
        world.destination.script().add(slow(operation));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_stopped_remembers_what_it_did_before_and_after() {
    for wait in [35, 70, 100, 120] {
        let world = world();
        slow(&world);
        let directory = world.directory();
        let (controls, handles) = world.controls();
        let stopping = async {
            sleep(Duration::from_millis(wait)).await;
            handles.stop.cancel();
        };
        let (first, ()) = tokio::join!(Box::pin(world.run_in(&directory, controls)), stopping);
        assert!(
            first.is_err(),
            "the run was too fast to be stopped after {wait} ms"
        );
        assert!(!catalog(&world).exists());
        let (controls, _handles) = world.controls();
        let report = Box::pin(world.run_in(&directory, controls)).await.unwrap();
        assert_eq!(report.result.failure, None);
        world.destination.script().clear();
        let (stats, _, writes) = requests(&world).await;
        // What was in flight at the stop was recognised by what is there, not by a receipt.
        assert!(stats <= 70, "{stats} HEADs after a stop at {wait} ms");
        assert_eq!(writes, 0);
        assert_eq!(requests(&world).await, (0, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_goes_on_and_leaves_a_whole_catalog() {
    for wait in [35, 70, 100, 120] {
        let world = world();
        slow(&world);
        let directory = world.directory();
        let (controls, _handles) = world.controls();
        let running = Box::pin(world.run_in(&directory, controls));
        let killed = timeout(Duration::from_millis(wait), running).await;
        assert!(
            killed.is_err(),
            "the run was too fast to be killed after {wait} ms"
        );
        let (controls, _handles) = world.controls();
        let report = Box::pin(world.run_in(&directory, controls)).await.unwrap();
        assert_eq!(report.result.failure, None);
        world.destination.script().clear();
        let (_, _, writes) = requests(&world).await;
        assert_eq!(writes, 0);
        assert_eq!(requests(&world).await, (0, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_leaves_the_catalog_as_it_was() {
    let world = world();
    world.run_well().await;
    let before = std::fs::read(catalog(&world)).unwrap();
    world.source.edit(|tree| {
        for number in 0..150 {
            let path = format!("d{}/{number}", number % 5);
            tree.write(path, bytes(number + 500, 500));
        }
    });
    slow(&world);
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let cancelling = async {
        sleep(Duration::from_millis(70)).await;
        handles.cancel.cancel();
    };
    let (report, ()) = tokio::join!(Box::pin(world.run_in(&directory, controls)), cancelling);
    assert!(report.unwrap().result.failure.is_some());
    assert_eq!(std::fs::read(catalog(&world)).unwrap(), before);
    world.destination.script().clear();
    world.run_well().await;
    assert_eq!(requests(&world).await, (0, 1, 0));
}
