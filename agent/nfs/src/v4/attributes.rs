//! `fattr4` (RFC 8881 §3.3.9 and §5) as attributes of the seam.

use bytes::Bytes;
use datasync_endpoint::{Attributes, DeviceNumbers, EntryKind, Timestamp};

use super::compound::read_handle;
use super::owners::{Owners, Unmapped};
use crate::changes::NewAttributes;
use crate::xdr::{Malformed, Reply};

/// Attributes whose values we can read; each is a bit of the bitmap.
const TYPE: u32 = 1;
const SIZE: u32 = 4;
const FSID: u32 = 8;
const RDATTR_ERROR: u32 = 11;
const FILEHANDLE: u32 = 19;
const FILEID: u32 = 20;
const MAXFILESIZE: u32 = 27;
const MAXREAD: u32 = 30;
const MAXWRITE: u32 = 31;
const MODE: u32 = 33;
const NUMLINKS: u32 = 35;
const OWNER: u32 = 36;
const OWNER_GROUP: u32 = 37;
const RAWDEV: u32 = 41;
const TIME_ACCESS: u32 = 47;
const TIME_METADATA: u32 = 52;
const TIME_MODIFY: u32 = 53;
/// These are only set; what is told has other numbers.
const TIME_ACCESS_SET: u32 = 48;
const TIME_MODIFY_SET: u32 = 54;
/// `SET_TO_CLIENT_TIME4`.
const CLIENT_TIME: u32 = 1;

/// What every entry has.
const ENTRY: [u32; 12] = [
    TYPE,
    SIZE,
    FSID,
    FILEID,
    MODE,
    NUMLINKS,
    OWNER,
    OWNER_GROUP,
    RAWDEV,
    TIME_ACCESS,
    TIME_METADATA,
    TIME_MODIFY,
];
/// The longest name of an owner or a group.
const OWNER_MAX: usize = 1024;
/// The most bytes that the attributes which we ask for take.
const VALUES_MAX: usize = 4 << 10;
/// Words of a bitmap: 96 attributes, more than there are.
const BITMAP_MAX: u32 = 8;

/// Which attributes to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those of an entry.
    Entry,
    /// And its handle, as READDIR has no other way to tell it.
    Listed,
    /// And what the server takes.
    Root,
}

impl Wanted {
    pub(super) fn words(self) -> [u32; 2] {
        let further: &[u32] = match self {
            Self::Entry => &[],
            Self::Listed => &[RDATTR_ERROR, FILEHANDLE],
            Self::Root => &[MAXFILESIZE, MAXREAD, MAXWRITE],
        };
        let mut words = [0; 2];
        for attribute in ENTRY.iter().chain(further) {
            words[(attribute / 32) as usize] |= 1 << (attribute % 32);
        }
        words
    }
}

/// The largest file, READ and WRITE that the server says it takes, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    pub(super) file_max: Option<u64>,
    pub(super) read_max: Option<u64>,
    pub(super) write_max: Option<u64>,
}

/// Values as the server sent them; those that it does not have are absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    kind: Option<EntryKind>,
    size: Option<u64>,
    fsid: Option<u64>,
    file_id: Option<u64>,
    mode: Option<u32>,
    nlink: Option<u32>,
    owner: Option<Bytes>,
    group: Option<Bytes>,
    device: Option<DeviceNumbers>,
    atime: Option<Timestamp>,
    ctime: Option<Timestamp>,
    mtime: Option<Timestamp>,
    pub(super) handle: Option<Bytes>,
    pub(super) sizes: Sizes,
    /// The entry's attributes could not be had, other than this.
    pub(super) has_failed: bool,
}

