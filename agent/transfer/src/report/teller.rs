//! Room for what is told. A report that finds none on the agent's disk is given up; the transfer goes
//! on, with the room that the report had.

use std::sync::{Mutex, PoisonError};

use datasync_model::{ErrorCode, Failure};

use super::entry::Reporter;
use crate::disk::{Disk, Share};
use crate::journal::{Journal, JournalError, Record};

/// A report leaves so much of the execution's disk space to the rest, in bytes.
const LEFT_TO_OTHERS: u64 = 8 << 20;

/// What an execution's report has of the disk.
#[derive(Debug)]
enum Room {
    Held(Share),
    GivenUp(Failure),
}

/// Makes the entries of a report as long as there is room for them.
#[derive(Debug)]
pub(crate) struct Teller {
    reporter: Reporter,
    journal: Journal,
    room: Mutex<Room>,
}

impl Teller {
    /// `bytes` are in its file already; `given_up`: an earlier run of the process gave it up.
    ///
    /// # Errors
    /// If the journal has failed.
    pub(crate) async fn begin(
        reporter: Reporter,
        journal: Journal,
        disk: &Disk,
        (bytes, given_up): (u64, Option<Failure>),
    ) -> Result<Self, JournalError> {
        let is_short = bytes > 0 && disk.left() < LEFT_TO_OTHERS;
        let room = given_up.map_or_else(|| Room::Held(disk.held(bytes)), Room::GivenUp);
        let teller = Self {
            reporter,
            journal,
            room: Mutex::new(room),
        };
        if is_short {
            teller.give_up("the execution needs the rest").await?;
        }
        Ok(teller)
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Why there is no report, if there is none.
    pub(crate) fn given_up(&self) -> Option<Failure> {
        match &*self.room.lock().unwrap_or_else(PoisonError::into_inner) {
            Room::Held(_) => None,
            Room::GivenUp(failure) => Some(failure.clone()),
        }
    }

    /// `frames`, if the report goes on with them; nothing if it was given up.
    ///
    /// # Errors
    /// If the journal has failed.
    pub(crate) async fn admit(&self, frames: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        let refused = {
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *room {
                Room::GivenUp(_) => return Ok(Vec::new()),
                Room::Held(share) => share.grow_leaving(frames.len() as u64, LEFT_TO_OTHERS),
            }
        };
        match refused {
            Ok(()) => Ok(frames),
            Err(error) => {
                self.give_up(&error.to_string()).await?;
                Ok(Vec::new())
            }
        }
    }

    async fn give_up(&self, why: &str) -> Result<(), JournalError> {
        let detail = format!(
            "Cannot write to Task Report: there is no room on the agent's disk for its entries, and \
             the transfer went on without them: {why}"
        );
        let failure = Failure::new(ErrorCode::TaskReportUploadFailed, detail);
        tracing::error!(%failure, "the task report is given up");
        {
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            *room = Room::GivenUp(failure.clone());
        }
        self.journal.append(Record::ReportGivenUp { failure }).await
    }
}
