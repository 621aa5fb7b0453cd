//! The session of a client: made where there is none, forgotten when it is of no use, given back at the end.

use std::sync::{Arc, PoisonError};

use datasync_endpoint::EndpointError;

use super::super::compound::{Compound, Operation, Unanswered};
use super::super::session::{
    ClientId, Session, create_session, exchange_id, read_client_id, read_session,
};
use super::super::status::Status;
use super::{Client, Missed};
use crate::counts::Procedure;

impl Client {
    pub(super) fn current(&self) -> Option<Arc<Session>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.clone()
    }

    /// The session, which is made where there is none.
    pub(super) async fn session(&self) -> Result<Arc<Session>, EndpointError> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let _making = self.making.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let session = Arc::new(self.make_session().await?);
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
        Ok(session)
    }

    pub(super) fn forget(&self, gone: &Arc<Session>, why: Status) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session
            .as_ref()
            .is_some_and(|present| Arc::ptr_eq(present, gone))
        {
            tracing::info!(
                target = self.target,
                ?why,
                "an NFS session has ended; making another"
            );
            *session = None;
        }
    }

    async fn make_session(&self) -> Result<Session, EndpointError> {
        let (verifier, owner) = &self.identity;
        let procedure = Procedure::ExchangeId;
        let asked = exchange_id(*verifier, owner.as_bytes());
        let mut results = self.send(procedure, None, &asked).await?;
        let client: ClientId = results
            .next(Operation::ExchangeId)
            .and_then(|reply| Ok(read_client_id(reply)?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        let procedure = Procedure::CreateSession;
        let asked = create_session(client, self.calls_max, self.read_size_max);
        let mut results = self.send(procedure, None, &asked).await?;
        let session = results
            .next(Operation::CreateSession)
            .and_then(|reply| Ok(read_session(reply, client, self.calls_max)?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        self.complete_reclaim(&session).await?;
        Ok(session)
    }

    /// Tells the server that nothing is to be reclaimed, without which some of them serve nothing
    /// (RFC 8881 §18.51.3).
    async fn complete_reclaim(&self, session: &Session) -> Result<(), EndpointError> {
        let procedure = Procedure::ReclaimComplete;
        let compound = Compound::default()
            .operation(Operation::ReclaimComplete)
            .words(&[0]);
        let called = self.call_in(session, procedure, &compound).await;
        let mut results = called.map_err(|missed| match missed {
            Missed::Failed(error) => error,
            Missed::Session(status) => self.unanswered(procedure, &Unanswered::Status(status)),
        })?;
        match results.next(Operation::ReclaimComplete) {
            Err(Unanswered::Status(Status::COMPLETE_ALREADY)) | Ok(_) => Ok(()),
            Err(why) => Err(self.unanswered(procedure, &why)),
        }
    }

    /// Gives session and client id back. What the server does not hear of it forgets by itself.
    pub(in crate::v4) async fn end(&self) {
        let Some(session) = self.current() else {
            return;
        };
        for compound in session.destroy() {
            let sent = self.send(Procedure::DestroySession, None, &compound).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "an NFS session is left to the server");
                return;
            }
        }
    }

    /// The longest request and the longest reply that the session allows, in bytes.
    pub(in crate::v4) async fn message_max(&self) -> Result<(u32, u32), EndpointError> {
        if self.minor == 0 {
            return Ok((u32::MAX, u32::MAX));
        }
        let session = self.session().await?;
        Ok((session.request_max, session.reply_max))
    }
}
