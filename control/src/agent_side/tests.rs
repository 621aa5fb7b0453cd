//! An agent in a few lines against the real port: TLS, gRPC, SQLite.

mod broken;
mod enrolling;
mod failover;
mod keys;
mod logs;
mod lost;
mod recorded;
mod replicas;
mod reports;
mod roles;
mod rotation;
mod strangers;
mod updates;
mod work;
mod working;
mod world;
