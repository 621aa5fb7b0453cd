//! One suite for every source and every destination.
