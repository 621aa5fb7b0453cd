//! How many calls were made, per procedure.

use std::sync::atomic::{AtomicU64, Ordering};

/// The procedures that this crate calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Procedure {
    GetPort,
    Mnt,
    GetAttr,
    Lookup,
    ReadLink,
    Read,
    ReadDir,
    ReadDirPlus,
    FsInfo,
}

impl Procedure {
    /// The protocol's own word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GetPort => "GETPORT",
            Self::Mnt => "MNT",
            Self::GetAttr => "GETATTR",
            Self::Lookup => "LOOKUP",
            Self::ReadLink => "READLINK",
            Self::Read => "READ",
            Self::ReadDir => "READDIR",
            Self::ReadDirPlus => "READDIRPLUS",
            Self::FsInfo => "FSINFO",
        }
    }
}

/// Calls made since the mount, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Portmapper GETPORT.
    pub getport: u64,
    /// MOUNT MNT.
    pub mnt: u64,
    /// GETATTR.
    pub getattr: u64,
    /// LOOKUP.
    pub lookup: u64,
    /// READLINK.
    pub readlink: u64,
    /// READ.
    pub read: u64,
    /// READDIR.
    pub readdir: u64,
    /// READDIRPLUS.
    pub readdirplus: u64,
    /// FSINFO.
    pub fsinfo: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; 9]);

impl Counters {
    pub(crate) fn add(&self, procedure: Procedure) {
        self.0[procedure as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> CallCounts {
        let count = |procedure: Procedure| self.0[procedure as usize].load(Ordering::Relaxed);
        CallCounts {
            getport: count(Procedure::GetPort),
            mnt: count(Procedure::Mnt),
            getattr: count(Procedure::GetAttr),
            lookup: count(Procedure::Lookup),
            readlink: count(Procedure::ReadLink),
            read: count(Procedure::Read),
            readdir: count(Procedure::ReadDir),
            readdirplus: count(Procedure::ReadDirPlus),
            fsinfo: count(Procedure::FsInfo),
        }
    }
}
