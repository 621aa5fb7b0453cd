//! The local console: what an operator does at the machine, on its screen or a serial line.
//!
//! The state of the whole console is one value, [`app::App`]. [`update`] makes the next one from it
//! and an event, with the commands that are to be run; every screen is a function from the state to
//! a [`page::Page`] of text. Only what is below `run` touches the world.

mod app;
mod command;
mod draw;
mod form;
mod key;
mod outcomes;
mod page;
mod report;
mod run;
mod screens;
mod topic;
mod update;

#[cfg(test)]
mod tests;

pub use run::{ConsoleError, ConsoleSettings, console};
