//! What a server is asked to do, and what it says that it has not done.

/// Statuses; both versions have the same numbers for these.
pub(crate) mod status {
    pub(crate) const NOENT: u32 = 2;
    pub(crate) const EXIST: u32 = 17;
    pub(crate) const NOTDIR: u32 = 20;
    pub(crate) const ISDIR: u32 = 21;
    pub(crate) const NOTEMPTY: u32 = 66;
    pub(crate) const STALE: u32 = 70;
    /// Of version 3: the guard of a SETATTR does not hold.
    pub(crate) const NOT_SYNC: u32 = 10_002;
    /// Of version 4: the grace period goes on.
    pub(crate) const GRACE: u32 = 10_013;
    /// Of version 4: more than the session allows of one COMPOUND.
    pub(crate) const TOO_MANY_OPS: u32 = 10_070;
    pub(crate) const NOXATTR: u32 = 10_095;
}

pub(crate) type Status = u32;

/// What a server is asked to do, in both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Of the mount, a session or a place in a COMPOUND.
    Around,
    Look,
    List,
    Read,
    SetAttributes,
    Write,
    Commit,
    MakeFile,
    MakeOther,
    Remove,
    Rename,
    Link,
    SetXattr,
}
