//! In-memory source and destination for tests.
