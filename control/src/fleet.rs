//! Agents: leases, sessions, what they should do and what they say they do.

mod desired;
mod lease;
mod observed;
mod probes;
pub(crate) mod views;

#[cfg(test)]
pub(crate) mod fixture;
