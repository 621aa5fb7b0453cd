//! Calls on one server as one user: with a session where the minor version has them.

mod changes;
mod extended;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod opening;
mod seeking;
mod sessions;
mod whole;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{Attributes, EndpointError, ErrorKind, ReadReply};
use tokio::sync::Mutex;

use super::attributes::{Lacking, Sizes, Values, Wanted};
use super::compound::{Compound, Operation, Results, Sent, Sequence, Unanswered};
use super::owner::OpenOwners;
use super::owners::Owners;
use super::session::{Session, ends_session, read_sequence, settles};
use super::slots::Taken;
use super::status::Status;
use crate::config::NfsConfig;
use crate::counts::{Counters, Procedure};
use crate::lacking::Lack;
use crate::rpc::{self, Refusal};
use crate::socket::arbitrary;
use crate::status::{is_name, printable};
use crate::transport::Transport;
use crate::xdr::{Malformed, Reply};

const PROGRAM: u32 = 100_003;
const VERSION: u32 = 4;
const COMPOUND: u32 = 1;
/// Sessions that are asked for on behalf of one call.
const SESSIONS_MAX: usize = 3;
/// How often, and how long after each time, a server is asked about a call that it is still at.
const SETTLE_MAX: u32 = 50;
const SETTLE_WAIT: Duration = Duration::from_millis(20);
/// The longest target of a symbolic link that we take.
const LINK_TARGET_MAX: usize = 4096;

/// Why a call has no results.
enum Missed {
    /// Its session is of no use any more.
    Session(Status),
    Failed(EndpointError),
}

impl From<EndpointError> for Missed {
    fn from(error: EndpointError) -> Self {
        Self::Failed(error)
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(super) transport: Transport,
    pub(super) minor: u32,
    counters: Arc<Counters>,
    /// `host:/path`, for messages.
    pub(super) target: String,
    uid: u32,
    owners: Arc<Owners>,
    /// What tells this client from every other one.
    identity: (u64, String),
    calls_max: u32,
    read_size_max: u32,
    session: StdMutex<Option<Arc<Session>>>,
    /// Held while a session is made.
    making: Mutex<()>,
    /// For version 4.0, which has no sessions.
    open_owners: OpenOwners,
}

impl Client {
    pub(super) fn new(
        address: SocketAddr,
        minor: u32,
        config: &NfsConfig,
        counters: Arc<Counters>,
    ) -> Self {
        let calls = config
            .connections
            .saturating_mul(config.in_flight_per_connection);
        Self {
            transport: Transport::new(address, config),
            minor,
            counters,
            target: format!("{}:{}", config.server_hostname, config.path),
            uid: config.uid,
            owners: Arc::clone(&config.owners),
            identity: (arbitrary(), format!("datasync-agent {:016x}", arbitrary())),
            calls_max: u32::try_from(calls).unwrap_or(u32::MAX),
            read_size_max: config.read_size_max,
            session: StdMutex::default(),
            making: Mutex::default(),
            open_owners: OpenOwners::default(),
        }
    }

    pub(super) fn error(
        &self,
        kind: ErrorKind,
        procedure: Procedure,
        detail: String,
    ) -> EndpointError {
        EndpointError::new(kind, procedure.name(), self.target.clone(), detail)
    }

    pub(super) fn malformed(&self, procedure: Procedure, error: &Malformed) -> EndpointError {
        self.error(ErrorKind::Protocol, procedure, error.to_string())
    }

    pub(super) fn unanswered(&self, procedure: Procedure, why: &Unanswered) -> EndpointError {
        match why {
            Unanswered::Status(status) => {
                status.error(procedure.name(), self.target.clone(), self.uid)
            }
            Unanswered::Malformed(error) => self.malformed(procedure, error),
        }
    }

    /// Carries out `compound`; its results may hold a failure at any operation.
    pub(super) async fn call(
        &self,
        procedure: Procedure,
        compound: Compound,
    ) -> Result<Results, EndpointError> {
        if self.minor == 0 {
            return self.send(procedure, None, &compound).await;
        }
        let mut last = Status::BADSESSION;
        for _ in 0..SESSIONS_MAX {
            let session = self.session().await?;
            match self.call_in(&session, procedure, &compound).await {
                Ok(results) => return Ok(results),
                Err(Missed::Failed(error)) => return Err(error),
                Err(Missed::Session(status)) => {
                    self.forget(&session, status);
                    last = status;
                }
            }
        }
        Err(last.error(procedure.name(), self.target.clone(), self.uid))
    }

