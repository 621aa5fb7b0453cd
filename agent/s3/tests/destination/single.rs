//! Single objects of a bucket that is no location.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{Grant, Pace};
use datasync_s3::S3Objects;
use quickstart_store::StoreIntegrity;

use crate::world::World;

const SLICE: usize = 64 << 10;
const SIZE: usize = 1 << 20;

/// Grants so many slices and no more.
#[derive(Debug)]
struct Slices {
    most: usize,
    granted: AtomicUsize,
}

impl Pace for Slices {
    fn slice_max(&self) -> usize {
        SLICE
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        assert!(bytes <= SLICE);
        if self.granted.fetch_add(1, Ordering::Relaxed) < self.most {
            return None;
        }
        Some(Box::pin(pending()))
    }
}

fn slices(most: usize) -> Arc<Slices> {
    Arc::new(Slices {
        most,
        granted: AtomicUsize::new(0),
    })
}

#[tokio::test]
async fn an_object_is_written_slice_by_slice_and_not_at_all_once_no_slice_is_granted() {
    let world = World::start(StoreIntegrity::Full).await;
    let objects = S3Objects::open(&world.config("")).await.unwrap();
    let content = Bytes::from(vec![7; SIZE]);
    let put = |key, pace| objects.put(key, "application/json", content.clone(), pace);
    let whole = slices(usize::MAX);
    put("whole", whole.clone()).await.unwrap();
    assert_eq!(whole.granted.load(Ordering::Relaxed), SIZE / SLICE);
    let some = slices(3);
    let cut = tokio::time::timeout(Duration::from_secs(1), put("cut", some.clone()));
    assert!(cut.await.is_err(), "it waits for a slice");
    assert_eq!(some.granted.load(Ordering::Relaxed), 4);
    assert_eq!(world.keys().await, ["whole"]);
}
