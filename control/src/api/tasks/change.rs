//! Structures of a task that an empty one removes.

/// What a call says of such a structure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::api) enum Change<T> {
    /// Nothing.
    #[default]
    AsItIs,
    /// It is empty.
    Remove,
    /// Something.
    Set(T),
}

impl<T> Change<T> {
    /// What is in force after the call.
    pub(in crate::api) fn applied(self, present: Option<T>) -> Option<T> {
        match self {
            Self::AsItIs => present,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}
