//! Uploads whose creation was not answered: which of those that are open is ours.

use datasync_endpoint::{Destination, EndpointError, ErrorKind, Key, UploadId};

use crate::attempts::Attempts;
use crate::journal::Intent;

/// The open upload that was announced and whose id is not known, if there is one.
///
/// Uploads of others may have the same key. Ours began when it was announced, and has no part
/// unless the store itself copies them: without its id we cannot have sent one. Those of earlier
/// executions whose ids are known are not meant (`is_known`). At most one of the others is ours: of
/// several, none is aborted until the rest are gone.
pub(super) async fn stray<D: Destination>(
    key: &Key,
    intent: Intent,
    is_known: impl Fn(&UploadId) -> bool,
    destination: &D,
    attempts: &Attempts,
) -> Result<Option<UploadId>, EndpointError> {
    let mut found = Vec::new();
    for open in destination.open_uploads(key).await? {
        if !is_known(&open.id)
            && began_as_announced(intent, open.initiated.seconds, attempts.seconds_max())
            && (intent.has_parts || !has_parts(key, &open.id, destination).await?)
        {
            found.push(open.id);
        }
    }
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let count = found.len();
    Err(EndpointError::new(
        ErrorKind::Busy,
        "ListMultipartUploads",
        key.as_str().escape_debug().to_string(),
        format!("{count} uploads of this key, one of them ours, cannot be told apart"),
    ))
}

/// Whether an open upload has a part; one that does not exist any more has none.
async fn has_parts<D: Destination>(
    key: &Key,
    upload: &UploadId,
    destination: &D,
) -> Result<bool, EndpointError> {
    match destination.parts(key, upload).await {
        Ok(parts) => Ok(!parts.is_empty()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an upload that began at this time of the store may be the one that was announced. The
/// last try of a call begins within `tries_seconds` after the announcement, and what it was held.
fn began_as_announced(intent: Intent, initiated_seconds: i64, tries_seconds: i64) -> bool {
    let first = intent.at_seconds.saturating_sub(CLOCK_TOLERANCE_SECONDS);
    let last = intent
        .at_seconds
        .saturating_add(intent.held_seconds)
        .saturating_add(tries_seconds)
        .saturating_add(TRY_SECONDS_MAX)
        .saturating_add(CLOCK_TOLERANCE_SECONDS);
    (first..=last).contains(&initiated_seconds)
}

/// How far the store's clock may be off ours, in seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;
/// How long after its start a try may begin its upload, in seconds.
const TRY_SECONDS_MAX: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_began_about_when_it_was_announced_or_is_not_ours() {
        let intent = Intent {
            at_seconds: 10_000,
            ..Intent::default()
        };
        for (initiated, ours) in [
            (9_699, false),
            (9_700, true),
            (10_000, true),
            (10_900, true),
            (10_901, false),
        ] {
            assert_eq!(
                began_as_announced(intent, initiated, 300),
                ours,
                "{initiated}"
            );
        }
        let held = Intent {
            held_seconds: 5_000,
            ..intent
        };
        assert!(began_as_announced(held, 9_700, 300));
        assert!(began_as_announced(held, 15_900, 300));
        assert!(!began_as_announced(held, 15_901, 300));
    }
}
