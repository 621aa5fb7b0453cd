//! A whole agent in this process against a control plane of the test's own, over real TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod activation;
mod agent;
mod capture;
mod control;
mod recorded;
mod renewal;
mod secrets;
mod session;
mod trust;
mod updates;
