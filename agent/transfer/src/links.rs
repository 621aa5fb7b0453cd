//! Files with several names (hard links) on their way to a file system.
//!
//! Which names belong together is known once all of them were met. So a name of a file that has
//! several takes no lane when it leaves the merge, but goes to the agent's disk ([`Names`]); once
//! everything else is transferred, the names are sorted by their files. Of each file the first name
//! is transferred as any other item, and the others are given to what that has become. What is held in
//! memory is one file's state for each name that is in flight, however many names there are.

mod name;
mod names;
mod sharing;

pub(crate) use name::Name;
pub(crate) use names::{Names, trim};
pub(crate) use sharing::{is_one_file, own_names, stays};