    async fn call_in(
        &self,
        session: &Session,
        procedure: Procedure,
        compound: &Compound,
    ) -> Result<Results, Missed> {
        let slot = session.slots.take().await;
        let mut slot =
            slot.map_err(|error| self.error(ErrorKind::Unreachable, procedure, error.to_string()))?;
        if slot.is_doubtful() {
            self.settle(session, &mut slot).await?;
        }
        slot.begin();
        let sequence = session.sequence(&slot);
        let mut results = self.send(procedure, Some(sequence), compound).await?;
        let target = results
            .next(Operation::Sequence)
            .and_then(|reply| read_sequence(reply, sequence));
        match target {
            Ok(target) => {
                slot.answered();
                session.slots.heed(target);
                Ok(results)
            }
            Err(why) => {
                slot.refused();
                Err(self.missed(procedure, &why))
            }
        }
    }

    fn missed(&self, procedure: Procedure, why: &Unanswered) -> Missed {
        match why {
            Unanswered::Status(status) if ends_session(*status) => Missed::Session(*status),
            why => Missed::Failed(self.unanswered(procedure, why)),
        }
    }

    /// Asks what became of the slot's last call, by its number: it was carried out, or this is. One
    /// that the server has not ended yet is waited for.
    async fn settle(&self, session: &Session, slot: &mut Taken) -> Result<(), Missed> {
        let procedure = Procedure::Sequence;
        let sequence = session.sequence(slot);
        for tried in 1.. {
            let nothing = Compound::default();
            let mut results = self.send(procedure, Some(sequence), &nothing).await?;
            match results.next(Operation::Sequence) {
                Ok(_) => break,
                Err(Unanswered::Status(status)) if settles(status) => break,
                Err(Unanswered::Status(Status::DELAY)) if tried < SETTLE_MAX => {
                    tokio::time::sleep(SETTLE_WAIT).await;
                }
                Err(why) => return Err(self.missed(procedure, &why)),
            }
        }
        slot.answered();
        Ok(())
    }

    async fn send(
        &self,
        procedure: Procedure,
        sequence: Option<Sequence>,
        compound: &Compound,
    ) -> Result<Results, EndpointError> {
        self.counters.add(procedure);
        let sent = Sent {
            minor: self.minor,
            sequence,
            compound,
        };
        let record = self
            .transport
            .call((PROGRAM, VERSION, COMPOUND), &sent)
            .await
            .map_err(|broken| self.error(broken.kind, procedure, broken.detail.to_string()))?;
        let reply = rpc::accepted(record).map_err(|refusal| self.refused(procedure, &refusal))?;
        Results::read(reply).map_err(|error| self.malformed(procedure, &error))
    }

    fn refused(&self, procedure: Procedure, refusal: &Refusal) -> EndpointError {
        let error = self.error(refusal.kind(), procedure, refusal.to_string());
        match refusal {
            Refusal::ProgramMismatch { high, .. } if *high < VERSION => {
                error.caused_by(Lack::Version4)
            }
            Refusal::ProgramUnavailable => error.caused_by(Lack::Version4),
            _ => error,
        }
    }

    /// The results of operations that come after a PUTFH.
    async fn at(
        &self,
        procedure: Procedure,
        handle: &[u8],
        further: impl FnOnce(Compound) -> Compound,
    ) -> Result<Results, EndpointError> {
        let compound = further(Compound::default().put(handle));
        let mut results = self.call(procedure, compound).await?;
        match results.next(Operation::PutFh) {
            Ok(_) => Ok(results),
            Err(why) => Err(self.unanswered(procedure, &why)),
        }
    }

