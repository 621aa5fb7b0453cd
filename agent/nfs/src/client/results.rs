//! Results of procedures that change nothing, read from their replies (RFC 1813 §3.3).

use bytes::Bytes;
use datasync_endpoint::{Attributes, ReadReply};

use super::Sizes;
use crate::attributes::read_optional;
use crate::status::read_handle;
use crate::xdr::{Malformed, Reply};

/// The longest target of a symbolic link that we take.
const LINK_TARGET_MAX: usize = 4096;
/// The most opaque data of a READ reply: some servers send more than was asked for.
const READ_DATA_MAX: usize = crate::record::RECORD_MAX;

/// Handle and attributes of `LOOKUP3resok`.
pub(super) fn read_lookup(reply: &mut Reply) -> Result<(Bytes, Option<Attributes>), Malformed> {
    let handle = read_handle(reply)?;
    Ok((handle, read_optional(reply)?))
}

pub(super) fn read_link_results(reply: &mut Reply) -> Result<Bytes, Malformed> {
    read_optional(reply)?;
    let target = reply.opaque(LINK_TARGET_MAX, "the target of a symbolic link")?;
    if target.contains(&0) {
        let detail = "the target of the symbolic link has a NUL in it";
        return Err(Malformed::Other(detail.to_owned()));
    }
    Ok(target)
}

pub(super) fn fsinfo_results(reply: &mut Reply) -> Result<Sizes, Malformed> {
    read_optional(reply)?;
    let read_max = reply.u32("rtmax")?;
    for _ in 0..2 {
        reply.u32("rtpref and rtmult")?;
    }
    let write_max = reply.u32("wtmax")?;
    for _ in 0..2 {
        reply.u32("wtpref and wtmult")?;
    }
    Ok(Sizes {
        read_max,
        write_max,
        directory_preferred: reply.u32("dtpref")?,
        file_max: reply.u64("maxfilesize")?,
    })
}

/// Takes at most what was asked for and what the server says that it sent: nfs-ganesha may pad a
/// READ across the end of the file with more than `count` bytes.
pub(super) fn read_results(reply: &mut Reply, asked: u32) -> Result<ReadReply, Malformed> {
    let attributes = read_optional(reply)?;
    let count = reply.u32("the count of a READ")?;
    let eof = reply.flag("the eof of a READ")?;
    let data = reply.opaque(READ_DATA_MAX, "the data of a READ")?;
    if data.len() < count as usize {
        return Err(Malformed::Other(format!(
            "a READ that says {count} bytes and carries {}",
            data.len()
        )));
    }
    let taken = count.min(asked);
    if taken == 0 && asked > 0 && !eof {
        return Err(Malformed::Other(
            "a READ without data that is not at the end of the file".to_owned(),
        ));
    }
    let mut data = data.slice(..taken as usize);
    // A slice keeps the whole reply, and memory is budgeted by what was asked for.
    if data.len() < reply.length() / 2 {
        data = Bytes::copy_from_slice(&data);
    }
    Ok(ReadReply {
        data,
        eof: eof && count <= asked,
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use nfs3_types::xdr_codec::{Opaque, Pack};

    use super::*;

    fn results(count: u32, eof: bool, data: &[u8]) -> Reply {
        let mut wire = Vec::new();
        for word in [0, count, u32::from(eof)] {
            word.pack(&mut wire).unwrap();
        }
        Opaque::borrowed(data).pack(&mut wire).unwrap();
        Reply::new(wire.into())
    }

    #[test]
    fn a_read_never_yields_more_than_was_asked_for_or_said() {
        let read = |count, eof, data: &[u8]| {
            read_results(&mut results(count, eof, data), 4).map(|read| (read.data, read.eof))
        };
        assert_eq!(
            read(4, false, b"abcd").unwrap(),
            (Bytes::from("abcd"), false)
        );
        assert_eq!(read(2, true, b"abcd").unwrap(), (Bytes::from("ab"), true));
        assert_eq!(
            read(6, true, b"abcdef").unwrap(),
            (Bytes::from("abcd"), false)
        );
        assert_eq!(read(0, true, b"").unwrap(), (Bytes::new(), true));
        assert!(read(0, false, b"").is_err());
        assert!(read(5, false, b"abcd").is_err());
    }

    #[test]
    fn a_few_bytes_do_not_keep_a_large_reply() {
        for (count, is_kept) in [(10_000, true), (8_000, true), (3_000, false), (1, false)] {
            let mut reply = results(count, false, &[7; 10_000]);
            let record = reply.bytes().as_ptr_range();
            let data = read_results(&mut reply, count).unwrap().data;
            assert_eq!(data.len(), count as usize);
            assert_eq!(record.contains(&data.as_ptr()), is_kept, "{count}");
        }
    }
}
