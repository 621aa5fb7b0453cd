//! What the fuzz target `nfs_reply` of `tests/fuzz` calls.

use datasync_endpoint::Attributes;

use super::changes::{read_made, read_wcc, read_written};
use super::results::{fsinfo_results, read_link_results, read_lookup, read_results};
use crate::attributes::{read_attributes, read_optional};
use crate::directory::Listing;
use crate::directory::fuzzing::listing;
use crate::rpc::{accepted, reply_xid};
use crate::status::{HANDLE_MAX, Status};
use crate::xdr::{Malformed, Reply};

/// What READs and WRITEs were about, in bytes.
const LENGTH: u32 = 64;

/// A record of an NFS server of version 3 that answers a call; the first byte says which one. It is
/// refused, or no more comes of it than was sent and asked for.
///
/// # Panics
/// If that does not hold.
pub fn nfs_reply(data: &[u8]) {
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
    match asked % 11 {
        0 => listing(reply, *asked, Listing::Plus),
        1 => listing(reply, *asked, Listing::Plain),
        // Refused is as good as taken; what is taken was looked at.
        procedure => drop(one(procedure, reply)),
    }
}

fn one(procedure: u8, mut reply: Reply) -> Result<(), Malformed> {
    if Status::read(&mut reply)?.is_some() {
        return Ok(());
    }
    match procedure {
        2 => are_sound(&read_attributes(&mut reply)?),
        3 => {
            let (handle, attributes) = read_lookup(&mut reply)?;
            is_handle(&handle);
            attributes.iter().for_each(are_sound);
        }
        4 => {
            let read = read_results(&mut reply, LENGTH)?;
            assert!(read.data.len() <= LENGTH as usize);
            assert!(read.eof || !read.data.is_empty(), "nothing, and no end");
        }
        5 => {
            fsinfo_results(&mut reply)?;
        }
        6 => {
            let (handle, attributes) = read_made(&mut reply)?;
            handle.iter().for_each(|handle| is_handle(handle));
            attributes.iter().for_each(are_sound);
        }
        7 => {
            read_wcc(&mut reply)?;
            let written = read_written(&mut reply, LENGTH)?;
            assert!((1..=LENGTH).contains(&written.count));
        }
        8 => {
            read_wcc(&mut reply)?;
            reply.bytes8("the verifier of a COMMIT")?;
        }
        9 => {
            let length = reply.length();
            let target = read_link_results(&mut reply)?;
            assert!(target.len() <= length && !target.contains(&0));
        }
        // LINK (RFC 1813 §3.3.15).
        _ => {
            read_optional(&mut reply)?;
            read_wcc(&mut reply)?;
        }
    }
    Ok(())
}

fn is_handle(handle: &[u8]) {
    assert!((1..=HANDLE_MAX).contains(&handle.len()));
}

fn are_sound(attributes: &Attributes) {
    assert!(attributes.mode <= 0o7777);
    for time in [attributes.atime, attributes.ctime, attributes.mtime] {
        assert!(time.nanoseconds < 1_000_000_000);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_no_findings() {
        crate::script::seeds("nfs_reply", super::nfs_reply);
    }
}
