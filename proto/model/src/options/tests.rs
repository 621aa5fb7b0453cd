use super::*;

const NFS_TO_S3: Pair = Pair {
    object_to_object: false,
    storage_class: Some(StorageClass::Standard),
};

fn with(change: impl FnOnce(&mut Options)) -> Result<(), OptionsError> {
    let mut options = Options::defaults(TaskMode::Basic, NFS_TO_S3);
    change(&mut options);
    options.check(TaskMode::Basic, NFS_TO_S3)
}

#[test]
fn defaults_hold_their_own_rules_for_every_mode_and_pair() {
    for mode in TaskMode::ALL {
        for object_to_object in [false, true] {
            let pair = Pair {
                object_to_object,
                ..NFS_TO_S3
            };
            assert_eq!(Options::defaults(*mode, pair).check(*mode, pair), Ok(()));
        }
    }
}

#[test]
fn coupling_rules_are_refused_in_awss_words() {
    let error = with(|o| {
        o.transfer_mode = TransferMode::All;
        o.preserve_deleted_files = PreserveDeletedFiles::Remove;
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "Invalid SyncOption value. Option: TransferMode,PreserveDeletedFiles, Value: ALL,REMOVE."
    );
    let error = with(|o| o.atime = Atime::None);
    assert_eq!(
        error.unwrap_err().to_string(),
        "Invalid SyncOption value. Option: Atime,Mtime, Value: NONE,PRESERVE."
    );
    let pair = Pair {
        object_to_object: true,
        ..NFS_TO_S3
    };
    let mut options = Options::defaults(TaskMode::Basic, pair);
    options.posix_permissions = PosixPermissions::Preserve;
    assert_eq!(
        options
            .check(TaskMode::Basic, pair)
            .unwrap_err()
            .to_string(),
        "Invalid SyncOption value. Option: PosixPermissions, Value: PRESERVE invalid for \
         non-POSIX transfer. please use NONE."
    );
}

#[test]
fn full_verification_is_refused_where_it_cannot_work() {
    let options = Options::defaults(TaskMode::Basic, NFS_TO_S3);
    assert!(options.check(TaskMode::Enhanced, NFS_TO_S3).is_err());
    let archive = Pair {
        storage_class: Some(StorageClass::DeepArchive),
        ..NFS_TO_S3
    };
    assert!(options.check(TaskMode::Basic, archive).is_err());
}

#[test]
fn a_merge_replaces_only_what_is_present() {
    let task = Options::defaults(TaskMode::Basic, NFS_TO_S3);
    let overrides = OptionsOverride {
        log_level: Some(LogLevel::Basic),
        ..Default::default()
    };
    let merged = task.merged(&overrides);
    assert_eq!(merged.log_level, LogLevel::Basic);
    assert_eq!(
        Options {
            log_level: LogLevel::Off,
            ..merged
        },
        task
    );
    assert_eq!(overrides.present(), ["LogLevel"]);
}

#[test]
fn zero_bytes_per_second_is_refused_and_minus_one_means_unlimited() {
    assert!(BytesPerSecond::try_from(0).is_err());
    assert!(BytesPerSecond::try_from(-2).is_err());
    assert_eq!(BytesPerSecond::try_from(-1), Ok(BytesPerSecond::UNLIMITED));
    assert_eq!(i64::from(BytesPerSecond::try_from(65_536).unwrap()), 65_536);
}

#[test]
fn enhanced_mode_keeps_access_times_apart_from_modification_times() {
    for (atime, mtime) in [
        (Atime::None, Mtime::Preserve),
        (Atime::BestEffort, Mtime::None),
    ] {
        for (mode, is_good) in [(TaskMode::Basic, false), (TaskMode::Enhanced, true)] {
            let options = Options {
                atime,
                mtime,
                ..Options::defaults(mode, NFS_TO_S3)
            };
            assert_eq!(
                options.check(mode, NFS_TO_S3).is_ok(),
                is_good,
                "{mode} {atime}"
            );
        }
    }
}

#[test]
fn options_of_before_object_metadata_can_still_be_read() {
    let mut stored = serde_json::to_value(Options::defaults(TaskMode::Basic, NFS_TO_S3)).unwrap();
    stored.as_object_mut().unwrap().remove("ObjectMetadata");
    let options: Options = serde_json::from_value(stored).unwrap();
    assert_eq!(options.object_metadata, ObjectMetadata::Preserve);
}

#[test]
fn efs_takes_no_devices() {
    let mut options = Options::defaults(TaskMode::Basic, NFS_TO_S3);
    assert_eq!(options.check_for_efs(), Ok(()));
    options.preserve_devices = PreserveDevices::Preserve;
    let error = options.check_for_efs().unwrap_err().to_string();
    assert!(
        error.contains("Option: PreserveDevices, Value: PRESERVE"),
        "{error}"
    );
    assert_eq!(options.check(TaskMode::Basic, NFS_TO_S3), Ok(()));
}
