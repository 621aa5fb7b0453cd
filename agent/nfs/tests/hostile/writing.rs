//! A destination that is deceived, and one whose server is restarted before it has kept what it was given.

mod changes;
mod lies;
mod replies;
mod restarts;
mod victim;
