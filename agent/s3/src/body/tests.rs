use super::*;
use datasync_endpoint::{Crc64, Unpaced};
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
