//! A response stream that carries the session which fills it: the connection owns the session,
//! and drops it when it ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use datasync_proto::ControlMessage;
use futures::Stream;
use tokio::sync::mpsc;
use tonic::Status;

type Outgoing = Result<ControlMessage, Status>;

/// Messages that a session has made and the connection has not yet taken.
const OUTGOING_QUEUE: usize = 16;

/// See the module.
pub(crate) struct SessionStream {
    session: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    outgoing: mpsc::Receiver<Outgoing>,
}

impl std::fmt::Debug for SessionStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStream").finish_non_exhaustive()
    }
}

impl SessionStream {
    /// `session` gets the sender and runs for as long as the stream is polled.
    pub(crate) fn new<F>(session: impl FnOnce(mpsc::Sender<Outgoing>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, outgoing) = mpsc::channel(OUTGOING_QUEUE);
        Self {
            session: Some(Box::pin(session(sender))),
            outgoing,
        }
    }
}

impl Stream for SessionStream {
    type Item = Outgoing;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(session) = &mut self.session
            && session.as_mut().poll(context).is_ready()
        {
            self.session = None;
        }
        self.outgoing.poll_recv(context)
    }
}
