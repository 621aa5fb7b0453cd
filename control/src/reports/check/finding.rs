//! What can be wrong with a report.

/// One thing that is not as it was signed. Exit codes are part of the command's contract
/// (docs/operations.md).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Finding {
    #[error(
        "it is not signed: there is no file of Report-Signatures with its name; an agent or a control \
         of an older release signs nothing"
    )]
    Unsigned,
    #[error("its document with the signatures cannot be understood: {reason}")]
    NoDocument { reason: String },
    #[error("its list of objects does not belong to its root: the document was altered")]
    OtherRoot,
    #[error("it is not countersigned: control did not vouch for it")]
    NotCountersigned,
    #[error(
        "it is countersigned with the key {key_id}, which is not among the public keys: they are of \
         another control, or older than the key"
    )]
    UnknownKey { key_id: String },
    #[error(
        "its countersignature is not one of the key {key_id} over this report: the report was \
         altered, or signed with another key"
    )]
    WrongCountersignature { key_id: String },
    #[error(
        "it is countersigned at {signed_at} with the key {key_id}, which was in use from {from} to \
         {until} only"
    )]
    KeyNotInUse {
        key_id: String,
        signed_at: String,
        from: String,
        until: String,
    },
    #[error(
        "the agent's signature is not one of its key {key_id} over this report: the report was \
         altered, or signed with another key"
    )]
    WrongSignature { key_id: String },
    #[error("{object} is missing")]
    Missing { object: String },
    #[error("{object} was added: it is not part of what was signed")]
    Added { object: String },
    #[error("{object}: {missing} of {signed} entries were removed")]
    EntriesRemoved {
        object: String,
        missing: u64,
        signed: u64,
    },
    #[error("{object}: {added} entries were added to the {signed} that were signed")]
    EntriesAdded {
        object: String,
        added: u64,
        signed: u64,
    },
    #[error("{object}: {how}")]
    OtherOrder { object: String, how: String },
    #[error("{object} was altered: {how}")]
    Altered { object: String, how: String },
}

impl Finding {
    /// The exit code of the command where this is the first finding.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Unsigned => 10,
            Self::NoDocument { .. } => 11,
            Self::OtherRoot => 12,
            Self::NotCountersigned => 13,
            Self::UnknownKey { .. } => 14,
            Self::WrongCountersignature { .. } => 15,
            Self::KeyNotInUse { .. } => 16,
            Self::WrongSignature { .. } => 17,
            Self::Missing { .. } => 20,
            Self::Added { .. } => 21,
            Self::EntriesRemoved { .. } => 22,
            Self::EntriesAdded { .. } => 23,
            Self::OtherOrder { .. } => 24,
            Self::Altered { .. } => 25,
        }
    }
}
