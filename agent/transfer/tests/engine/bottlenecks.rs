//! The one line that says what holds an execution up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind};
use datasync_model::{Bottleneck, Telemetry, VerifyMode};
use tokio::time::sleep;

use crate::world::{KIB, MIB, World, bytes, rate};

const SECOND: Duration = Duration::from_secs(1);

/// Files of one content, each in a directory of its own if `apart`.
fn world(count: u64, size: u64, apart: bool) -> World {
    let content = Bytes::from(bytes(1, size));
    let mut tree = Tree::new();
    for number in 0..count {
        let name = if apart {
            format!("{number:04}/file")
        } else {
            format!("{number:04}")
        };
        tree.add(name, EntryKind::File, content.clone());
    }
    let source = MemorySource::new(tree).with_read_max(1 << 20);
    let mut world = World::of(source, MemoryDestination::new());
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world
}

fn slow(operation: Operation, seconds: u32) -> Fault {
    Fault::new(operation, Action::Delay(seconds * SECOND))
}

/// What the running execution tells after 12 seconds.
async fn telemetry(world: &World) -> Telemetry {
    let (controls, handles) = world.controls();
    let directory = world.directory();
    let looking = async {
        sleep(12 * SECOND).await;
        let telemetry = handles.reports.borrow().telemetry.clone();
        handles.stop.cancel();
        telemetry
    };
    let (ended, telemetry) = tokio::join!(world.run_in(&directory, controls), looking);
    assert!(ended.is_err(), "it was too fast to be looked at");
    telemetry
}

async fn assert_named(world: &World, expected: Bottleneck) {
    let telemetry = telemetry(world).await;
    assert_eq!(telemetry.bottleneck, Some(expected), "{telemetry:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_is_named() {
    let world = world(640, KIB, false);
    world.at_source(slow(Operation::Read, 4));
    world.at_destination(slow(Operation::Put, 1));
    assert_named(&world, Bottleneck::SourceLatency).await;
}

#[tokio::test(start_paused = true)]
async fn slow_uploads_are_named() {
    let world = world(640, KIB, false);
    world.at_source(slow(Operation::Read, 1));
    world.at_destination(slow(Operation::Put, 4));
    assert_named(&world, Bottleneck::UploadLatency).await;
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_read_while_they_are_sent_are_told_apart_too() {
    for (at_source, expected) in [
        (true, Bottleneck::SourceLatency),
        (false, Bottleneck::UploadLatency),
    ] {
        let mut world = world(2, 24 * MIB, false);
        // A quarter of the budget is less than a part.
        world.settings.memory_target_bytes = 60 * MIB;
        if at_source {
            world.at_source(slow(Operation::Read, 3));
        } else {
            world.at_destination(slow(Operation::UploadPart, 30));
        }
        assert_named(&world, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_is_named() {
    for limit in [16 * KIB, MIB] {
        let mut world = world(400, 64 * KIB, false);
        world.options().bytes_per_second = rate(limit);
        assert_named(&world, Bottleneck::Limiter).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_asks_to_come_again_is_named() {
    let world = world(200, KIB, false);
    world.at_destination(Fault::new(Operation::Put, Action::Fail(ErrorKind::Busy)));
    assert_named(&world, Bottleneck::Throttling).await;
}

#[tokio::test(start_paused = true)]
async fn too_little_memory_is_named() {
    let world = world(64, 4 * MIB, false);
    world.at_destination(slow(Operation::Put, 5));
    assert_named(&world, Bottleneck::Memory).await;
}

#[tokio::test(start_paused = true)]
async fn slow_directories_are_named() {
    let world = world(640, KIB, true);
    world.at_source(slow(Operation::ReadDir, 2));
    assert_named(&world, Bottleneck::SourceScan).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_listing_is_named() {
    let world = world(30, KIB, false);
    world.at_destination(slow(Operation::List, 20));
    assert_named(&world, Bottleneck::DestinationListing).await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_processor_is_named() {
    static USED_SECONDS: AtomicU64 = AtomicU64::new(0);
    let mut world = world(640, KIB, false);
    world.settings.cpu_time =
        || Duration::from_secs(USED_SECONDS.fetch_add(10_000, Ordering::Relaxed));
    world.at_destination(slow(Operation::Put, 4));
    assert_named(&world, Bottleneck::Cpu).await;
}

#[tokio::test(start_paused = true)]
async fn rate_and_time_left_are_those_of_the_present() {
    let mut world = world(256, 64 * KIB, false);
    world.options().bytes_per_second = rate(MIB);
    let told = telemetry(&world).await;
    let rate = told.bytes_per_second;
    assert!((MIB * 9 / 10..=MIB * 11 / 10).contains(&rate), "{told:?}");
    // The first run: nobody knows what is still to come.
    let left = told.time_left.unwrap();
    assert_eq!(left.high_ms, None, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_execution_tells_how_much_there_will_be() {
    let mut world = world(1_000, 64 * KIB, false);
    world.run_well().await;
    for number in 0..1_000 {
        let name = format!("{number:04}");
        world
            .source
            .edit(|tree| tree.write(&name, bytes(number, 63 * KIB)));
    }
    world.options().bytes_per_second = rate(MIB);
    let left = telemetry(&world).await.time_left.unwrap();
    let truth_ms = (63 * KIB * 1_000 * 1_000 / MIB) - 12_000;
    let high_ms = left.high_ms.unwrap();
    assert!((left.low_ms..=high_ms).contains(&truth_ms), "{left:?}");
    assert!(high_ms < left.low_ms * 8, "{left:?}");
}
