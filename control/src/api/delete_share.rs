//! The share of deletes that the tags of a task allow: an extension, DataSync's API has no option.

use datasync_model::DeleteShareMax;

use super::error::ApiError;
use crate::records::Tags;

/// What the tags say, if they say anything.
///
/// # Errors
/// If it is not a share.
pub(super) fn of(tags: &Tags) -> Result<Option<DeleteShareMax>, ApiError> {
    let Some(value) = tags.get(DeleteShareMax::TAG) else {
        return Ok(None);
    };
    let share = value.parse().map_err(|error| {
        ApiError::invalid(format!(
            "Tag {} is not allowed: {error}. It is the largest share of the destination's objects \
             that PreserveDeletedFiles=REMOVE may delete, in percent.",
            DeleteShareMax::TAG
        ))
    })?;
    Ok(Some(share))
}
