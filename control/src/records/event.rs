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
}

impl Subject {
    /// The resource's id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Agent(arn) => arn.id(),
            Self::Task(arn) => arn.id(),
            Self::Execution(arn) => arn.id(),
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
    /// The new state, in the API's words.
    pub(crate) state: String,
    /// When it was committed.
    pub(crate) at_ms: i64,
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

/// The state of a resource that was last made an event. Ended executions have none any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) subject: Subject,
    pub(crate) state: String,
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
            Subject::Agent(_) | Subject::Task(_) => None,
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
