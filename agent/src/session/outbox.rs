//! Messages on their way to control: bounded, and never waited for without end.

use std::time::Duration;

use datasync_proto::AgentMessage;
use datasync_proto::agent_message::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const CAPACITY: usize = 64;
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// The stream takes nothing more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undeliverable {
    #[error("the session with control is closed")]
    Closed,
    #[error("control accepted no message for {} s", SEND_TIMEOUT.as_secs())]
    Stuck,
}

#[derive(Debug)]
pub(super) struct Outbox(Option<mpsc::Sender<AgentMessage>>);

impl Outbox {
    pub(super) fn new() -> (Self, ReceiverStream<AgentMessage>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self(Some(sender)), ReceiverStream::new(receiver))
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), Undeliverable> {
        let message = AgentMessage {
            message: Some(message),
        };
        let sender = self.0.as_ref().ok_or(Undeliverable::Closed)?;
        sender
            .send_timeout(message, SEND_TIMEOUT)
            .await
            .map_err(|error| match error {
                mpsc::error::SendTimeoutError::Closed(_) => Undeliverable::Closed,
                mpsc::error::SendTimeoutError::Timeout(_) => Undeliverable::Stuck,
            })
    }

    /// Ends the stream: control sees its end after the last message.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }
}
