//! Entries as bytes in a spilled run.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, DeviceNumbers, Effect, EndpointError, EntryKind, ErrorKind, Handle, Node, Timestamp,
};

use super::Item;

/// Positions are the codes; a run never outlives its process.
const KINDS: [ErrorKind; 18] = [
    ErrorKind::NotFound,
    ErrorKind::ContainerNotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::Credentials,
    ErrorKind::Stale,
    ErrorKind::BadCookie,
    ErrorKind::Busy,
    ErrorKind::Timeout,
    ErrorKind::Unreachable,
    ErrorKind::ServerFault,
    ErrorKind::Protocol,
    ErrorKind::ChecksumRefused,
    ErrorKind::Precondition,
    ErrorKind::InvalidName,
    ErrorKind::TooLarge,
    ErrorKind::NoSpace,
    ErrorKind::NotSupported,
    ErrorKind::Invalid,
];
/// The operations by which a source learns of an entry.
const OPERATIONS: [&str; 6] = [
    "LOOKUP",
    "GETATTR",
    "READDIRPLUS",
    "READDIR",
    "HeadObject",
    "ListObjectsV2",
];
const OTHER_OPERATION: &str = "read entry";

/// Appends an entry.
pub(super) fn encode(item: &Item, out: &mut Vec<u8>) {
    put_bytes(out, item.segment.as_bytes());
    put_bytes(out, &item.name);
    match &item.node {
        Ok(node) => {
            out.push(0);
            put_bytes(out, &node.handle.0);
            put_attributes(out, &node.attributes);
        }
        Err(error) => {
            let kind = KINDS.iter().position(|kind| *kind == error.kind);
            out.push(1);
            out.push(
                kind.and_then(|kind| u8::try_from(kind).ok())
                    .unwrap_or(u8::MAX),
            );
            out.push(u8::from(error.effect == Effect::Unknown));
            put_bytes(out, error.operation.as_bytes());
            put_bytes(out, error.target.as_bytes());
            put_bytes(out, error.detail.as_bytes());
        }
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

/// Appends attributes.
pub(crate) fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    for number in [
        attributes.kind.mode_bits() | attributes.mode,
        attributes.uid,
        attributes.gid,
        attributes.nlink,
    ] {
        out.extend(number.to_le_bytes());
    }
    for number in [attributes.size, attributes.file_id, attributes.fsid] {
        out.extend(number.to_le_bytes());
    }
    for time in [attributes.mtime, attributes.ctime, attributes.atime] {
        out.extend(time.seconds.to_le_bytes());
        out.extend(time.nanoseconds.to_le_bytes());
    }
    out.push(u8::from(attributes.device.is_some()));
    if let Some(DeviceNumbers { major, minor }) = attributes.device {
        out.extend(major.to_le_bytes());
        out.extend(minor.to_le_bytes());
    }
}

/// Takes the next entry off `input`; `None` if it is not one.
pub(super) fn decode(input: &mut &[u8]) -> Option<Item> {
    let segment = text(input)?;
    let name = Bytes::copy_from_slice(bytes(input)?);
    let node = match array::<1>(input)? {
        [0] => Ok(Node {
            handle: Handle(Bytes::copy_from_slice(bytes(input)?)),
            attributes: attributes(input)?,
        }),
        [1] => Err(Arc::new(error(input)?)),
        _ => return None,
    };
    Some(Item {
        segment,
        name,
        node,
    })
}

fn error(input: &mut &[u8]) -> Option<EndpointError> {
    let [kind, effect] = array(input)?;
    let kind = *KINDS.get(usize::from(kind))?;
    let name = text(input)?;
    let operation = OPERATIONS.into_iter().find(|known| *known == name);
    let target = text(input)?;
    let detail = text(input)?;
    let error = EndpointError::new(kind, operation.unwrap_or(OTHER_OPERATION), target, detail);
    Some(if effect == 1 {
        error.with_unknown_effect()
    } else {
        error
    })
}

/// Takes attributes off `input`; `None` if they are none.
pub(crate) fn attributes(input: &mut &[u8]) -> Option<Attributes> {
    let mode = u32::from_le_bytes(array(input)?);
    let uid = u32::from_le_bytes(array(input)?);
    let gid = u32::from_le_bytes(array(input)?);
    let nlink = u32::from_le_bytes(array(input)?);
    let size = u64::from_le_bytes(array(input)?);
    let file_id = u64::from_le_bytes(array(input)?);
    let fsid = u64::from_le_bytes(array(input)?);
    let mtime = time(input)?;
    let ctime = time(input)?;
    let atime = time(input)?;
    let device = match array(input)? {
        [0] => None,
        _ => Some(DeviceNumbers {
            major: u32::from_le_bytes(array(input)?),
            minor: u32::from_le_bytes(array(input)?),
        }),
    };
    let kind = EntryKind::from_mode(mode)?;
    let mode = mode & 0o7777;
    Some(Attributes {
        kind,
        mode,
        uid,
        gid,
        size,
        nlink,
        file_id,
        fsid,
        mtime,
        ctime,
        atime,
        device,
    })
}

fn time(input: &mut &[u8]) -> Option<Timestamp> {
    let seconds = i64::from_le_bytes(array(input)?);
    let nanoseconds = u32::from_le_bytes(array(input)?);
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}

pub(crate) fn text(input: &mut &[u8]) -> Option<String> {
    String::from_utf8(bytes(input)?.to_vec()).ok()
}

/// Takes what [`put_bytes`] appended.
pub(crate) fn bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::from_le_bytes(array(input)?)).ok()?;
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}
