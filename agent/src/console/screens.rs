//! The screens: what each asks for, and what it says.

pub(super) mod activation;
pub(super) mod connection;
pub(super) mod execution;
pub(super) mod lock;
pub(super) mod log_level;
pub(super) mod menu;
pub(super) mod network;
pub(super) mod resources;
pub(super) mod status;
pub(super) mod storage;
pub(super) mod support;
