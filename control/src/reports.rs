//! Signatures over task reports: control's keys, its countersignature, and the check of a report by
//! whoever has its files.

mod check;
mod countersigning;
mod keys;

pub(crate) use check::{CheckError, check};
pub(crate) use countersigning::{Countersigner, Signed, SigningError, checked};
pub(crate) use keys::{PublishedKeys, published, rotated};
