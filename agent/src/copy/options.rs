//! DataSync's options and filters from flags.

use std::str::FromStr;

use datasync_model::{
    Excludes, Extensions, FilterError, Includes, Options, OptionsOverride, Pair, TaskMode,
    VerifyMode,
};

use super::flags::CopyFlags;
use crate::config::parse_rate;

/// A copy is a BASIC task: every `VerifyMode` is to be had.
pub(super) const TASK_MODE: TaskMode = TaskMode::Basic;

/// A word of the API, or a fault.
pub(super) fn word<T>(flag: &str, value: Option<&String>, faults: &mut Vec<String>) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let parsed = value?.parse();
    parsed
        .map_err(|error| faults.push(format!("--{flag}: {error}")))
        .ok()
}

/// The options with every default filled in. Couplings are checked where each word is one.
pub(super) fn options(flags: &CopyFlags, pair: Pair, faults: &mut Vec<String>) -> Options {
    let before = faults.len();
    let rate = flags.bytes_per_second.as_deref().map(parse_rate);
    let given = OptionsOverride {
        transfer_mode: word("transfer-mode", flags.transfer_mode.as_ref(), faults),
        overwrite_mode: word("overwrite-mode", flags.overwrite_mode.as_ref(), faults),
        verify_mode: word("verify-mode", flags.verify_mode.as_ref(), faults).or(Some(match flags
            .verify
        {
            Some(_) => VerifyMode::PointInTimeConsistent,
            None => VerifyMode::OnlyFilesTransferred,
        })),
        preserve_deleted_files: word(
            "preserve-deleted-files",
            flags.preserve_deleted_files.as_ref(),
            faults,
        ),
        bytes_per_second: rate.and_then(|rate| {
            rate.map_err(|what| faults.push(format!("--bytes-per-second: {what}")))
                .ok()
        }),
        uid: word("uid", flags.uid.as_ref(), faults),
        gid: word("gid", flags.gid.as_ref(), faults),
        mtime: word("mtime", flags.mtime.as_ref(), faults),
        atime: word("atime", flags.atime.as_ref(), faults),
        posix_permissions: word(
            "posix-permissions",
            flags.posix_permissions.as_ref(),
            faults,
        ),
        preserve_devices: word("preserve-devices", flags.preserve_devices.as_ref(), faults),
        object_tags: word("object-tags", flags.object_tags.as_ref(), faults),
        object_metadata: word("object-metadata", flags.object_metadata.as_ref(), faults),
        ..OptionsOverride::default()
    };
    let options = Options::defaults(TASK_MODE, pair).merged(&given);
    if faults.len() == before
        && let Err(error) = options.check(TASK_MODE, pair)
    {
        faults.push(error.to_string());
    }
    options
}

/// What is asked for beyond the options.
pub(super) fn extensions(
    flags: &CopyFlags,
    options: &Options,
    faults: &mut Vec<String>,
) -> Extensions {
    match flags.verify.as_deref() {
        None => {}
        Some("deep") if options.verify_mode == VerifyMode::PointInTimeConsistent => {}
        Some("deep") => faults.push(format!(
            "--verify: deep needs --verify-mode POINT_IN_TIME_CONSISTENT, not {}",
            options.verify_mode
        )),
        Some(other) => faults.push(format!("--verify: {other:?} is not deep")),
    }
    let share = flags.delete_share_max_percent.as_ref();
    let timetable = flags.bandwidth_timetable.as_ref();
    Extensions {
        dry_run: flags.dry_run,
        verify_deep: flags.verify.is_some(),
        delete_share_max: word("delete-share-max-percent", share, faults).unwrap_or_default(),
        checksum_algorithm: word(
            "checksum-algorithm",
            flags.checksum_algorithm.as_ref(),
            faults,
        )
        .unwrap_or_default(),
        name_encoding: word("name-encoding", flags.name_encoding.as_ref(), faults)
            .unwrap_or_default(),
        acls: word("acls", flags.acls.as_ref(), faults).unwrap_or_default(),
        xattrs: word("xattrs", flags.xattrs.as_ref(), faults).unwrap_or_default(),
        bandwidth_timetable: word("bandwidth-timetable", timetable, faults),
        manifest: None,
        report: None,
    }
}

/// The patterns of `--include`.
pub(super) fn includes(flags: &CopyFlags, faults: &mut Vec<String>) -> Includes {
    joined("include", &flags.include, Includes::parse, faults)
}

/// The patterns of `--exclude`.
pub(super) fn excludes(flags: &CopyFlags, faults: &mut Vec<String>) -> Excludes {
    joined("exclude", &flags.exclude, Excludes::parse, faults)
}

