//! A server that lies, over real sockets: whatever it sends, source and destination answer in time, take
//! no memory for what is only announced, take nothing for written that is not, and work again once the
//! server does.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests"
)]

mod memory;
mod reading;
mod server;
mod writing;
