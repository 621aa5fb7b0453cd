//! What the console wants done, and what came of it.

use std::time::Duration;

use super::page::Line;
use crate::appliance::{ControlSettings, NetworkSettings};
use crate::local::Snapshot;

/// Something that takes time or touches the world. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Where the agent stands.
    Ask,
    RequestKey {
        region: String,
    },
    ReadNetwork,
    /// What this machine uses, where the console does not configure it.
    ShowNetwork,
    ApplyNetwork(Box<NetworkSettings>),
    /// Then tests it.
    SetControl(ControlSettings),
    TestConnection,
    TestNfs {
        server: String,
        path: String,
    },
    TestS3 {
        endpoint: String,
        bucket: String,
    },
    CheckResources,
    ReadLog,
    ReadLogLevel,
    SetLogLevel {
        level: String,
    },
    MakeBundle {
        directory: String,
    },
    Unlock {
        password: String,
    },
    /// `old` is `None` where there is no password yet.
    SetPassword {
        old: Option<String>,
        new: String,
    },
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Ask => "Ask",
            Self::RequestKey { .. } => "RequestKey",
            Self::ReadNetwork => "ReadNetwork",
            Self::ShowNetwork => "ShowNetwork",
            Self::ApplyNetwork(_) => "ApplyNetwork",
            Self::SetControl(_) => "SetControl",
            Self::TestConnection => "TestConnection",
            Self::TestNfs { .. } => "TestNfs",
            Self::TestS3 { .. } => "TestS3",
            Self::CheckResources => "CheckResources",
            Self::ReadLog => "ReadLog",
            Self::ReadLogLevel => "ReadLogLevel",
            Self::SetLogLevel { .. } => "SetLogLevel",
            Self::MakeBundle { .. } => "MakeBundle",
            Self::Unlock { .. } => "Unlock",
            Self::SetPassword { .. } => "SetPassword",
        }
    }

    /// After this time the operator is told that there is no answer.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Ask | Self::ReadNetwork | Self::ShowNetwork | Self::ReadLogLevel => 5,
            Self::RequestKey { .. } | Self::CheckResources => 15,
            Self::ReadLog => 20,
            // Passwords are costly on purpose, and a CPU may be emulated.
            Self::Unlock { .. }
            | Self::SetPassword { .. }
            | Self::SetLogLevel { .. }
            | Self::TestS3 { .. } => 60,
            Self::TestConnection | Self::TestNfs { .. } => 90,
            Self::SetControl(_) | Self::ApplyNetwork(_) | Self::MakeBundle { .. } => 150,
        })
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Of [`Command::Ask`].
    Agent(Result<Box<Snapshot>, String>),
    /// Of [`Command::ReadNetwork`].
    Network(Box<NetworkSettings>),
    /// Of [`Command::ReadLogLevel`].
    LogLevel(String),
    /// Of [`Command::SetControl`], once it is written.
    Control {
        /// What is configured from now on.
        control: ControlSettings,
        /// What is wrong all the same, with the seed for example.
        faults: Option<String>,
        /// What the test said.
        lines: Vec<Line>,
    },
    /// Of [`Command::Unlock`]: whether the password was right, or why that cannot be told.
    Unlocked(Result<bool, String>),
    /// Of [`Command::SetPassword`].
    PasswordSet(Result<(), String>),
    /// Likewise: another console has set the first password meanwhile.
    PasswordThere,
    /// Of all others, and of those that did not come to their end.
    Lines(Vec<Line>),
}
