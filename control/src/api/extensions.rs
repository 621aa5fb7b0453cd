//! What tags ask for beyond the API's options. Read once, at StartTaskExecution.

use datasync_model::{Extensions, VerifyMode};

use super::error::ApiError;
use crate::records::Tags;

/// Keys of ours begin with this; one that is not known is refused, not passed over.
const PREFIX: &str = "datasync:";
const DRY_RUN: &str = "datasync:dry-run";
const VERIFY: &str = "datasync:verify";

/// The extensions of an execution, by its own tags and those of its task. The execution's count
/// first; whether it is a dry run only they can say.
///
/// # Errors
/// For an unknown key or value of ours, and for a deep verification without an end check.
pub(super) fn extensions(
    task: &Tags,
    execution: &Tags,
    verify_mode: VerifyMode,
) -> Result<Extensions, ApiError> {
    let mut found = Extensions::default();
    for (key, value) in task.iter().chain(execution) {
        match key.as_str() {
            DRY_RUN if !execution.contains_key(DRY_RUN) => {
                return Err(ApiError::invalid(format!(
                    "Tag {DRY_RUN} belongs on an execution, not on its task: pass it to \
                     StartTaskExecution."
                )));
            }
            DRY_RUN => found.dry_run = one_of(DRY_RUN, value, ("false", "true"))?,
            VERIFY => found.verify_deep = one_of(VERIFY, value, ("normal", "deep"))?,
            key if key.starts_with(PREFIX) => {
                return Err(ApiError::invalid(format!("There is no tag {key}.")));
            }
            _ => {}
        }
    }
    if found.verify_deep && verify_mode != VerifyMode::PointInTimeConsistent {
        return Err(ApiError::invalid(format!(
            "Tag {VERIFY}=deep needs VerifyMode {}.",
            VerifyMode::PointInTimeConsistent
        )));
    }
    Ok(found)
}

fn one_of(key: &str, value: &str, (no, yes): (&str, &str)) -> Result<bool, ApiError> {
    if value == yes {
        Ok(true)
    } else if value == no {
        Ok(false)
    } else {
        Err(ApiError::invalid(format!(
            "Tag {key} must be {no} or {yes}, not {value:?}."
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[(&str, &str)]) -> Tags {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        tags.iter().map(own).collect()
    }

    fn asked(task: &[(&str, &str)], execution: &[(&str, &str)]) -> Option<(bool, bool)> {
        let mode = VerifyMode::PointInTimeConsistent;
        let found = extensions(&tags(task), &tags(execution), mode).ok()?;
        Some((found.dry_run, found.verify_deep))
    }

    #[test]
    fn the_executions_tags_count_before_those_of_the_task() {
        let (dry, deep) = (("datasync:dry-run", "true"), ("datasync:verify", "deep"));
        assert_eq!(asked(&[], &[]), Some((false, false)));
        assert_eq!(asked(&[("owner", "me")], &[dry]), Some((true, false)));
        assert_eq!(asked(&[deep], &[]), Some((false, true)));
        let normal = ("datasync:verify", "normal");
        assert_eq!(asked(&[deep], &[normal]), Some((false, false)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let dry = ("datasync:dry-run", "true");
        assert_eq!(asked(&[dry], &[]), None);
        for wrong in [
            ("datasync:dry-run", "yes"),
            ("datasync:verify", ""),
            ("datasync:dryrun", "true"),
        ] {
            assert_eq!(asked(&[], &[wrong]), None, "{wrong:?}");
        }
        let deep = tags(&[("datasync:verify", "deep")]);
        let mode = VerifyMode::OnlyFilesTransferred;
        assert!(extensions(&deep, &Tags::default(), mode).is_err());
    }
}
