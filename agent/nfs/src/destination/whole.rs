//! Small files that are made, written and read back by one call.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Crc64, EndpointError, ErrorKind, Key, Pace, Payload, ReadBack, Source as _,
};

use super::NfsDestination;
use super::putting::UNFINISHED_MODE;
use super::writing::{held, leading_hole};
use crate::changes::{Made, Whole};

/// Bytes of a file that is small: larger ones are sent in several WRITEs at a time.
const SMALL_MAX: usize = 64 << 10;

impl NfsDestination {
    /// A file with its content, on stable storage and read back. `None`, with nothing left behind, where it
    /// is to be done call by call: it is not small, the version has no such call, or the server does
    /// something else with it than it was asked to.
    pub(super) async fn make_whole(
        &self,
        key: &Key,
        (staging, name): (&Bytes, &str),
        payload: &Payload,
    ) -> Result<Option<Made>, EndpointError> {
        let Some(content) = self.small(payload) else {
            return Ok(None);
        };
        // There and back.
        let _held = held(&self.in_hand, 2 * content.len()).await?;
        granted(&payload.pace, content.len()).await;
        let new = (UNFINISHED_MODE, &content[..]);
        let changes = self.tree.changes();
        let making = changes.make_whole_file(staging, name.as_bytes(), new);
        let sent = ReadBack {
            size: payload.length,
            crc64: payload.crc64,
        };
        let whole = match making.await {
            Ok(None) => return Ok(None),
            Ok(Some(whole)) if is_as_asked(&whole, content.len()) => Ok(whole),
            Ok(Some(_)) => Err(None),
            Err(error) if error.kind.is_transient() || error.kind == ErrorKind::Stale => {
                Err(Some(error))
            }
            Err(error) => {
                tracing::debug!(%error, "a small file is written call by call");
                Err(None)
            }
        };
        let checked = whole.and_then(|whole| {
            let found = ReadBack {
                size: whole.content.len() as u64,
                crc64: Crc64::of(&whole.content),
            };
            let checked = self.is_sent(key, sent, found);
            checked.map(|()| whole.made).map_err(Some)
        });
        match checked {
            Ok(made) => Ok(Some(made)),
            Err(error) => {
                self.unstage(staging, name).await;
                error.map_or(Ok(None), |error| Err(self.of_item(key, error)))
            }
        }
    }

    /// The content of a file that one WRITE and one READ are enough for, and that has no holes.
    fn small<'a>(&self, payload: &'a Payload) -> Option<&'a Bytes> {
        let [content] = &payload.chunks[..] else {
            return None;
        };
        let message_max = self.write_max().min(self.tree.read_max()) as usize;
        let length_max = SMALL_MAX.min(message_max).min(payload.pace.slice_max());
        (content.len() <= length_max && leading_hole(content) == 0).then_some(content)
    }
}

fn is_as_asked(whole: &Whole, length: usize) -> bool {
    let written = &whole.written;
    written.is_stable && written.count as usize == length && whole.content.len() == length
}

/// Waits until all of it may be sent.
async fn granted(pace: &Arc<dyn Pace>, mut bytes: usize) {
    while bytes > 0 {
        match Arc::clone(pace).grant(bytes) {
            Some(grant) => bytes -= grant.await.clamp(1, bytes),
            None => return,
        }
    }
}
