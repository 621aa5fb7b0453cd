//! Bodies of requests: bounded in length, in time, and in what all of them hold together.

mod room;
mod shares;

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

use super::error::ApiError;
pub(crate) use room::BodyRoom;
use room::Room;

/// The longest body, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bodies up to this length need no room of the shared one, in bytes.
const SMALL_BYTES_MAX: usize = 16 * 1024;
/// What larger bodies hold together, in bytes.
const SHARED_BYTES: usize = 16 * 1024 * 1024;

/// A body, and the room that it takes until it is dropped.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) bytes: Bytes,
    _room: Option<Room>,
}

/// Reads a body from an address that arrives within `patience`, the wait for room included.
///
/// # Errors
/// [`ApiError`]: too long, too slow, cut off, or given up for that of an address that has less.
pub(super) async fn read<B>(
    body: B,
    (room, address): (&BodyRoom, IpAddr),
    patience: Duration,
) -> Result<RequestBody, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let reading = async {
        let Some(bytes) = needed(body.size_hint().upper()) else {
            let bytes = collected(body).await?;
            return Ok(RequestBody { bytes, _room: None });
        };
        let room = room.enter(address, bytes).await;
        let bytes = tokio::select! {
            bytes = collected(body) => bytes?,
            () = room.must_yield() => return Err(ApiError::unavailable()),
        };
        if !room.keep() {
            return Err(ApiError::unavailable());
        }
        Ok(RequestBody {
            bytes,
            _room: Some(room),
        })
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::too_slow()),
    }
}

/// The shared room for a body of the announced length; what announces none may be of any.
fn needed(announced: Option<u64>) -> Option<usize> {
    let length = announced.and_then(|length| usize::try_from(length).ok());
    let most = length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    Some(most).filter(|_| most > SMALL_BYTES_MAX)
}

/// In one piece: kept as they come, a body of many tiny chunks would take many times its length.
async fn collected<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let cut = |_| ApiError::serialization("The request body ended early.");
        let Ok(data) = frame.map_err(cut)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            return Err(ApiError::too_large(BODY_BYTES_MAX));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt, stream};
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn from(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn pieces(
        count: usize,
        piece: &'static [u8],
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames =
            stream::iter(0..count).map(move |_| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(frames)
    }

    #[tokio::test]
    async fn a_body_is_put_together_and_bounded() {
        let room = BodyRoom::new();
        let body = read(pieces(3, b"ab"), (&room, from(1)), PATIENCE)
            .await
            .unwrap();
        assert_eq!(&body.bytes[..], b"ababab");
        let longest = read(pieces(1024, &[b'x'; 1024]), (&room, from(1)), PATIENCE).await;
        assert_eq!(longest.unwrap().bytes.len(), BODY_BYTES_MAX);
        let longer = read(pieces(1025, &[b'x'; 1024]), (&room, from(1)), PATIENCE).await;
        assert_eq!(longer.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let room = BodyRoom::new();
        let mut held = Vec::new();
        for _ in 0..SHARED_BYTES / BODY_BYTES_MAX {
            held.push(
                read(pieces(1, b"x"), (&room, from(1)), PATIENCE)
                    .await
                    .unwrap(),
            );
        }
        let small = read(
            Full::new(Bytes::from_static(b"{}")),
            (&room, from(1)),
            PATIENCE,
        )
        .await;
        assert_eq!(&small.unwrap().bytes[..], b"{}");
        let large = Full::new(Bytes::from(vec![b'x'; SMALL_BYTES_MAX + 1]));
        let refused = read(large.clone(), (&room, from(1)), PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(refused.status, 408);
        held.pop();
        assert!(read(large, (&room, from(1)), PATIENCE).await.is_ok());
    }

    fn never() -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>())
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_trickle_keep_those_of_other_addresses_out_for_no_moment() {
        let room = BodyRoom::new();
        let slow = || read(never(), (&room, from(1)), PATIENCE);
        let slow = futures::future::join_all((0..SHARED_BYTES / BODY_BYTES_MAX).map(|_| slow()));
        let mut slow = std::pin::pin!(slow);
        assert!(futures::poll!(slow.as_mut()).is_pending());
        let began = tokio::time::Instant::now();
        let large = Full::new(Bytes::from(vec![b'x'; SMALL_BYTES_MAX + 1]));
        let read = read(large, (&room, from(2)), PATIENCE).await.unwrap();
        assert_eq!(read.bytes.len(), SMALL_BYTES_MAX + 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut given_up: Vec<u16> = slow
            .await
            .into_iter()
            .map(|r| r.unwrap_err().status)
            .collect();
        given_up.dedup();
        assert_eq!(
            given_up,
            [503, 408],
            "the oldest one, and what did not come"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_given_up() {
        let refused = read(never(), (&BodyRoom::new(), from(1)), PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(refused.status, 408);
    }
}
