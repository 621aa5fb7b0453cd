//! What the fuzz target `nfs4_reply` of `tests/fuzz` calls.

use datasync_endpoint::{ACES_MAX, WHO_MAX, XATTR_NAME_MAX, XATTRS_SIZE_MAX};

use super::acl::ExtendedValues;
use super::attributes::Values;
use super::client::{fuzzing as changes, read_results};
use super::compound::{HANDLE_MAX, Operation, Results, Sequence, Unanswered};
use super::directory::{Found, parse};
use super::owners::Owners;
use super::session::{read_client_id, read_sequence, read_session};
use super::xattrs::{read_names, read_value};
use crate::directory::ENTRIES_MAX;
use crate::position::Position;
use crate::rpc::{accepted, reply_xid};
use crate::status::{is_dot, is_name};
use crate::xdr::Reply;

/// What was asked for.
const LENGTH: u32 = 64;
const CALLS: u32 = 16;
const SEQUENCE: Sequence = Sequence {
    session: [7; 16],
    number: 2,
    slot: 3,
    highest_slot: 63,
};

/// A record of an NFS server that answers a COMPOUND of version 4; the first byte says which one.
/// It is refused, or no more comes of it than was sent and asked for.
///
/// # Panics
/// If that does not hold.
pub fn nfs4_reply(data: &[u8]) {
    let Some((asked, record)) = data.split_first() else {
        return;
    };
    let record = bytes::Bytes::copy_from_slice(record);
    if reply_xid(&record).is_err() {
        return;
    }
    let Ok(reply) = accepted(record) else {
        return;
    };
    let length = reply.length();
    let Ok(mut results) = Results::read(reply) else {
        return;
    };
    // Refused is as good as taken; what is taken was looked at.
    let _looked_at = match asked % 20 {
        0 => attributes(results),
        1 => look_up(results),
        2 => read(results),
        3 => listing(results, length),
        4 => client_id(results),
        5 => session(results),
        6 => link(results, length),
        7 => sequence(results),
        8 => acl(results),
        9 => xattr_names(results),
        10 => xattr(results),
        11 => changes::opened(results),
        12 => changes::written(results, LENGTH),
        13 => changes::committed(results),
        14 => changes::made(results),
        15 => changes::extent(results),
        16 => changes::linked(results),
        17 => changes::set(&mut results),
        18 => changes::whole(results, LENGTH),
        _ => changes::renamed(results),
    };
}

fn attributes(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    told(results.next(Operation::GetAttr)?)
}

pub(super) fn told(reply: &mut Reply) -> Result<(), Unanswered> {
    let values = Values::read(reply)?;
    if let Ok(attributes) = values.attributes(&Owners::default()) {
        assert!(attributes.mode <= 0o7777);
        for time in [attributes.atime, attributes.ctime, attributes.mtime] {
            assert!(time.nanoseconds < 1_000_000_000);
        }
    }
    let handle = values.handle.as_ref();
    assert!(handle.is_none_or(|handle| (1..=HANDLE_MAX).contains(&handle.len())));
    Ok(())
}

fn look_up(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    results.next(Operation::Lookup)?;
    let handle = results.handle()?;
    assert!((1..=HANDLE_MAX).contains(&handle.len()));
    told(results.next(Operation::GetAttr)?)
}

fn read(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let (data, eof) = read_results(results.next(Operation::Read)?, LENGTH)?;
    assert!(data.len() <= LENGTH as usize);
    assert!(eof || !data.is_empty(), "nothing, and no end");
    told(results.next(Operation::GetAttr)?)
}

fn listing(mut results: Results, length: usize) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    results.next(Operation::ReadDir)?;
    let start = Position {
        cookie: 5,
        verifier: [1; 8],
    };
    let (kept, found, next) = parse(results.reply, start)?;
    assert!(found.len() <= ENTRIES_MAX);
    assert!(kept.len() <= length, "more is listed than was sent");
    for Found { name, handle, .. } in found {
        let name = &kept[name];
        assert!(is_name(name) && !is_dot(name));
        assert!(!name.contains(&b'/') && !name.contains(&0));
        assert!(handle.is_none_or(|handle| (1..=HANDLE_MAX).contains(&kept[handle].len())));
    }
    if let Some(next) = next {
        assert!(next.cookie != 0 && next.cookie != start.cookie);
    }
    Ok(())
}

fn client_id(mut results: Results) -> Result<(), Unanswered> {
    read_client_id(results.next(Operation::ExchangeId)?)?;
    Ok(())
}

fn session(mut results: Results) -> Result<(), Unanswered> {
    let client = read_client_id(&mut Reply::new(vec![0; 12].into()))?;
    let session = read_session(results.next(Operation::CreateSession)?, client, CALLS)?;
    assert!(session.slots.highest() < CALLS);
    assert!(session.reply_max > 0);
    Ok(())
}

fn link(mut results: Results, length: usize) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let target = results
        .next(Operation::ReadLink)?
        .opaque(4096, "the target of a symbolic link")?;
    assert!(target.len() <= length.min(4096));
    Ok(())
}

fn acl(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let values = ExtendedValues::read(results.next(Operation::GetAttr)?, &Owners::default())?;
    if let Some(acl) = values.acl {
        assert!(acl.0.len() <= ACES_MAX);
        assert!(acl.0.iter().all(|ace| ace.who.len() <= WHO_MAX));
        assert_eq!(acl.to_string().parse(), Ok(acl), "its text is another list");
    }
    Ok(())
}

fn xattr_names(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let page = read_names(results.next(Operation::ListXattrs)?, 5)?;
    assert!(
        page.next.is_none() || !page.names.is_empty(),
        "nothing, and no end"
    );
    assert!(page.next != Some(5), "no further");
    for name in page.names {
        assert!((1..=XATTR_NAME_MAX).contains(&name.len()) && !name.contains(&0));
    }
    Ok(())
}

fn xattr(mut results: Results) -> Result<(), Unanswered> {
    results.next(Operation::PutFh)?;
    let value = read_value(results.next(Operation::GetXattr)?)?;
    assert!(value.len() <= XATTRS_SIZE_MAX);
    Ok(())
}

fn sequence(mut results: Results) -> Result<(), Unanswered> {
    read_sequence(results.next(Operation::Sequence)?, SEQUENCE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        crate::script::seeds("nfs4_reply", super::nfs4_reply);
    }
}
