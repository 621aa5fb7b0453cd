//! What becomes of names that are no keys.

use crate::word::words;

words! {
    /// Not DataSync's, which refuses such names.
    #[derive(Default)]
    NameEncoding {
        /// Bytes that are no part of valid UTF-8 are escaped in the key, so that the way back restores them.
        #[default]
        Escape = "ESCAPE",
        /// Entries whose names would have to be escaped fail, each by name.
        Refuse = "REFUSE",
    }
}

impl NameEncoding {
    /// The tag of a task, or of StartTaskExecution, that says it.
    pub const TAG: &str = "datasync:name-encoding";
}
