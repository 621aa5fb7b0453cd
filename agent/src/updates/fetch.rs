//! A bundle from control.

use std::time::Duration;

use bytes::Bytes;
use datasync_model::ReleaseVersion;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{FetchReleaseRequest, MESSAGE_BYTES_MAX};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use crate::link;

/// Control sends the next part within this time.
const PART_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no more of a bundle.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("control does not give the release: {0}")]
    Control(String),
    /// Whoever takes the parts wants no more.
    #[error("the bundle was not taken in to its end")]
    Unwanted,
}

/// Gives the bundle of `version` for this machine to `parts`.
pub(super) async fn fetch(
    control: Channel,
    version: &ReleaseVersion,
    parts: mpsc::Sender<Bytes>,
) -> Result<(), FetchError> {
    let said = |text: &str| FetchError::Control(text.to_owned());
    let silent = |_| said("it was silent for too long");
    let refused = |status: tonic::Status| said(&link::describe(&status));
    let mut client = SessionClient::new(control).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = FetchReleaseRequest {
        version: version.to_string(),
        architecture: std::env::consts::ARCH.to_owned(),
    };
    let asked = tokio::time::timeout(PART_TIMEOUT, client.fetch_release(request)).await;
    let mut stream = asked.map_err(silent)?.map_err(refused)?.into_inner();
    loop {
        let part = tokio::time::timeout(PART_TIMEOUT, stream.message()).await;
        let Some(part) = part.map_err(silent)?.map_err(refused)? else {
            return Ok(());
        };
        let taken = parts.send(Bytes::from(part.data)).await;
        taken.map_err(|_| FetchError::Unwanted)?;
    }
}
