//! The engine against the in-memory source and destination, in virtual time.

mod cancelling;
mod changes;
mod copying;
mod deletes;
mod faults;
mod integrity;
mod random;
mod rates;
mod resuming;
mod world;
