//! A server that lies, over real sockets: whatever it sends, the source answers in time, takes no
//! memory for what is only announced, and works again once the server does.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests"
)]

mod honest;
mod listings;
mod records;
mod victim;
mod wire;
mod words;
