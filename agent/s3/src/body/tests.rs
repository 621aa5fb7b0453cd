use super::*;
use crate::calls::Operation;
use crate::requests::{Requests, Wait};
use datasync_endpoint::{Crc64, Unpaced};
use futures::StreamExt;
use http_body_util::BodyExt;

#[derive(Debug)]
struct Ticks {
    granted: Mutex<Vec<usize>>,
    every: Duration,
    /// Grants at most so many bytes of those that are asked for.
    most: usize,
}

impl Pace for Ticks {
    fn slice_max(&self) -> usize {
        3
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        Some(Box::pin(async move {
            tokio::time::sleep(self.every).await;
            let granted = bytes.min(self.most);
            self.granted.lock().unwrap().push(granted);
            granted
        }))
    }
}

fn payload(chunks: &[&'static [u8]], pace: Arc<dyn Pace>) -> Payload {
    let chunks: Vec<Bytes> = chunks
        .iter()
        .map(|chunk| Bytes::from_static(chunk))
        .collect();
    Payload {
        length: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
        crc64: Crc64::of(&chunks.concat()),
        chunks,
        pace,
    }
}

/// What is granted while a body of two chunks is sent.
async fn grants(most: usize) -> Vec<usize> {
    let pace = Arc::new(Ticks {
        granted: Mutex::default(),
        every: Duration::from_secs(100),
        most,
    });
    let progress = Progress::new();
    let body = PacedBody::new(
        &payload(&[b"12345", b"6789"], pace.clone()),
        progress.clone(),
    );
    assert_eq!(body.size_hint().exact(), Some(9));
    let sent = tokio::select! {
        sent = body.collect() => sent.unwrap().to_bytes(),
        () = progress.stalled(Duration::from_secs(30)) => panic!("waiting for grants is no stall"),
    };
    assert_eq!(sent, "123456789");
    pace.granted.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn every_slice_is_granted_before_it_leaves() {
    assert_eq!(grants(3).await, [3, 2, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_granted_of_a_slice_is_asked_for_again() {
    assert_eq!(grants(2).await, [2, 1, 2, 2, 1, 1]);
}

#[tokio::test]
async fn slices_share_the_payloads_memory() {
    let buffer = Bytes::from(vec![7u8; SLICE_MAX + 10]);
    let payload = Payload {
        chunks: vec![buffer.clone()],
        length: buffer.len() as u64,
        crc64: Crc64::EMPTY,
        pace: Arc::new(Unpaced),
    };
    let mut body = PacedBody::new(&payload, Progress::new());
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((first.as_ptr(), first.len()), (buffer.as_ptr(), SLICE_MAX));
    assert_eq!(
        body.frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len(),
        10
    );
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_takes_is_stalled() {
    let progress = Progress::new();
    let _body = PacedBody::new(&payload(&[b"1"], Arc::new(Unpaced)), progress.clone());
    let before = Instant::now();
    progress.stalled(Duration::from_secs(5)).await;
    assert_eq!(before.elapsed().as_secs(), 5);
}

fn streamed(chunks: &[&'static [u8]], pace: Arc<dyn Pace>, progress: &Arc<Progress>) -> PacedBody {
    let payload = payload(chunks, Arc::clone(&pace));
    let later = futures::stream::iter(payload.chunks).then(|chunk| async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        Ok(chunk)
    });
    let part = PartStream {
        chunks: Box::pin(later),
        length: payload.length,
        pace,
    };
    PacedBody::streamed(part, Arc::default(), Arc::clone(progress))
}

/// How long after its last byte a request ends to which the store never answers.
async fn waited(body: PacedBody, progress: Arc<Progress>) -> Duration {
    let requests = Requests::new(1, Duration::from_secs(20));
    let taken = Mutex::new(None);
    let request = async {
        body.collect().await.unwrap();
        *taken.lock().unwrap() = Some(Instant::now());
        std::future::pending::<()>().await;
    };
    let wait = Wait::Body(progress);
    let ended = requests.within(wait, Operation::UploadPart, "k", request);
    let ended = tokio::time::timeout(Duration::from_secs(3600), ended).await;
    let error = ended.expect("it ends").unwrap_err();
    assert_eq!(error.kind, datasync_endpoint::ErrorKind::Timeout);
    taken.into_inner().unwrap().unwrap().elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_the_body_and_never_answers_is_timed_out() {
    let slow = Arc::new(Ticks {
        granted: Mutex::default(),
        every: Duration::from_secs(100),
        most: usize::MAX,
    });
    let paces: [Arc<dyn Pace>; 2] = [Arc::new(Unpaced), slow];
    for pace in paces {
        let progress = Progress::new();
        let body = PacedBody::new(
            &payload(&[b"1234", b""], Arc::clone(&pace)),
            progress.clone(),
        );
        assert_eq!(waited(body, progress).await, Duration::from_secs(20));
        let progress = Progress::new();
        let body = streamed(&[b"1234", b"5"], pace, &progress);
        assert_eq!(waited(body, progress).await, Duration::from_secs(20));
    }
}