/// Values that make no attributes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lacking {
    #[error("the server does not tell {0} of this entry, which every copy needs")]
    Absent(&'static str),
    #[error(transparent)]
    Unmapped(#[from] Unmapped),
}

/// Reads a bitmap: its words.
pub(super) fn read_bitmap_words(reply: &mut Reply) -> Result<Vec<u32>, Malformed> {
    let count = reply.u32("the length of a bitmap")?;
    if count > BITMAP_MAX {
        return Err(Malformed::TooLong {
            what: "a bitmap",
            announced: count as usize * 4,
            max: BITMAP_MAX as usize * 4,
        });
    }
    (0..count).map(|_| reply.u32("a bitmap")).collect()
}

/// Reads `fattr4`, whose values take at most `max` bytes: `take` reads that of each attribute.
pub(super) fn read_fattr(
    reply: &mut Reply,
    max: usize,
    mut take: impl FnMut(u32, &mut Reply) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let words = read_bitmap_words(reply)?;
    let mut values = Reply::new(reply.opaque(max, "attributes")?);
    for (place, word) in (0..).zip(words) {
        for bit in 0..32 {
            if word & (1 << bit) != 0 {
                take(place * 32 + bit, &mut values)?;
            }
        }
    }
    Ok(())
}

/// Of an attribute that nobody asked for.
pub(super) fn not_asked_for(attribute: u32) -> Malformed {
    Malformed::Other(format!("attribute {attribute}, which was not asked for"))
}

impl Values {
    /// Reads `fattr4`.
    pub(super) fn read(reply: &mut Reply) -> Result<Self, Malformed> {
        let mut read = Self::default();
        read_fattr(reply, VALUES_MAX, |attribute, values| {
            read.take(attribute, values)
        })?;
        Ok(read)
    }

    fn take(&mut self, attribute: u32, values: &mut Reply) -> Result<(), Malformed> {
        match attribute {
            TYPE => self.kind = Some(kind(values.u32("a type")?)?),
            SIZE => self.size = Some(values.u64("a size")?),
            FSID => self.fsid = Some(one_of(values.u64("an fsid")?, values.u64("an fsid")?)),
            RDATTR_ERROR => self.has_failed = values.u32("a status")? != 0,
            FILEHANDLE => self.handle = Some(read_handle(values)?),
            FILEID => self.file_id = Some(values.u64("a file id")?),
            MAXFILESIZE => self.sizes.file_max = Some(values.u64("maxfilesize")?),
            MAXREAD => self.sizes.read_max = Some(values.u64("maxread")?),
            MAXWRITE => self.sizes.write_max = Some(values.u64("maxwrite")?),
            MODE => self.mode = Some(values.u32("a mode")? & 0o7777),
            NUMLINKS => self.nlink = Some(values.u32("a number of links")?),
            OWNER => self.owner = Some(values.opaque(OWNER_MAX, "an owner")?),
            OWNER_GROUP => self.group = Some(values.opaque(OWNER_MAX, "a group")?),
            RAWDEV => {
                self.device = Some(DeviceNumbers {
                    major: values.u32("a device number")?,
                    minor: values.u32("a device number")?,
                });
            }
            TIME_ACCESS => self.atime = Some(time(values)?),
            TIME_METADATA => self.ctime = Some(time(values)?),
            TIME_MODIFY => self.mtime = Some(time(values)?),
            other => return Err(not_asked_for(other)),
        }
        Ok(())
    }

    /// # Errors
    /// What the server does not tell, or tells in a way that has no meaning here.
    pub(super) fn attributes(&self, owners: &Owners) -> Result<Attributes, Lacking> {
        let user = self.owner.as_ref().ok_or(Lacking::Absent("the owner"))?;
        let group = self.group.as_ref().ok_or(Lacking::Absent("the group"))?;
        let kind = self.kind.ok_or(Lacking::Absent("the type"))?;
        let is_device = matches!(kind, EntryKind::BlockDevice | EntryKind::CharDevice);
        Ok(Attributes {
            kind,
            mode: self.mode.ok_or(Lacking::Absent("the mode"))?,
            uid: owners.user(user)?,
            gid: owners.group(group)?,
            size: self.size.ok_or(Lacking::Absent("the size"))?,
            nlink: self.nlink.ok_or(Lacking::Absent("the number of links"))?,
            file_id: self.file_id.ok_or(Lacking::Absent("the file id"))?,
            fsid: self.fsid.ok_or(Lacking::Absent("the file system"))?,
            mtime: self
                .mtime
                .ok_or(Lacking::Absent("the time of the last change"))?,
            ctime: self
                .ctime
                .ok_or(Lacking::Absent("the time of the last change of metadata"))?,
            atime: self
                .atime
                .ok_or(Lacking::Absent("the time of the last access"))?,
            // Other entries have numbers that mean nothing.
            device: self.device.filter(|_| is_device),
        })
    }
}

/// `fattr4` of attributes that are set: the words of its bitmap, and the values in the order of
/// their bits. Owners are numbers as text.
pub(super) fn new_values(new: &NewAttributes) -> ([u32; 2], Vec<u8>) {
    let mut words = [0; 2];
    let mut values = Vec::new();
    let mut has = |attribute: u32| words[(attribute / 32) as usize] |= 1 << (attribute % 32);
    if let Some(mode) = new.mode {
        has(MODE);
        values.extend_from_slice(&mode.to_be_bytes());
    }
    for (attribute, number) in [(OWNER, new.uid), (OWNER_GROUP, new.gid)] {
        if let Some(number) = number {
            has(attribute);
            let text = number.to_string();
            // At most ten digits.
            values.extend_from_slice(&[0, 0, 0, text.len().to_le_bytes()[0]]);
            values.extend_from_slice(text.as_bytes());
            values.resize(values.len().next_multiple_of(4), 0);
        }
    }
    for (attribute, time) in [(TIME_ACCESS_SET, new.atime), (TIME_MODIFY_SET, new.mtime)] {
        if let Some(time) = time {
            has(attribute);
            values.extend_from_slice(&CLIENT_TIME.to_be_bytes());
            values.extend_from_slice(&time.seconds.to_be_bytes());
            values.extend_from_slice(&time.nanoseconds.to_be_bytes());
        }
    }
    (words, values)
}

/// `nfs_ftype4`; the types of named attributes never occur in a tree.
fn kind(value: u32) -> Result<EntryKind, Malformed> {
    Ok(match value {
        1 => EntryKind::File,
        2 => EntryKind::Directory,
        3 => EntryKind::BlockDevice,
        4 => EntryKind::CharDevice,
        5 => EntryKind::Symlink,
        6 => EntryKind::Socket,
        7 => EntryKind::Fifo,
        value => {
            return Err(Malformed::Meaningless {
                what: "a type",
                value,
            });
        }
    })
}

/// `fsid4` has two numbers; most servers use the first alone.
fn one_of(major: u64, minor: u64) -> u64 {
    major ^ minor.rotate_left(32)
}

/// `nfstime4`: nanoseconds beyond a second are carried.
fn time(values: &mut Reply) -> Result<Timestamp, Malformed> {
    let seconds = values.u64("a time")?.cast_signed();
    let nanoseconds = values.u32("a time")?;
    Ok(Timestamp {
        seconds: seconds.saturating_add(i64::from(nanoseconds / 1_000_000_000)),
        nanoseconds: nanoseconds % 1_000_000_000,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::script::Xdr;

    /// `fattr4` of a file as a server sends it, with a handle if there is one.
    pub(in crate::v4) fn file(size: u64, owner: &str, handle: Option<&[u8]>) -> Xdr {
        let mut words = Wanted::Entry.words();
        let mut values = Xdr::default().words(&[1]).long(size).long(3).long(0);
        if let Some(handle) = handle {
            words[0] |= 1 << FILEHANDLE;
            values = values.opaque(handle);
        }
        let values = values.long(99).words(&[0o640, 2]);
        let values = values.opaque(owner.as_bytes()).opaque(b"50");
        let values = values.words(&[8, 1]);
        let values = values.long(5).words(&[6]);
        let values = values.long(7).words(&[1_500_000_000]);
        let values = values.long(u64::MAX).words(&[9]);
        Xdr::default().words(&[2]).words(&words).opaque(&values.0)
    }

    fn read(wire: Xdr) -> Result<Values, Malformed> {
        Values::read(&mut Reply::new(wire.0.into()))
    }

    #[test]
    fn attributes_come_in_the_order_of_their_bits() {
        let values = read(file(1234, "7", Some(b"handle"))).unwrap();
        assert_eq!(values.handle.as_deref(), Some(b"handle".as_slice()));
        let found = values.attributes(&Owners::default()).unwrap();
        assert_eq!(found.kind, EntryKind::File);
        assert_eq!((found.size, found.fsid, found.file_id), (1234, 3, 99));
        assert_eq!(
            (found.mode, found.nlink, found.uid, found.gid),
            (0o640, 2, 7, 50)
        );
        let at = |time: Timestamp| (time.seconds, time.nanoseconds);
        assert_eq!(found.device, None, "it is no device");
        assert_eq!(at(found.atime), (5, 6));
        assert_eq!(at(found.ctime), (8, 500_000_000));
        assert_eq!(at(found.mtime), (-1, 9), "before 1970");
    }

    #[test]
    fn what_is_missing_or_has_no_number_is_named() {
        let unmapped = read(file(1, "anna", None)).unwrap();
        let error = unmapped.attributes(&Owners::default()).unwrap_err();
        assert!(error.to_string().contains("anna"), "{error}");
        let nothing = Xdr::default().words(&[0]).opaque(b"");
        let nothing = read(nothing).unwrap();
        let error = nothing.attributes(&Owners::default()).unwrap_err();
        assert_eq!(error, Lacking::Absent("the owner"));
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let bitmap = |words: &[u32], values: &[u8]| {
            let count = u32::try_from(words.len()).unwrap();
            read(Xdr::default().words(&[count]).words(words).opaque(values))
        };
        assert!(bitmap(&[1], &[0; 16]).is_err());
        assert!(bitmap(&[0, 0, 1], &[0; 16]).is_err());
        assert!(bitmap(&[0; 9], &[]).is_err());
        assert!(bitmap(&[2], &[0, 0, 0]).is_err(), "cut");
        assert!(bitmap(&[2], &[0, 0, 0, 9]).is_err(), "a named attribute");
        assert!(bitmap(&[0; 8], &[]).is_ok());
    }

    #[test]
    fn what_is_set_goes_in_the_order_of_its_bits_owners_as_text() {
        let time = |seconds| Timestamp {
            seconds,
            nanoseconds: 5,
        };
        let (words, values) = new_values(&NewAttributes {
            mode: Some(0o640),
            uid: Some(4_294_967_294),
            gid: Some(7),
            mtime: Some(time(-1)),
            atime: Some(time(9)),
        });
        let bits = |bits: &[u32]| bits.iter().fold(0, |word, bit| word | 1 << (bit - 32));
        assert_eq!(words, [0, bits(&[33, 36, 37, 48, 54])]);
        let wanted = Xdr::default().words(&[0o640]);
        let wanted = wanted.opaque(b"4294967294").opaque(b"7");
        let wanted = wanted.words(&[1]).long(9).words(&[5]);
        let wanted = wanted.words(&[1]).long(u64::MAX).words(&[5]);
        assert_eq!(values, wanted.0);
        assert_eq!(new_values(&NewAttributes::default()), ([0; 2], Vec::new()));
    }
}
