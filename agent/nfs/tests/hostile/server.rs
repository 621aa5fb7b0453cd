//! A sound server with a small export in memory, whose words and deeds a test spoils.

mod attributes;
mod disk;
mod started;
mod verbs;
mod version_3;
mod version_4;
mod wire;

pub(crate) use disk::{CONTENT, Disk, NAMES, Node, TARGET};
pub(crate) use started::{TIMEOUT, VERSIONS, config, server};
pub(crate) use verbs::{Verb, status};
pub(crate) use wire::{Act, Call, Server, Xdr, record};