/// Values are checked one by one, for the sake of the message, and then all together.
fn joined<T: Default>(
    flag: &str,
    values: &[String],
    parse: fn(&str) -> Result<T, FilterError>,
    faults: &mut Vec<String>,
) -> T {
    let before = faults.len();
    for value in values {
        let backslashes = value.len() - value.trim_end_matches('\\').len();
        if value.is_empty() {
            faults.push(format!("--{flag}: must not be empty"));
        } else if backslashes % 2 == 1 {
            faults.push(format!("--{flag}: {value:?} ends in a lone backslash"));
        } else if let Err(error) = parse(value) {
            faults.push(format!("--{flag}: {error}"));
        }
    }
    if faults.len() > before {
        return T::default();
    }
    parse(&values.join("|")).unwrap_or_else(|error| {
        faults.push(format!("--{flag}: {error}"));
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use datasync_model::{Acls, BytesPerSecond, PreserveDeletedFiles, StorageClass, Uid, Xattrs};

    use super::*;

    fn checked(flags: &CopyFlags) -> (Options, Vec<String>) {
        let mut faults = Vec::new();
        let pair = Pair {
            object_to_object: false,
            storage_class: Some(StorageClass::Standard),
        };
        let options = options(flags, pair, &mut faults);
        (options, faults)
    }

    #[test]
    fn defaults_are_datasyncs_but_for_the_end_check() {
        let (options, faults) = checked(&CopyFlags::default());
        assert_eq!(faults, [""; 0]);
        assert_eq!(options.verify_mode, VerifyMode::OnlyFilesTransferred);
        assert_eq!(options.uid, Uid::IntValue);
        assert_eq!(options.bytes_per_second, BytesPerSecond::UNLIMITED);
        let (options, faults) = checked(&CopyFlags {
            preserve_deleted_files: Some("REMOVE".to_owned()),
            bytes_per_second: Some("2MiB".to_owned()),
            ..CopyFlags::default()
        });
        assert_eq!(faults, [""; 0]);
        assert_eq!(options.preserve_deleted_files, PreserveDeletedFiles::Remove);
        assert_eq!(i64::from(options.bytes_per_second), 2 << 20);
    }

    #[test]
    fn wrong_words_are_all_named_with_the_right_ones() {
        let (_, faults) = checked(&CopyFlags {
            verify_mode: Some("all".to_owned()),
            uid: Some("0".to_owned()),
            bytes_per_second: Some("0".to_owned()),
            ..CopyFlags::default()
        });
        let faults = faults.join("\n");
        for expected in [
            "--verify-mode: \"all\" is not a VerifyMode",
            "POINT_IN_TIME_CONSISTENT, ONLY_FILES_TRANSFERRED, NONE",
            "--uid: \"0\" is not a Uid",
            "--bytes-per-second: must be more than 0",
        ] {
            assert!(faults.contains(expected), "{expected} not in:\n{faults}");
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_refused_as_by_the_api() {
        let (_, faults) = checked(&CopyFlags {
            transfer_mode: Some("ALL".to_owned()),
            preserve_deleted_files: Some("REMOVE".to_owned()),
            ..CopyFlags::default()
        });
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("ALL,REMOVE"), "{faults:?}");
        let mtime = Some("NONE".to_owned());
        let (_, faults) = checked(&CopyFlags {
            mtime,
            ..CopyFlags::default()
        });
        assert!(faults[0].contains("Atime,Mtime"), "{faults:?}");
    }

    #[test]
    fn deep_verification_brings_its_end_check_along() {
        let deep = |verify: &str, mode: Option<&str>| {
            let flags = CopyFlags {
                verify: Some(verify.to_owned()),
                verify_mode: mode.map(str::to_owned),
                ..CopyFlags::default()
            };
            let (options, mut faults) = checked(&flags);
            let found = extensions(&flags, &options, &mut faults);
            (options.verify_mode, found.verify_deep, faults.len())
        };
        let point_in_time = VerifyMode::PointInTimeConsistent;
        assert_eq!(deep("deep", None), (point_in_time, true, 0));
        assert_eq!(deep("deep", Some("NONE")).2, 1);
        assert_eq!(deep("shallow", None).2, 1);
    }

    #[test]
    fn lists_and_attributes_are_kept_where_that_is_asked_for() {
        let found = |acls: Option<&str>, xattrs: Option<&str>| {
            let flags = CopyFlags {
                acls: acls.map(str::to_owned),
                xattrs: xattrs.map(str::to_owned),
                ..CopyFlags::default()
            };
            let (options, mut faults) = checked(&flags);
            let found = extensions(&flags, &options, &mut faults);
            ((found.acls, found.xattrs), faults)
        };
        let (none, faults) = found(None, None);
        assert_eq!((none, faults.len()), ((Acls::None, Xattrs::None), 0));
        let (both, faults) = found(Some("PRESERVE"), Some("PRESERVE"));
        assert_eq!(
            (both, faults.len()),
            ((Acls::Preserve, Xattrs::Preserve), 0)
        );
        let (_, faults) = found(Some("yes"), Some("preserve"));
        assert!(faults[0].starts_with("--acls: "), "{faults:?}");
        assert!(faults[1].starts_with("--xattrs: "), "{faults:?}");
    }

    #[test]
    fn a_timetable_has_the_syntax_of_the_tag() {
        let found = |text: &str| {
            let flags = CopyFlags {
                bandwidth_timetable: Some(text.to_owned()),
                ..CopyFlags::default()
            };
            let (options, mut faults) = checked(&flags);
            let found = extensions(&flags, &options, &mut faults);
            (found.bandwidth_timetable.map(String::from), faults)
        };
        let text = "Europe/Berlin Mon-Fri 08:00-18:00 10MiB / Sat+Sun unlimited";
        assert_eq!(found(text), (Some(text.to_owned()), Vec::new()));
        let (none, faults) = found("Europe/Berlin Mon-Fri 08:00-18:00 fast");
        assert_eq!((none, faults.len()), (None, 1));
        assert!(
            faults[0].starts_with("--bandwidth-timetable: "),
            "{faults:?}"
        );
    }

    #[test]
    fn patterns_are_joined_and_checked_one_by_one() {
        let mut faults = Vec::new();
        let exclude = vec!["*.tmp|*/cache".to_owned(), "/x".to_owned()];
        let flags = CopyFlags {
            exclude,
            ..CopyFlags::default()
        };
        let found = excludes(&flags, &mut faults);
        assert_eq!((found.as_str(), faults.len()), ("*.tmp|*/cache|/x", 0));
        let include = ["a", "/a*/", "/a\\", ""].map(str::to_owned).to_vec();
        let flags = CopyFlags {
            include,
            ..CopyFlags::default()
        };
        assert!(includes(&flags, &mut faults).is_everything());
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