    fn attributes_of(
        &self,
        procedure: Procedure,
        results: &mut Results,
    ) -> Result<Attributes, EndpointError> {
        let values = results
            .next(Operation::GetAttr)
            .and_then(|reply| Ok(Values::read(reply)?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        self.known(procedure, &values)
    }

    /// Attributes from values, by the numbers of the owners.
    pub(super) fn known(
        &self,
        procedure: Procedure,
        values: &Values,
    ) -> Result<Attributes, EndpointError> {
        values.attributes(&self.owners).map_err(|lacking| {
            let kind = match &lacking {
                Lacking::Absent(_) => ErrorKind::NotSupported,
                Lacking::Unmapped(_) => ErrorKind::Invalid,
            };
            self.error(kind, procedure, lacking.to_string())
        })
    }

    pub(super) async fn attributes(&self, handle: &[u8]) -> Result<Attributes, EndpointError> {
        let procedure = Procedure::GetAttr;
        let further = |compound: Compound| compound.attributes(Wanted::Entry);
        let mut results = self.at(procedure, handle, further).await?;
        self.attributes_of(procedure, &mut results)
    }

    /// The handle of the server's root (RFC 8881 §7.3).
    pub(super) async fn server_root(&self) -> Result<Bytes, EndpointError> {
        let procedure = Procedure::Lookup;
        let compound = Compound::default().put_root().handle();
        let mut results = self.call(procedure, compound).await?;
        let handle = results
            .next(Operation::PutRootFh)
            .map(|_| ())
            .and_then(|()| results.handle())
            .map_err(|why| self.unanswered(procedure, &why))?;
        Ok(Bytes::copy_from_slice(&handle))
    }

    /// Attributes of the root, and what the server says it takes.
    pub(super) async fn root_attributes(
        &self,
        root: &[u8],
    ) -> Result<(Attributes, Sizes), EndpointError> {
        let procedure = Procedure::GetAttr;
        let further = |compound: Compound| compound.attributes(Wanted::Root);
        let mut results = self.at(procedure, root, further).await?;
        let values = results
            .next(Operation::GetAttr)
            .and_then(|reply| Ok(Values::read(reply)?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        Ok((self.known(procedure, &values)?, values.sizes))
    }

    /// Handle and attributes of a name.
    pub(super) async fn lookup(
        &self,
        directory: &[u8],
        name: &[u8],
    ) -> Result<(Bytes, Attributes), EndpointError> {
        let procedure = Procedure::Lookup;
        let named = |mut error: EndpointError| {
            error.target = format!("{} {:?}", error.target, printable(name));
            error
        };
        if !is_name(name) {
            let detail = "not a name: 1 to 255 bytes, no '/', no NUL, not '.' or '..'".to_owned();
            return Err(named(self.error(ErrorKind::InvalidName, procedure, detail)));
        }
        let further = |compound: Compound| {
            let compound = compound.lookup(name).handle();
            compound.attributes(Wanted::Entry)
        };
        let mut results = self
            .at(procedure, directory, further)
            .await
            .map_err(named)?;
        let handle = results
            .next(Operation::Lookup)
            .map(|_| ())
            .and_then(|()| results.handle())
            .map_err(|why| named(self.unanswered(procedure, &why)))?;
        // A copy, so that a few bytes do not keep the reply.
        let handle = Bytes::copy_from_slice(&handle);
        let attributes = self.attributes_of(procedure, &mut results).map_err(named)?;
        Ok((handle, attributes))
    }

    pub(super) async fn read_link(&self, link: &[u8]) -> Result<Bytes, EndpointError> {
        let procedure = Procedure::ReadLink;
        let mut results = self.at(procedure, link, Compound::read_link).await?;
        let target = results
            .next(Operation::ReadLink)
            .and_then(|reply| Ok(reply.opaque(LINK_TARGET_MAX, "the target of a symbolic link")?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        if target.contains(&0) {
            let detail = "the target of the symbolic link has a NUL in it".to_owned();
            return Err(self.error(ErrorKind::Protocol, procedure, detail));
        }
        Ok(Bytes::copy_from_slice(&target))
    }

    /// One READ, and the attributes after it where they can be had. Linux 6.1 damages what follows a
    /// READ whose data ends four bytes before the end of a page: the data is sound, the status of
    /// GETATTR is whatever lay there, and the length of its bitmap is overwritten.
    pub(super) async fn read(
        &self,
        file: &[u8],
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let procedure = Procedure::Read;
        let further = |compound: Compound| compound.read(offset, length).attributes(Wanted::Entry);
        let mut results = self.at(procedure, file, further).await?;
        let (data, eof) = results
            .next(Operation::Read)
            .and_then(|reply| Ok(read_results(reply, length)?))
            .map_err(|why| self.unanswered(procedure, &why))?;
        let attributes = self.attributes_of(procedure, &mut results).ok();
        Ok(ReadReply {
            data,
            eof,
            attributes,
        })
    }

    /// The results of one READDIR, and what they are read from.
    pub(super) async fn read_dir(
        &self,
        directory: &[u8],
        listing: impl FnOnce(Compound) -> Compound,
    ) -> Result<Reply, EndpointError> {
        let procedure = Procedure::ReadDir;
        let mut results = self.at(procedure, directory, listing).await?;
        match results.next(Operation::ReadDir) {
            Ok(_) => Ok(results.reply),
            Err(why) => Err(self.unanswered(procedure, &why)),
        }
    }
}

/// Takes at most what was asked for.
pub(super) fn read_results(reply: &mut Reply, asked: u32) -> Result<(Bytes, bool), Malformed> {
    let eof = reply.flag("the eof of a READ")?;
    let data = reply.opaque(crate::record::RECORD_MAX, "the data of a READ")?;
    let announced = data.len();
    let mut data = data.slice(..announced.min(asked as usize));
    if data.is_empty() && asked > 0 && !eof {
        return Err(Malformed::Other(
            "a READ without data that is not at the end of the file".to_owned(),
        ));
    }
    // A slice keeps the whole reply, and memory is budgeted by what was asked for.
    if data.len() < reply.length() / 2 {
        data = Bytes::copy_from_slice(&data);
    }
    Ok((data, eof && announced <= asked as usize))
}

#[cfg(test)]
mod tests;
