//! What went wrong, in one line.

use std::error::Error;
use std::fmt;

/// A sentence and its cause.
#[derive(Debug)]
pub(crate) struct Fault {
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    pub(crate) fn new(
        what: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            cause: Some(cause.into()),
        }
    }

    pub(crate) fn plain(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cause: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Fault {}
