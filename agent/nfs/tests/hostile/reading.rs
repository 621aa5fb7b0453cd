//! A source that is deceived.

mod extended;
mod listings;
mod records;
mod victim;
mod words;
