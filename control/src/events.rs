//! Events of changed states and warnings, in EventBridge's form: made of committed rows, told in order.
//!
//! Each commit that changes a state writes the event along with it, so none is lost at a crash. A
//! receiver is told at least once and in the order of commits; the event's id stays the same.

mod adoption;
mod delivery;
mod envelope;
mod outbox;
mod queue;
mod warnings;
mod webhook;

pub(crate) use adoption::adopt;
pub(crate) use delivery::{Receiver, deliver};
pub(crate) use outbox::{record, tells, warn_of_control};
pub use webhook::{Webhook, WebhookError};
