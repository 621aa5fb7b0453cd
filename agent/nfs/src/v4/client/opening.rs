//! OPEN, which makes files (RFC 8881 §18.16, RFC 7530 §16.16), and CLOSE.
//!
//! Nothing stays open: WRITEs need no open file here, and a server that is restarted has no state of
//! ours to lose.

use datasync_endpoint::{EndpointError, ErrorKind};

use super::super::attributes::Wanted;
use super::super::compound::{Compound, Operation, Results};
use super::super::owner::Owner;
use super::super::status::Status;
use super::Client;
use super::changes::{read_bitmap, read_change, refused};
use crate::changes::{Made, NewAttributes, unsure};
use crate::counts::Procedure;
use crate::xdr::{Malformed, Reply};

/// `share_access`: the file is opened to write to; version 4.1 adds that no delegation is wanted.
const WRITE: u32 = 2;
const NO_DELEGATION: u32 = 0x400;
/// `opentype4`, `createmode4`, `open_claim_type4`.
const CREATE: u32 = 1;
const GUARDED: u32 = 1;
const BY_NAME: u32 = 0;
/// `rflags`: the open owner is new to the server (RFC 7530 §16.18).
const CONFIRM: u32 = 2;
/// The stateid that the operation before in the same COMPOUND gave (RFC 8881 §8.2.3).
const CURRENT: [u32; 4] = [1, 0, 0, 0];
/// Client ids that are tried on behalf of one call.
const CLIENTS_MAX: usize = 2;

type StateId = [u8; 16];

/// What OPEN gave.
pub(super) struct Opened {
    state: StateId,
    is_to_be_confirmed: bool,
}

fn open(compound: Compound, owner: &Owner, access: u32, name: &[u8], mode: u32) -> Compound {
    let new = NewAttributes {
        mode: Some(mode),
        ..NewAttributes::default()
    };
    compound
        .operation(Operation::Open)
        .words(&[owner.number, access, 0])
        .longs(&[owner.client])
        .data(owner.name.as_bytes())
        .words(&[CREATE, GUARDED])
        .new_attributes(&new)
        .words(&[BY_NAME])
        .data(name)
}

pub(super) fn read_open(reply: &mut Reply) -> Result<Opened, Malformed> {
    let state = reply.fixed::<StateId>("a stateid")?;
    read_change(reply)?;
    let flags = reply.u32("the flags of an OPEN")?;
    read_bitmap(reply)?;
    match reply.u32("a delegation")? {
        0 => {}
        // Why there is none: for two of the reasons, whether the server will tell.
        3 => {
            if matches!(reply.u32("why there is no delegation")?, 1 | 2) {
                reply.u32("whether the server will tell")?;
            }
        }
        _ => {
            return Err(Malformed::Other(
                "a delegation, which was not asked for".to_owned(),
            ));
        }
    }
    Ok(Opened {
        state,
        is_to_be_confirmed: flags & CONFIRM != 0,
    })
}

pub(super) fn read_state(reply: &mut Reply) -> Result<StateId, Malformed> {
    reply.fixed("a stateid")
}

impl Client {
    /// Opens and closes in one COMPOUND: the session keeps the order.
    pub(super) async fn make_file_in_session(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let procedure = Procedure::Open;
        let further = |compound| self.open_and_close(compound, name, mode);
        let mut results = self.change(procedure, directory, further).await?;
        self.opened_and_closed(procedure, &mut results)
    }

    pub(super) fn open_and_close(&self, compound: Compound, name: &[u8], mode: u32) -> Compound {
        // Client and number are the session's here.
        let owner = Owner {
            client: 0,
            name: self.identity.1.clone(),
            number: 0,
        };
        open(compound, &owner, WRITE | NO_DELEGATION, name, mode)
            .handle()
            .attributes(Wanted::Entry)
            .operation(Operation::Close)
            .words(&[0])
            .words(&CURRENT)
    }

    pub(super) fn opened_and_closed(
        &self,
        procedure: Procedure,
        results: &mut Results,
    ) -> Result<Made, EndpointError> {
        self.result(procedure, results, Operation::Open, read_open)?;
        let made = self.made(procedure, results)?;
        self.result(procedure, results, Operation::Close, read_state)?;
        Ok(made)
    }

