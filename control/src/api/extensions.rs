//! What tags ask for beyond the API's options. Checked when a task is tagged, read once, at
//! StartTaskExecution.

use std::fmt::Display;
use std::str::FromStr;

use datasync_model::{
    Acls, BandwidthTimetable, ChecksumAlgorithm, DeleteShareMax, Extensions, NameEncoding,
    VerifyMode, Xattrs,
};

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
    let mut found = of_task(task)?;
    for (key, value) in execution {
        apply(&mut found, key, value)?;
    }
    if found.verify_deep && verify_mode != VerifyMode::PointInTimeConsistent {
        return Err(ApiError::invalid(format!(
            "Tag {VERIFY}=deep needs VerifyMode {}.",
            VerifyMode::PointInTimeConsistent
        )));
    }
    Ok(found)
}

/// Whether these may be the tags of a task with this verification.
///
/// # Errors
/// As [`extensions`].
pub(super) fn check_of_task(tags: &Tags, verify_mode: VerifyMode) -> Result<(), ApiError> {
    extensions(tags, &Tags::new(), verify_mode).map(drop)
}

fn of_task(tags: &Tags) -> Result<Extensions, ApiError> {
    let mut found = Extensions::default();
    for (key, value) in tags {
        if key == DRY_RUN {
            return Err(ApiError::invalid(format!(
                "Tag {DRY_RUN} belongs on an execution, not on its task: pass it to \
                 StartTaskExecution."
            )));
        }
        apply(&mut found, key, value)?;
    }
    Ok(found)
}

fn apply(found: &mut Extensions, key: &str, value: &str) -> Result<(), ApiError> {
    match key {
        DRY_RUN => found.dry_run = one_of(DRY_RUN, value, ("false", "true"))?,
        VERIFY => found.verify_deep = one_of(VERIFY, value, ("normal", "deep"))?,
        DeleteShareMax::TAG => found.delete_share_max = share(value)?,
        ChecksumAlgorithm::TAG => {
            found.checksum_algorithm = parsed(ChecksumAlgorithm::TAG, value)?;
        }
        NameEncoding::TAG => found.name_encoding = parsed(NameEncoding::TAG, value)?,
        Acls::TAG => found.acls = parsed(Acls::TAG, value)?,
        Xattrs::TAG => found.xattrs = parsed(Xattrs::TAG, value)?,
        BandwidthTimetable::TAG => {
            found.bandwidth_timetable = Some(parsed(BandwidthTimetable::TAG, value)?);
        }
        key if key.starts_with(PREFIX) => {
            return Err(ApiError::invalid(format!("There is no tag {key}.")));
        }
        _ => {}
    }
    Ok(())
}

fn share(value: &str) -> Result<DeleteShareMax, ApiError> {
    value.parse().map_err(|error| {
        ApiError::invalid(format!(
            "Tag {} is not allowed: {error}. It is the largest share of the destination's objects \
             that PreserveDeletedFiles=REMOVE may delete, in percent.",
            DeleteShareMax::TAG
        ))
    })
}

fn parsed<T>(tag: &str, value: &str) -> Result<T, ApiError>
where
    T: FromStr,
    T::Err: Display,
{
    value
        .parse()
        .map_err(|error| ApiError::invalid(format!("Tag {tag} is not allowed: {error}.")))
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
    fn the_share_of_deletes_is_that_of_the_execution_then_of_the_task() {
        let share = |task: &[(&str, &str)], execution: &[(&str, &str)]| {
            let found = extensions(&tags(task), &tags(execution), VerifyMode::None).unwrap();
            found.delete_share_max.percent()
        };
        let of = |percent| (DeleteShareMax::TAG, percent);
        assert_eq!(share(&[], &[]), 50);
        assert_eq!(share(&[of("80")], &[]), 80);
        assert_eq!(share(&[of("80")], &[of("0")]), 0);
    }

    #[test]
    fn the_checksum_algorithm_is_that_of_the_execution_then_of_the_task() {
        let algorithm = |task: &[(&str, &str)], execution: &[(&str, &str)]| {
            let found = extensions(&tags(task), &tags(execution), VerifyMode::None).unwrap();
            (found.checksum_algorithm, found.needs().len())
        };
        let of = |word| (ChecksumAlgorithm::TAG, word);
        let automatic = (ChecksumAlgorithm::Automatic, 0);
        assert_eq!(algorithm(&[], &[]), automatic);
        let sha256 = (ChecksumAlgorithm::Sha256, 1);
        assert_eq!(algorithm(&[of("SHA256")], &[]), sha256);
        assert_eq!(algorithm(&[], &[of("SHA256")]), sha256);
        assert_eq!(algorithm(&[of("SHA256")], &[of("AUTOMATIC")]), automatic);
    }

    #[test]
    fn who_refuses_names_needs_an_agent_that_can() {
        let found = |task| extensions(&tags(task), &Tags::new(), VerifyMode::None).unwrap();
        let refusing = found(&[(NameEncoding::TAG, "REFUSE")]);
        assert_eq!(refusing.name_encoding, NameEncoding::Refuse);
        assert_eq!(refusing.needs().len(), 1);
        assert_eq!(found(&[(NameEncoding::TAG, "ESCAPE")]), found(&[]));
    }

    #[test]
    fn who_keeps_lists_and_attributes_needs_an_agent_that_can() {
        type Given<'a> = &'a [(&'a str, &'a str)];
        let found = |task: Given<'_>, execution: Given<'_>| {
            let found = extensions(&tags(task), &tags(execution), VerifyMode::None).unwrap();
            (found.acls, found.xattrs, found.needs().len())
        };
        let of = |tag, word| (tag, word);
        let acls = of(Acls::TAG, "PRESERVE");
        assert_eq!(found(&[acls], &[]), (Acls::Preserve, Xattrs::None, 1));
        let both = found(&[acls], &[of(Xattrs::TAG, "PRESERVE")]);
        assert_eq!(both, (Acls::Preserve, Xattrs::Preserve, 1));
        let none = found(&[acls], &[of(Acls::TAG, "NONE")]);
        assert_eq!(none, (Acls::None, Xattrs::None, 0));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let dry = ("datasync:dry-run", "true");
        assert_eq!(asked(&[dry], &[]), None);
        for wrong in [
            ("datasync:dry-run", "yes"),
            ("datasync:verify", ""),
            ("datasync:dryrun", "true"),
            ("datasync:delete-share-max-percent", "101"),
            ("datasync:checksum-algorithm", "sha256"),
            ("datasync:checksum-algorithm", "MD5"),
            ("datasync:name-encoding", "DROP"),
            ("datasync:acls", "preserve"),
            ("datasync:xattrs", "true"),
        ] {
            assert_eq!(asked(&[], &[wrong]), None, "{wrong:?}");
        }
        let deep = tags(&[("datasync:verify", "deep")]);
        let mode = VerifyMode::OnlyFilesTransferred;
        assert!(extensions(&deep, &Tags::default(), mode).is_err());
    }
}
