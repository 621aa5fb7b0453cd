//! A session (RFC 8881 §2.10): how it is asked for, and what the server grants.

use std::sync::Arc;

use super::compound::{Compound, Operation, Sequence, Unanswered};
use super::slots::{Slots, Taken};
use super::status::Status;
use crate::xdr::{Malformed, Reply};

/// The most calls in flight that are asked for; the server may grant fewer.
const SLOTS_MAX: u32 = 256;
/// What a reply has beside the data of its READ, and a request beside that of its WRITE, rounded up.
pub(super) const MESSAGE_ROOM: u32 = 4 << 10;
/// Operations of one COMPOUND.
const OPERATIONS_MAX: u32 = 16;
/// No call comes from the server, but it must be told how large one may be.
const BACK_CHANNEL: [u32; 7] = [0, 4096, 4096, 0, 2, 1, 0];
pub(super) const CALLBACK_PROGRAM: u32 = 0x4000_0000;

/// What the server knows this client by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientId {
    pub(super) id: u64,
    /// For the first session.
    sequence: u32,
}

/// A session that the server granted.
#[derive(Debug)]
pub(super) struct Session {
    id: [u8; 16],
    pub(super) client: ClientId,
    pub(super) slots: Arc<Slots>,
    /// Of one COMPOUND.
    pub(super) operations_max: u32,
    /// The longest request, in bytes.
    pub(super) request_max: u32,
    /// The longest reply, in bytes.
    pub(super) reply_max: u32,
}

/// EXCHANGE_ID of a client that no other one is, whatever was here before.
pub(super) fn exchange_id(verifier: u64, owner: &[u8]) -> Compound {
    Compound::default()
        .operation(Operation::ExchangeId)
        .longs(&[verifier])
        .data(owner)
        // No flags, SP4_NONE, no word about the implementation.
        .words(&[0, 0, 0])
}

pub(super) fn read_client_id(reply: &mut Reply) -> Result<ClientId, Malformed> {
    Ok(ClientId {
        id: reply.u64("a client id")?,
        sequence: reply.u32("a sequence id")?,
    })
}

/// READs and WRITEs are of at most `size` bytes.
pub(super) fn create_session(client: ClientId, calls: u32, size: u32) -> Compound {
    let calls = calls.clamp(1, SLOTS_MAX);
    let message_max = size.saturating_add(MESSAGE_ROOM);
    Compound::default()
        .operation(Operation::CreateSession)
        .longs(&[client.id])
        .words(&[client.sequence, 0])
        .words(&[
            0,
            message_max,
            message_max,
            MESSAGE_ROOM,
            OPERATIONS_MAX,
            calls,
            0,
        ])
        .words(&BACK_CHANNEL)
        // One security parameter: AUTH_NONE.
        .words(&[CALLBACK_PROGRAM, 1, 0])
}

/// Reads what was granted; `calls` is what was asked for.
pub(super) fn read_session(
    reply: &mut Reply,
    client: ClientId,
    calls: u32,
) -> Result<Session, Malformed> {
    let id = reply.fixed::<[u8; 16]>("a session id")?;
    for _ in 0..2 {
        reply.u32("a session")?;
    }
    reply.u32("a header's size")?;
    let request_max = reply.u32("the size of requests")?;
    let reply_max = reply.u32("the size of replies")?;
    reply.u32("the size of kept replies")?;
    let operations = reply.u32("a number of operations")?;
    let granted = reply.u32("a number of requests")?;
    if granted == 0 || operations < 6 || request_max < 1024 || reply_max < 2 * MESSAGE_ROOM {
        return Err(Malformed::Other(format!(
            "a session of {granted} calls of {operations} operations, {request_max} bytes there \
             and {reply_max} bytes back, is too small to read by"
        )));
    }
    Ok(Session {
        id,
        client,
        slots: Arc::new(Slots::new(granted.min(calls.clamp(1, SLOTS_MAX)))),
        operations_max: operations,
        request_max,
        reply_max,
    })
}

impl Session {
    pub(super) fn sequence(&self, slot: &Taken) -> Sequence {
        Sequence {
            session: self.id,
            number: slot.number(),
            slot: slot.index(),
            highest_slot: self.slots.highest(),
        }
    }

    pub(super) fn destroy(&self) -> [Compound; 2] {
        let session = Compound::default()
            .operation(Operation::DestroySession)
            .fixed(&self.id);
        let client = Compound::default()
            .operation(Operation::DestroyClientId)
            .longs(&[self.client.id]);
        [session, client]
    }
}

/// Reads the result of SEQUENCE: the highest slot that the server wants to be used.
pub(super) fn read_sequence(reply: &mut Reply, sent: Sequence) -> Result<u32, Unanswered> {
    let session = reply.fixed::<[u8; 16]>("a session id")?;
    let number = reply.u32("a sequence id")?;
    let slot = reply.u32("a slot")?;
    reply.u32("the highest slot")?;
    let target = reply.u32("the highest slot to be used")?;
    reply.u32("flags")?;
    if (session, number, slot) != (sent.session, sent.number, sent.slot) {
        return Err(Malformed::Other("an answer to another slot's call".to_owned()).into());
    }
    Ok(target)
}

/// Whether a session is of no use after `status` of its SEQUENCE.
pub(super) fn ends_session(status: Status) -> bool {
    [
        Status::BADSESSION,
        Status::DEADSESSION,
        Status::STALE_CLIENTID,
        Status::CONN_NOT_BOUND,
        Status::SEQ_MISORDERED,
        Status::BADSLOT,
    ]
    .contains(&status)
}

/// Whether `status` says that the call in doubt was carried out.
pub(super) fn settles(status: Status) -> bool {
    [Status::RETRY_UNCACHED_REP, Status::SEQ_FALSE_RETRY].contains(&status)
}
