//! How many calls were made, per procedure.

use std::sync::atomic::{AtomicU64, Ordering};

use datasync_model::RequestCounts;

/// The procedures that this crate calls, and the operations of version 4 that a COMPOUND is for.
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
    ExchangeId,
    CreateSession,
    DestroySession,
    Sequence,
    ReclaimComplete,
    Create,
    MkDir,
    SymLink,
    MkNod,
    Open,
    OpenConfirm,
    Close,
    Write,
    Commit,
    SetAttr,
    Rename,
    Link,
    Remove,
    RmDir,
    SetClientId,
    Seek,
    GetXattr,
    SetXattr,
    ListXattrs,
    RemoveXattr,
}

impl Procedure {
    const ALL: [Self; 34] = [
        Self::GetPort,
        Self::Mnt,
        Self::GetAttr,
        Self::Lookup,
        Self::ReadLink,
        Self::Read,
        Self::ReadDir,
        Self::ReadDirPlus,
        Self::FsInfo,
        Self::ExchangeId,
        Self::CreateSession,
        Self::DestroySession,
        Self::Sequence,
        Self::ReclaimComplete,
        Self::Create,
        Self::MkDir,
        Self::SymLink,
        Self::MkNod,
        Self::Open,
        Self::OpenConfirm,
        Self::Close,
        Self::Write,
        Self::Commit,
        Self::SetAttr,
        Self::Rename,
        Self::Link,
        Self::Remove,
        Self::RmDir,
        Self::SetClientId,
        Self::Seek,
        Self::GetXattr,
        Self::SetXattr,
        Self::ListXattrs,
        Self::RemoveXattr,
    ];

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
            Self::ExchangeId => "EXCHANGE_ID",
            Self::CreateSession => "CREATE_SESSION",
            Self::DestroySession => "DESTROY_SESSION",
            Self::Sequence => "SEQUENCE",
            Self::ReclaimComplete => "RECLAIM_COMPLETE",
            Self::Create => "CREATE",
            Self::MkDir => "MKDIR",
            Self::SymLink => "SYMLINK",
            Self::MkNod => "MKNOD",
            Self::Open => "OPEN",
            Self::OpenConfirm => "OPEN_CONFIRM",
            Self::Close => "CLOSE",
            Self::Write => "WRITE",
            Self::Commit => "COMMIT",
            Self::SetAttr => "SETATTR",
            Self::Rename => "RENAME",
            Self::Link => "LINK",
            Self::Remove => "REMOVE",
            Self::RmDir => "RMDIR",
            Self::SetClientId => "SETCLIENTID",
            Self::Seek => "SEEK",
            Self::GetXattr => "GETXATTR",
            Self::SetXattr => "SETXATTR",
            Self::ListXattrs => "LISTXATTRS",
            Self::RemoveXattr => "REMOVEXATTR",
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

#[derive(Debug)]
pub(crate) struct Counters([AtomicU64; Procedure::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Procedure::ALL.len()])
    }
}

impl Counters {
    pub(crate) fn add(&self, procedure: Procedure) {
        self.0[procedure as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, procedure: Procedure) -> u64 {
        self.0[procedure as usize].load(Ordering::Relaxed)
    }

    /// The counts by the protocol's words.
    pub(crate) fn requests(&self) -> RequestCounts {
        let counts = Procedure::ALL.map(|procedure| (procedure.name(), self.count(procedure)));
        counts.into_iter().collect()
    }

    pub(crate) fn snapshot(&self) -> CallCounts {
        let count = |procedure| self.count(procedure);
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
