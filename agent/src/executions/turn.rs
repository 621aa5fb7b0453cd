//! An execution's place among those that move data at once.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

/// Held until it is given up, or the last clone is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    /// `None`: there is none to hold.
    pub(super) fn new(slot: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(slot)))
    }

    /// The next execution may begin: this one only waits from now on, or writes a few kilobytes.
    pub(super) fn give_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
