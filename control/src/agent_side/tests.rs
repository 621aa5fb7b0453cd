//! An agent in a few lines against the real port: TLS, gRPC, SQLite.

mod enrolling;
mod lost;
mod roles;
mod strangers;
mod work;
mod working;
mod world;
