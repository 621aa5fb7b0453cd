//! ONC RPC version 2 (RFC 5531): the header of a call, the verdict of a reply.

use bytes::Bytes;
use datasync_endpoint::ErrorKind;
use nfs3_types::rpc::{RPC_VERSION_2, auth_unix, call_body, msg_body, opaque_auth, rpc_msg};
use nfs3_types::xdr_codec::{Opaque, Pack};

use crate::config::NfsConfig;
use crate::record::LAST_FRAGMENT;
use crate::xdr::{Malformed, Reply};

/// The longest verifier (RFC 5531 §8.2).
const VERIFIER_MAX: usize = 400;
const MESSAGE_REPLY: u32 = 1;
/// What servers see as the client's name; nothing depends on it.
const MACHINE_NAME: &[u8] = b"datasync-agent";

/// A call that the RPC layer of the server did not carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the server refused the AUTH_SYS credential (auth_stat {0}): it may ask for Kerberos, or for a source port below 1024"
    )]
    Auth(u32),
    #[error("the server speaks RPC versions {low} to {high}, not 2")]
    RpcMismatch { low: u32, high: u32 },
    #[error("the server has no such program on this port (PROG_UNAVAIL)")]
    ProgramUnavailable,
    #[error(
        "the server has versions {low} to {high} of the program, not the one that is asked for (PROG_MISMATCH)"
    )]
    ProgramMismatch { low: u32, high: u32 },
    #[error("the server does not know the procedure (PROC_UNAVAIL)")]
    ProcedureUnavailable,
    #[error("the server could not decode the arguments (GARBAGE_ARGS)")]
    GarbageArguments,
    #[error("the server failed inside (SYSTEM_ERR)")]
    SystemError,
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

impl Refusal {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Auth(_) => ErrorKind::PermissionDenied,
            Self::RpcMismatch { .. }
            | Self::ProgramUnavailable
            | Self::ProgramMismatch { .. }
            | Self::ProcedureUnavailable => ErrorKind::NotSupported,
            Self::SystemError => ErrorKind::ServerFault,
            Self::GarbageArguments | Self::Malformed(_) => ErrorKind::Protocol,
        }
    }
}

/// The AUTH_SYS credential of a mount.
pub(crate) fn credential(config: &NfsConfig) -> opaque_auth<'static> {
    opaque_auth::auth_unix(&auth_unix {
        stamp: 0,
        machinename: Opaque::borrowed(MACHINE_NAME),
        uid: config.uid,
        gid: config.gid,
        gids: config.gids.clone(),
    })
}

/// A call as it goes on the wire, record mark included.
pub(crate) fn encode_call<A: Pack>(
    xid: u32,
    (program, version, procedure): (u32, u32, u32),
    credential: &opaque_auth<'static>,
    arguments: &A,
) -> Result<Bytes, nfs3_types::xdr_codec::Error> {
    let message = rpc_msg {
        xid,
        body: msg_body::CALL(call_body {
            rpcvers: RPC_VERSION_2,
            prog: program,
            vers: version,
            proc: procedure,
            cred: credential.borrow(),
            verf: opaque_auth::default(),
        }),
    };
    let length = message.packed_size() + arguments.packed_size();
    let mark = u32::try_from(length)
        .ok()
        .filter(|length| *length < LAST_FRAGMENT)
        .ok_or(nfs3_types::xdr_codec::Error::ObjectTooLarge(length))?;
    let mut wire = Vec::with_capacity(4 + length);
    (mark | LAST_FRAGMENT).pack(&mut wire)?;
    message.pack(&mut wire)?;
    arguments.pack(&mut wire)?;
    Ok(wire.into())
}

/// The xid of a reply.
pub(crate) fn reply_xid(record: &Bytes) -> Result<u32, Malformed> {
    let mut reply = Reply::new(record.clone());
    let xid = reply.u32("the xid")?;
    match reply.u32("the message type")? {
        MESSAGE_REPLY => Ok(xid),
        value => Err(Malformed::Meaningless {
            what: "the message type",
            value,
        }),
    }
}

