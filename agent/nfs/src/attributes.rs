//! `fattr3` (RFC 1813 §2.6) as attributes of the seam.

use datasync_endpoint::{Attributes, DeviceNumbers, EntryKind, Timestamp};
use nfs3_types::nfs3::{fattr3, ftype3, nfstime3};

use crate::xdr::{Malformed, Reply};

/// Reads `fattr3`.
pub(crate) fn read_attributes(reply: &mut Reply) -> Result<Attributes, Malformed> {
    reply
        .fixed::<fattr3>("attributes")
        .map(|found| convert(&found))
}

/// Reads `post_op_attr`.
pub(crate) fn read_optional(reply: &mut Reply) -> Result<Option<Attributes>, Malformed> {
    if reply.flag("whether attributes follow")? {
        return read_attributes(reply).map(Some);
    }
    Ok(None)
}

fn convert(found: &fattr3) -> Attributes {
    let device = DeviceNumbers {
        major: found.rdev.specdata1,
        minor: found.rdev.specdata2,
    };
    let is_device = matches!(found.type_, ftype3::NF3BLK | ftype3::NF3CHR);
    Attributes {
        kind: match found.type_ {
            ftype3::NF3REG => EntryKind::File,
            ftype3::NF3DIR => EntryKind::Directory,
            ftype3::NF3BLK => EntryKind::BlockDevice,
            ftype3::NF3CHR => EntryKind::CharDevice,
            ftype3::NF3LNK => EntryKind::Symlink,
            ftype3::NF3SOCK => EntryKind::Socket,
            ftype3::NF3FIFO => EntryKind::Fifo,
        },
        mode: found.mode & 0o7777,
        uid: found.uid,
        gid: found.gid,
        size: found.size,
        nlink: found.nlink,
        file_id: found.fileid,
        fsid: found.fsid,
        mtime: time(found.mtime),
        ctime: time(found.ctime),
        atime: time(found.atime),
        device: is_device.then_some(device),
    }
}

/// Seconds are unsigned (RFC 1813 §2.5): 1970 to 2106. Nanoseconds beyond a second are carried.
fn time(found: nfstime3) -> Timestamp {
    Timestamp {
        seconds: i64::from(found.seconds) + i64::from(found.nseconds / 1_000_000_000),
        nanoseconds: found.nseconds % 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_2106_and_stay_in_range() {
        let at = |seconds, nseconds| time(nfstime3 { seconds, nseconds });
        assert_eq!(at(u32::MAX, 999_999_999).seconds, 4_294_967_295);
        assert_eq!(
            at(1, 2_500_000_000),
            Timestamp {
                seconds: 3,
                nanoseconds: 500_000_000
            }
        );
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let mut wire = vec![0; 84];
        wire[3] = 8;
        let error = read_attributes(&mut Reply::new(wire.into())).unwrap_err();
        assert_eq!(
            error,
            Malformed::Meaningless {
                what: "attributes",
                value: 8
            }
        );
    }
}
