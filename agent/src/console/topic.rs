//! What the menu offers.

/// An item of the menu, in its order; the digit is its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    ActivationKey,
    Network,
    Connection,
    Storage,
    Resources,
    Status,
    Execution,
    Log,
    Support,
    Password,
}

impl Topic {
    pub(super) const ALL: [Self; 10] = [
        Self::ActivationKey,
        Self::Network,
        Self::Connection,
        Self::Storage,
        Self::Resources,
        Self::Status,
        Self::Execution,
        Self::Log,
        Self::Support,
        Self::Password,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ActivationKey => "Get activation key",
            Self::Network => "Network configuration",
            Self::Connection => "Test the connection to control",
            Self::Storage => "Test storage",
            Self::Resources => "System resources check",
            Self::Status => "Agent id and status",
            Self::Execution => "Running execution",
            Self::Log => "Log",
            Self::Support => "Support bundle",
            Self::Password => "Change password",
        }
    }
}
