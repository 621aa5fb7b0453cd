use bytes::Bytes;
use datasync_endpoint::contract::destination_contract;
use datasync_endpoint::memory::MemoryDestination;
use datasync_endpoint::{Crc64Hasher, Unpaced};
use tokio::time::Instant;

use super::*;
use crate::lease::LeaseHolder;
use crate::lease::tests::{give, tokio_time};

const SECOND: Duration = Duration::from_secs(1);

fn key() -> Key {
    Key::from_listing("key".to_owned())
}

fn header() -> ObjectHeader {
    ObjectHeader {
        metadata: PosixMetadata::default(),
        storage_class: None,
        only_if_absent: false,
        properties: None,
        extended: None,
    }
}

fn payload(chunks: usize, pace: Arc<dyn Pace>) -> Payload {
    let chunks = vec![Bytes::from_static(b"chunk"); chunks];
    let mut crc64 = Crc64Hasher::default();
    chunks.iter().for_each(|chunk| crc64.update(chunk));
    Payload {
        length: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
        crc64: crc64.finish(),
        chunks,
        pace,
    }
}

/// A second for each slice.
#[derive(Debug)]
struct Slow;

impl Pace for Slow {
    fn slice_max(&self) -> usize {
        5
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        Some(Box::pin(async move {
            tokio::time::sleep(SECOND).await;
            bytes
        }))
    }
}

/// The destination behind a fence, the lease that keeps it open, and what ends the run.
fn fenced() -> (Fenced<MemoryDestination>, LeaseHolder, CancellationToken) {
    let (holder, shut) = (LeaseHolder::new(tokio_time), CancellationToken::new());
    let fence = Fence::new(Some(holder.lease()), shut.clone());
    (
        Fenced::new(Arc::new(MemoryDestination::new()), fence),
        holder,
        shut,
    )
}

#[tokio::test]
async fn an_open_fence_is_not_felt() {
    let unleased = Fence::new(None, CancellationToken::new());
    destination_contract(&Fenced::new(Arc::new(MemoryDestination::new()), unleased)).await;
    let (fenced, holder, shut) = fenced();
    give(&holder, 3600 * SECOND);
    destination_contract(&fenced).await;
    assert!(!shut.is_cancelled());
}

/// Makes every call that changes something; none may end.
async fn write_all(fenced: &Fenced<MemoryDestination>, upload: &UploadId) {
    let (key, header) = (key(), header());
    let identifier = ObjectIdentifier {
        key: key.clone(),
        etag: String::new(),
    };
    let state = ObjectState {
        kind: None,
        size: 0,
        etag: String::new(),
        metadata: PosixMetadata::default(),
        crc64: None,
        checksum: None,
        storage_class: None,
        extended: None,
    };
    let part = PartStream {
        chunks: Box::pin(tokio_stream::empty()),
        length: 0,
        pace: Arc::new(Unpaced),
    };
    let nothing = payload(0, Arc::new(Unpaced));
    let sum = nothing.crc64;
    let moment = Duration::from_millis(1);
    macro_rules! never {
        ($($call:expr),+ $(,)?) => {
            $(assert!(tokio::time::timeout(moment, $call).await.is_err(), stringify!($call));)+
        };
    }
    never!(
        fenced.put(&key, &header, nothing.clone()),
        fenced.create_upload(&key, &header, 1),
        fenced.upload_part(&key, upload, 1, nothing.clone()),
        fenced.stream_part(&key, upload, 1, part),
        fenced.complete_upload(&key, upload, &header, &[], sum),
        fenced.abort_upload(&key, upload),
        fenced.set_metadata(&key, &state, &PosixMetadata::default(), None),
        fenced.delete(std::slice::from_ref(&identifier)),
    );
}

#[tokio::test(start_paused = true)]
async fn behind_a_shut_fence_nothing_changes_and_everything_can_be_read() {
    let (fenced, holder, shut) = fenced();
    give(&holder, SECOND);
    let upload = fenced.create_upload(&key(), &header(), 1).await.unwrap();
    tokio::time::sleep(SECOND).await;
    fenced.destination.script().forget_calls();
    write_all(&fenced, &upload).await;
    assert!(shut.is_cancelled(), "the run ends");
    assert_eq!(fenced.destination.script().calls(), []);
    // A lease that comes too late opens nothing: the run is at its end already.
    give(&holder, SECOND);
    write_all(&fenced, &upload).await;
    assert_eq!(fenced.destination.script().calls(), []);
    assert_eq!(fenced.open_uploads(&key()).await.unwrap().len(), 1);
    assert_eq!(fenced.parts(&key(), &upload).await.unwrap(), []);
    assert!(fenced.list(None).await.unwrap().objects.is_empty());
    assert_eq!(fenced.stat(&key()).await.unwrap(), None);
}

/// As after SIGCONT: no timer of ours has run, and the body is asked for its next slice.
#[tokio::test(start_paused = true)]
async fn a_body_stops_between_two_slices() {
    let (fenced, holder, shut) = fenced();
    give(&holder, 3 * SECOND + SECOND / 2);
    let (began, key, header) = (Instant::now(), key(), header());
    let put = fenced.put(&key, &header, payload(10, Arc::new(Slow)));
    assert!(tokio::time::timeout(60 * SECOND, put).await.is_err());
    let sent = fenced.destination.transits();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|slice| slice.at - began <= 3 * SECOND));
    assert!(shut.is_cancelled());
    assert!(fenced.destination.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_with_its_lease_and_goes_on_with_its_renewals() {
    let (fenced, holder, shut) = fenced();
    give(&holder, 10 * SECOND);
    let began = Instant::now();
    let renewed = async {
        tokio::time::sleep(8 * SECOND).await;
        give(&holder, 10 * SECOND);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = fenced.fence.shut() => {}
        () = renewed => {}
    }
    assert_eq!(began.elapsed().as_secs(), 18);
    assert!(shut.is_cancelled());
}
