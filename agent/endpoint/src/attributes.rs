//! What a source tells of an entry.

use serde::{Deserialize, Serialize};

/// The type of an entry (RFC 1813 §2.5, `ftype3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
    /// Block device.
    BlockDevice,
    /// Character device.
    CharDevice,
}

impl EntryKind {
    /// The `S_IFMT` bits of `st_mode`.
    #[must_use]
    pub fn mode_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::BlockDevice => 0o060_000,
            Self::CharDevice => 0o020_000,
        }
    }

    /// The type that `S_IFMT` bits name, if they name one.
    #[must_use]
    pub fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o060_000 => Self::BlockDevice,
            0o020_000 => Self::CharDevice,
            _ => return None,
        })
    }
}

/// The numbers of a device (RFC 1813 §2.6, `specdata3`; RFC 8881 §5.8.2.32, `rawdev`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceNumbers {
    /// What kind of device it is, in the system's table.
    pub major: u32,
    /// Which of them.
    pub minor: u32,
}

/// Seconds and nanoseconds since 1970; negative seconds are before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp {
    /// Whole seconds, rounded towards the past.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Nanoseconds since 1970.
    #[must_use]
    pub fn as_nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// From nanoseconds since 1970; `None` where the seconds do not fit 64 bits.
    #[must_use]
    pub fn from_nanoseconds(nanoseconds: i128) -> Option<Self> {
        let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
        let rest = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
        Some(Self {
            seconds,
            nanoseconds: rest,
        })
    }
}

/// Attributes of an entry (RFC 1813 §2.6, `fattr3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Type.
    pub kind: EntryKind,
    /// Permission bits, `0..=0o7777`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Logical size in bytes.
    pub size: u64,
    /// Number of hard links.
    pub nlink: u32,
    /// Identifier within the file system.
    pub file_id: u64,
    /// Identifier of the file system.
    pub fsid: u64,
    /// Last modification of the content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Last access.
    pub atime: Timestamp,
    /// Of a device, where they are told.
    pub device: Option<DeviceNumbers>,
}

impl Attributes {
    /// What must not change while the content is read.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            size: self.size,
            mtime: self.mtime,
            ctime: self.ctime,
            file_id: self.file_id,
        }
    }
}

/// Size, mtime, ctime and file id: equal before the first and after the last READ, or the file
/// changed while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Logical size in bytes.
    pub size: u64,
    /// Last modification of the content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Identifier within the file system.
    pub file_id: u64,
}