    /// The same for version 4.0: by an owner whose calls are numbered, confirmed if it is new.
    pub(super) async fn make_file_by_owner(
        &self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        for _ in 0..CLIENTS_MAX {
            let client = self.client_id().await?;
            match self.open_as(client, directory, name, mode).await? {
                Some(made) => return Ok(made),
                None => self.open_owners.forget(client).await,
            }
        }
        let detail = "the server forgets this client again and again".to_owned();
        Err(self.error(ErrorKind::Busy, Procedure::Open, detail))
    }

    /// `None` where the server does not know this client any more.
    async fn open_as(
        &self,
        client: u64,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Option<Made>, EndpointError> {
        let procedure = Procedure::Open;
        let mut owner = self.open_owners.take(client, &self.identity.1);
        let further = |compound: Compound| {
            open(compound, &owner, WRITE, name, mode)
                .handle()
                .attributes(Wanted::Entry)
        };
        let mut results = self.change(procedure, directory, further).await?;
        let opened = match results.next(Operation::Open) {
            Ok(reply) => read_open(reply).map_err(|why| unsure(self.malformed(procedure, &why)))?,
            Err(why) if refused(&why).is_some_and(is_of_client) => return Ok(None),
            Err(why) => return Err(unsure(self.unanswered(procedure, &why))),
        };
        let made = self.made(procedure, &mut results)?;
        owner.number = owner.number.wrapping_add(1);
        let mut state = opened.state;
        if opened.is_to_be_confirmed {
            state = self.confirm(&made.0, state, &owner).await?;
            owner.number = owner.number.wrapping_add(1);
        }
        self.close(&made.0, state, &owner).await?;
        owner.number = owner.number.wrapping_add(1);
        self.open_owners.give_back(owner);
        Ok(Some(made))
    }

    async fn confirm(
        &self,
        file: &[u8],
        state: StateId,
        owner: &Owner,
    ) -> Result<StateId, EndpointError> {
        let procedure = Procedure::OpenConfirm;
        let further = |compound: Compound| {
            let compound = compound.operation(Operation::OpenConfirm).fixed(&state);
            compound.words(&[owner.number])
        };
        let mut results = self.change(procedure, file, further).await?;
        self.result(procedure, &mut results, Operation::OpenConfirm, read_state)
    }

    async fn close(
        &self,
        file: &[u8],
        state: StateId,
        owner: &Owner,
    ) -> Result<StateId, EndpointError> {
        let procedure = Procedure::Close;
        let further = |compound: Compound| {
            let compound = compound.operation(Operation::Close);
            compound.words(&[owner.number]).fixed(&state)
        };
        let mut results = self.change(procedure, file, further).await?;
        self.result(procedure, &mut results, Operation::Close, read_state)
    }

    /// What the server knows this client by in version 4.0 (RFC 7530 §16.33 and §16.34).
    async fn client_id(&self) -> Result<u64, EndpointError> {
        let mut known = self.open_owners.client.lock().await;
        if let Some(client) = *known {
            return Ok(client);
        }
        let procedure = Procedure::SetClientId;
        let (verifier, name) = &self.identity;
        let compound = Compound::default().set_client_id(*verifier, name.as_bytes());
        let mut results = self.call(procedure, compound).await?;
        let (client, confirm) =
            self.result(procedure, &mut results, Operation::SetClientId, |reply| {
                Ok((reply.u64("a client id")?, reply.u64("a verifier")?))
            })?;
        let compound = Compound::default()
            .operation(Operation::SetClientIdConfirm)
            .longs(&[client, confirm]);
        let mut results = self.call(procedure, compound).await?;
        let confirmed = Operation::SetClientIdConfirm;
        self.result(procedure, &mut results, confirmed, |_| Ok(()))?;
        *known = Some(client);
        Ok(client)
    }
}

/// Whether the server says that it does not know the client, or that its lease has ended.
fn is_of_client(status: Status) -> bool {
    [Status::STALE_CLIENTID, Status::EXPIRED].contains(&status)
}
