//! Changes of state that are to be told, and how far each of those who are told has come.

use datasync_model::{AgentArn, TaskArn, TaskExecutionArn};
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// What has a state that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "arn", rename_all = "kebab-case")]
pub(crate) enum Subject {
    Agent(AgentArn),
    Task(TaskArn),
    Execution(TaskExecutionArn),
    /// A control: `arn:PARTITION:datasync:REGION:ACCOUNT:control/ID`, an ARN of ours.
    Control(String),
}

impl Subject {
    /// The resource's id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Agent(arn) => arn.id(),
            Self::Task(arn) => arn.id(),
            Self::Execution(arn) => arn.id(),
            Self::Control(arn) => arn,
        }
    }
}

/// A change of state, from the commit that made it until everybody was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Texts sort as the commits, and within one as it was written.
    pub(crate) sequence: String,
    /// A UUID: the same however often it is told.
    pub(crate) id: String,
    /// Whose state.
    pub(crate) subject: Subject,
    /// The new state, in the API's words; of a warning `RAISED` or `CLEARED`.
    pub(crate) state: String,
    /// When it was committed.
    pub(crate) at_ms: i64,
    /// Set if it is not of a state but of a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warning: Option<Warning>,
}

/// What is about to break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Warning {
    pub(crate) kind: WarningKind,
    /// For people.
    pub(crate) message: String,
}

/// The words are those of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum WarningKind {
    /// Of an agent: little room for journals and catalogs.
    StateDiskLow,
    /// Of an agent: it should have renewed its certificate.
    CertificateExpiring,
    /// Of an agent: another machine has its identity.
    CloneDetected,
    /// Of control: what it shows to agents or clients ends.
    ServerCertificateExpiring,
    /// Of control: its certificate authority ends.
    AuthorityExpiring,
}

impl Event {
    /// The sequence of the event number `index` of the commit that leads to `generation`.
    pub(crate) fn sequence(generation: u64, index: usize) -> String {
        format!("{generation:020}-{index:06}")
    }
}

impl Record for Event {
    const KIND: &'static str = "event";

    fn id(&self) -> String {
        self.sequence.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// The state and the warnings of a resource that were last made an event. Ended executions have none
/// any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) subject: Subject,
    /// Empty: it has none.
    pub(crate) state: String,
    /// Warnings that are raised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<WarningKind>,
}

impl Record for Announced {
    const KIND: &'static str = "announced";

    fn id(&self) -> String {
        self.subject.id().to_owned()
    }

    /// The task's id, of an execution.
    fn parent(&self) -> Option<String> {
        match &self.subject {
            Subject::Execution(arn) => Some(arn.task().id().to_owned()),
            Subject::Agent(_) | Subject::Task(_) | Subject::Control(_) => None,
        }
    }
}

/// How far one receiver has been told, and who tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// The receiver.
    pub(crate) receiver: String,
    /// The sequence of the last event that it took; empty: none yet.
    pub(crate) delivered: String,
    /// The control that tells it.
    pub(crate) holder: String,
}

impl Record for Delivery {
    const KIND: &'static str = "event-delivery";

    fn id(&self) -> String {
        self.receiver.clone()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// How many events are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventQueue {
    pub(crate) length: u64,
    /// Events that had to go although somebody had not been told.
    pub(crate) dropped: u64,
    /// Whether agents and tasks that are older than events were taken over.
    #[serde(default)]
    pub(crate) adopted: bool,
}

impl EventQueue {
    /// There is one.
    pub(crate) const ID: &'static str = "event-queue";
}

impl Record for EventQueue {
    const KIND: &'static str = "event-queue";

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