/// The results of a reply, if the call was carried out.
pub(crate) fn accepted(record: Bytes) -> Result<Reply, Refusal> {
    let mut reply = Reply::new(record);
    reply.u64("the header")?;
    match reply.u32("the reply status")? {
        0 => {}
        1 => return Err(denied(&mut reply)?),
        value => {
            return Err(Refusal::Malformed(Malformed::Meaningless {
                what: "the reply status",
                value,
            }));
        }
    }
    reply.u32("the verifier")?;
    reply.opaque(VERIFIER_MAX, "a verifier")?;
    Err(match reply.u32("the accept status")? {
        0 => return Ok(reply),
        1 => Refusal::ProgramUnavailable,
        2 => Refusal::ProgramMismatch {
            low: reply.u32("the versions")?,
            high: reply.u32("the versions")?,
        },
        3 => Refusal::ProcedureUnavailable,
        4 => Refusal::GarbageArguments,
        5 => Refusal::SystemError,
        value => Refusal::Malformed(Malformed::Meaningless {
            what: "the accept status",
            value,
        }),
    })
}

fn denied(reply: &mut Reply) -> Result<Refusal, Malformed> {
    Ok(match reply.u32("the reject status")? {
        0 => Refusal::RpcMismatch {
            low: reply.u32("the versions")?,
            high: reply.u32("the versions")?,
        },
        1 => Refusal::Auth(reply.u32("the auth status")?),
        value => {
            return Err(Malformed::Meaningless {
                what: "the reject status",
                value,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(words: &[u32]) -> Bytes {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.into()
    }

    #[test]
    fn every_verdict_has_its_kind() {
        for (words, kind) in [
            (&[7, 1, 1, 1, 5][..], ErrorKind::PermissionDenied),
            (&[7, 1, 1, 1, 13], ErrorKind::PermissionDenied),
            (&[7, 1, 1, 0, 3, 4], ErrorKind::NotSupported),
            (&[7, 1, 0, 0, 0, 1], ErrorKind::NotSupported),
            (&[7, 1, 0, 0, 0, 2, 4, 4], ErrorKind::NotSupported),
            (&[7, 1, 0, 0, 0, 3], ErrorKind::NotSupported),
            (&[7, 1, 0, 0, 0, 4], ErrorKind::Protocol),
            (&[7, 1, 0, 0, 0, 5], ErrorKind::ServerFault),
            (&[7, 1, 0, 0, 0, 6], ErrorKind::Protocol),
            (&[7, 1, 2], ErrorKind::Protocol),
            (&[7, 1, 1, 2], ErrorKind::Protocol),
            (&[7, 1, 0, 0, 404, 0], ErrorKind::Protocol),
            (&[7, 1, 0, 0, u32::MAX, 0], ErrorKind::Protocol),
            (&[7, 1, 0], ErrorKind::Protocol),
            (&[7], ErrorKind::Protocol),
        ] {
            assert_eq!(
                accepted(record(words)).unwrap_err().kind(),
                kind,
                "{words:?}"
            );
        }
        let mut results = accepted(record(&[7, 1, 0, 1, 4, 99, 0, 42])).unwrap();
        assert_eq!(results.u32("the result"), Ok(42));
    }

    #[test]
    fn only_replies_have_an_xid() {
        assert_eq!(reply_xid(&record(&[9, 1])), Ok(9));
        assert!(reply_xid(&record(&[9, 0])).is_err());
        assert!(reply_xid(&record(&[9])).is_err());
    }

    #[test]
    fn a_call_carries_user_and_groups() {
        let config = NfsConfig {
            uid: 1000,
            gid: 100,
            gids: vec![4, 24],
            ..crate::script::config("nas", "/")
        };
        let wire = encode_call(0x0102_0304, (100_003, 3, 1), &credential(&config), &5u32).unwrap();
        let words: Vec<u32> = wire
            .chunks(4)
            .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(
            words[0],
            LAST_FRAGMENT | u32::try_from(wire.len() - 4).unwrap()
        );
        assert_eq!(words[1..7], [0x0102_0304, 0, 2, 100_003, 3, 1]);
        let name = u32::try_from(MACHINE_NAME.len()).unwrap();
        assert_eq!(words[7..11], [1, 4 * 11, 0, name]);
        assert_eq!(words[15..], [1000, 100, 2, 4, 24, 0, 0, 5]);
    }
}
