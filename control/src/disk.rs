//! What to do about a disk that does not take or give what control needs.

use std::io::ErrorKind;

use rusqlite::ErrorCode;

use crate::store::Cause;

const FULL: &str = "; free space on that file system, or choose another state_dir";
const REFUSED: &str =
    "; run as the owner of the state directory, on a file system that can be written";
const FAILING: &str = "; look in the system's log whether that disk is full or failing";
const DAMAGED: &str = "; restore the state directory from a backup";
const BUSY: &str = "; another process holds the database: try again once it is done";

/// What to do about a failed access to a file; empty where the error says all there is.
pub(crate) fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FULL,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => REFUSED,
        _ => "",
    }
}

/// What to do about a failure of the database; empty where the error says all there is.
pub(crate) fn database_advice(cause: &Cause) -> &'static str {
    let Cause::Sqlite(error) = cause else {
        return "";
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => FULL,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => REFUSED,
        Some(ErrorCode::SystemIoFailure) => FAILING,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DAMAGED,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => BUSY,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::ca::CaError;
    use crate::serve::ServeError;
    use crate::state::StateError;
    use crate::store::{SealError, StoreError};

    fn failed(code: i32) -> StateError {
        StateError::Store(StoreError::Database {
            place: "/state/control.sqlite3".to_owned(),
            doing: "committing a transaction",
            cause: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into(),
        })
    }

    #[test]
    fn a_database_that_fails_is_named_with_cause_and_remedy() {
        for (code, cause, remedy) in [
            (rusqlite::ffi::SQLITE_FULL, "full", "free space"),
            (rusqlite::ffi::SQLITE_READONLY, "readonly", "as the owner"),
            (rusqlite::ffi::SQLITE_IOERR, "I/O", "system's log"),
            (rusqlite::ffi::SQLITE_CORRUPT, "malformed", "backup"),
        ] {
            let text = ServeError::from(failed(code)).to_string();
            let begin = "the store /state/control.sqlite3 failed while committing a transaction: ";
            assert!(text.starts_with(begin), "{text}");
            let (said, advised) = text.rsplit_once("; ").unwrap();
            assert!(said.contains(cause) && advised.contains(remedy), "{text}");
        }
    }

    #[test]
    fn every_file_of_the_state_is_named_with_cause_and_remedy() {
        let path = Path::new("/state/x");
        for (kind, remedy) in [
            (ErrorKind::StorageFull, "free space"),
            (ErrorKind::QuotaExceeded, "free space"),
            (ErrorKind::ReadOnlyFilesystem, "as the owner"),
            (ErrorKind::PermissionDenied, "as the owner"),
        ] {
            let source = || io::Error::from(kind);
            let shown = || path.display().to_string();
            let errors = [
                StateError::File {
                    path: path.to_owned(),
                    source: source(),
                },
                StateError::from(StoreError::File {
                    path: shown(),
                    source: source(),
                }),
                StateError::from(SealError::File {
                    path: shown(),
                    source: source(),
                }),
                StateError::from(CaError::File {
                    path: path.to_owned(),
                    action: "cannot be written",
                    source: source(),
                }),
            ];
            for error in errors {
                let text = ServeError::from(error).to_string();
                assert!(text.contains("/state/x"), "{text}");
                assert!(text.contains(&source().to_string()), "{text}");
                assert!(text.contains(remedy), "{text}");
            }
        }
    }
}
