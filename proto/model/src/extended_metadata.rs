//! Whether metadata beyond POSIX's is kept. Not DataSync's, which drops it.

use crate::word::words;

words! {
    /// Access control lists of NFS version 4.
    #[derive(Default)]
    Acls {
        /// They are not looked at.
        #[default]
        None = "NONE",
        /// Kept in the user metadata of objects, and given to entries of file systems.
        Preserve = "PRESERVE",
    }
}

words! {
    /// Extended attributes of the namespace `user` (RFC 8276).
    #[derive(Default)]
    Xattrs {
        /// They are not looked at.
        #[default]
        None = "NONE",
        /// Kept in the user metadata of objects, and given to entries of file systems.
        Preserve = "PRESERVE",
    }
}

impl Acls {
    /// The tag of a task, or of StartTaskExecution, that says it.
    pub const TAG: &str = "datasync:acls";
}

impl Xattrs {
    /// The tag of a task, or of StartTaskExecution, that says it.
    pub const TAG: &str = "datasync:xattrs";
}
