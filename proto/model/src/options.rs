//! Task options: words, defaults, merging and coupling rules (DataSync API, "Options").

use serde::{Deserialize, Serialize};

use crate::StorageClass;
use crate::word::words;

words! { /// Which phases and restrictions a task has.
TaskMode { Basic = "BASIC", Enhanced = "ENHANCED" } }
words! { /// What is checked at the end.
VerifyMode {
    PointInTimeConsistent = "POINT_IN_TIME_CONSISTENT",
    OnlyFilesTransferred = "ONLY_FILES_TRANSFERRED",
    None = "NONE",
} }
words! { /// Whether existing destination objects may be replaced.
OverwriteMode { Always = "ALWAYS", Never = "NEVER" } }
words! { /// Whether access times are kept.
Atime { None = "NONE", BestEffort = "BEST_EFFORT" } }
words! { /// Whether modification times are kept.
Mtime { None = "NONE", Preserve = "PRESERVE" } }
words! { /// Whether the owner is kept.
Uid { None = "NONE", IntValue = "INT_VALUE", Name = "NAME", Both = "BOTH" } }
words! { /// Whether the group is kept.
Gid { None = "NONE", IntValue = "INT_VALUE", Name = "NAME", Both = "BOTH" } }
words! { /// Whether destination objects without a source are deleted.
PreserveDeletedFiles { Preserve = "PRESERVE", Remove = "REMOVE" } }
words! { /// Whether device nodes are kept.
PreserveDevices { None = "NONE", Preserve = "PRESERVE" } }
words! { /// Whether permission bits are kept.
PosixPermissions { None = "NONE", Preserve = "PRESERVE" } }
words! { /// Whether executions may wait for a busy agent.
TaskQueueing { Enabled = "ENABLED", Disabled = "DISABLED" } }
words! { /// How much is logged.
LogLevel { Off = "OFF", Basic = "BASIC", Transfer = "TRANSFER" } }
words! { /// Whether unchanged items are left alone.
TransferMode { Changed = "CHANGED", All = "ALL" } }
words! { /// SMB only.
SecurityDescriptorCopyFlags {
    None = "NONE",
    OwnerDacl = "OWNER_DACL",
    OwnerDaclSacl = "OWNER_DACL_SACL",
} }
words! { /// Whether object tags are kept (object to object).
ObjectTags { Preserve = "PRESERVE", None = "NONE" } }
words! { /// Whether object metadata are kept (object to object).
ObjectMetadata { Preserve = "PRESERVE", None = "NONE" } }

impl ObjectMetadata {
    /// What options mean that were stored before there was such an option.
    fn before_there_was_one() -> Self {
        Self::Preserve
    }
}

/// A bandwidth limit in bytes per second, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct BytesPerSecond(Option<std::num::NonZeroU64>);

impl BytesPerSecond {
    /// No limit; `-1` in the API.
    pub const UNLIMITED: Self = Self(None);

    /// The limit, if there is one.
    #[must_use]
    pub fn limit(self) -> Option<std::num::NonZeroU64> {
        self.0
    }
}

impl TryFrom<i64> for BytesPerSecond {
    type Error = OptionsError;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        match u64::try_from(value) {
            Err(_) if value == -1 => Ok(Self::UNLIMITED),
            Ok(rate) if rate > 0 => Ok(Self(std::num::NonZeroU64::new(rate))),
            _ => Err(OptionsError::invalid("BytesPerSecond", &value.to_string())),
        }
    }
}

impl From<BytesPerSecond> for i64 {
    fn from(rate: BytesPerSecond) -> Self {
        rate.0
            .map_or(-1, |rate| i64::try_from(rate.get()).unwrap_or(i64::MAX))
    }
}

/// Options that cannot be used together, or a value that cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid SyncOption value. Option: {option}, Value: {value}{advice}.")]
pub struct OptionsError {
    option: String,
    value: String,
    advice: String,
}

impl OptionsError {
    fn invalid(option: &str, value: &str) -> Self {
        Self {
            option: option.to_owned(),
            value: value.to_owned(),
            advice: String::new(),
        }
    }

    fn advised(option: &str, value: &str, advice: &str) -> Self {
        Self {
            advice: format!(" {advice}"),
            ..Self::invalid(option, value)
        }
    }
}

/// The kinds of source and destination as far as options depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Both sides are object stores.
    pub object_to_object: bool,
    /// The destination's class for new objects, where it is an object store.
    pub storage_class: Option<StorageClass>,
}

macro_rules! options {
    ($($(#[$meta:meta])* $field:ident / $word:literal : $ty:ty $(, or $absent:literal)?;)+) => {
        /// Options with every default filled in, as DescribeTask shows them.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Options {
            $($(#[$meta])* #[serde(rename = $word $(, default = $absent)?)] pub $field: $ty,)+
        }

        /// Options as a client sends them: each member may be absent.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct OptionsOverride {
            $($(#[$meta])* #[serde(rename = $word, default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$ty>,)+
        }

        impl Options {
            /// These options with the members of `overrides` in place of their own.
            #[must_use]
            pub fn merged(&self, overrides: &OptionsOverride) -> Self {
                Self { $($field: overrides.$field.unwrap_or(self.$field),)+ }
            }
        }

        impl OptionsOverride {
            /// The API names of the members that are present.
            #[must_use]
            pub fn present(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$field.is_some() { names.push($word); })+
                names
            }
        }
    };
}

options! {
    /// What is checked at the end.
    verify_mode / "VerifyMode": VerifyMode;
    /// Whether existing destination objects may be replaced.
    overwrite_mode / "OverwriteMode": OverwriteMode;
    /// Whether access times are kept.
    atime / "Atime": Atime;
    /// Whether modification times are kept.
    mtime / "Mtime": Mtime;
    /// Whether the owner is kept.
    uid / "Uid": Uid;
    /// Whether the group is kept.
    gid / "Gid": Gid;
    /// Whether destination objects without a source are deleted.
    preserve_deleted_files / "PreserveDeletedFiles": PreserveDeletedFiles;
    /// Whether device nodes are kept.
    preserve_devices / "PreserveDevices": PreserveDevices;
    /// Whether permission bits are kept.
    posix_permissions / "PosixPermissions": PosixPermissions;
    /// Bandwidth limit.
    bytes_per_second / "BytesPerSecond": BytesPerSecond;
    /// Whether executions may wait for a busy agent.
    task_queueing / "TaskQueueing": TaskQueueing;
    /// How much is logged.
    log_level / "LogLevel": LogLevel;
    /// Whether unchanged items are left alone.
    transfer_mode / "TransferMode": TransferMode;
    /// SMB only.
    security_descriptor_copy_flags / "SecurityDescriptorCopyFlags": SecurityDescriptorCopyFlags;
    /// Whether object tags are kept.
    object_tags / "ObjectTags": ObjectTags;
    /// Whether object metadata are kept.
    object_metadata / "ObjectMetadata": ObjectMetadata, or "ObjectMetadata::before_there_was_one";
}

impl Options {
    /// The defaults for a mode and a pair of locations.
    #[must_use]
    pub fn defaults(mode: TaskMode, pair: Pair) -> Self {
        let posix = !pair.object_to_object;
        Self {
            verify_mode: match mode {
                TaskMode::Basic => VerifyMode::PointInTimeConsistent,
                TaskMode::Enhanced => VerifyMode::OnlyFilesTransferred,
            },
            overwrite_mode: OverwriteMode::Always,
            atime: if posix {
                Atime::BestEffort
            } else {
                Atime::None
            },
            mtime: if posix { Mtime::Preserve } else { Mtime::None },
            uid: if posix { Uid::IntValue } else { Uid::None },
            gid: if posix { Gid::IntValue } else { Gid::None },
            preserve_deleted_files: PreserveDeletedFiles::Preserve,
            preserve_devices: PreserveDevices::None,
            posix_permissions: if posix {
                PosixPermissions::Preserve
            } else {
                PosixPermissions::None
            },
            bytes_per_second: BytesPerSecond::UNLIMITED,
            task_queueing: TaskQueueing::Enabled,
            log_level: LogLevel::Off,
            transfer_mode: TransferMode::Changed,
            security_descriptor_copy_flags: SecurityDescriptorCopyFlags::None,
            object_tags: ObjectTags::Preserve,
            object_metadata: ObjectMetadata::Preserve,
        }
    }

    /// Checks the coupling rules; call it on merged options, at create, update and start.
    ///
    /// # Errors
    /// The first rule that is broken, in AWS's words where they are known.
    pub fn check(&self, mode: TaskMode, pair: Pair) -> Result<(), OptionsError> {
        if mode == TaskMode::Basic {
            self.check_times()?;
        }
        self.check_modes(mode, pair)?;
        if pair.object_to_object {
            self.check_non_posix()?;
        }
        if matches!(self.uid, Uid::Name | Uid::Both) {
            return Err(OptionsError::invalid("Uid", self.uid.as_str()));
        }
        if matches!(self.gid, Gid::Name | Gid::Both) {
            return Err(OptionsError::invalid("Gid", self.gid.as_str()));
        }
        if self.security_descriptor_copy_flags != SecurityDescriptorCopyFlags::None {
            return Err(OptionsError::advised(
                "SecurityDescriptorCopyFlags",
                self.security_descriptor_copy_flags.as_str(),
                "invalid for non-SMB transfer. please use NONE",
            ));
        }
        Ok(())
    }

    /// Checks what holds besides where the destination is an EFS file system: it takes no devices
    /// (DataSync user guide, "Configuring transfers with Amazon EFS").
    ///
    /// # Errors
    /// If devices are to be kept.
    pub fn check_for_efs(&self) -> Result<(), OptionsError> {
        if self.preserve_devices != PreserveDevices::Preserve {
            return Ok(());
        }
        Err(OptionsError::advised(
            "PreserveDevices",
            self.preserve_devices.as_str(),
            "invalid for Amazon EFS as a destination. please use NONE",
        ))
    }

    fn check_times(&self) -> Result<(), OptionsError> {
        match (self.atime, self.mtime) {
            (Atime::BestEffort, Mtime::Preserve) | (Atime::None, Mtime::None) => Ok(()),
            (atime, mtime) => Err(OptionsError::invalid(
                "Atime,Mtime",
                &format!("{atime},{mtime}"),
            )),
        }
    }

    fn check_modes(&self, mode: TaskMode, pair: Pair) -> Result<(), OptionsError> {
        if self.transfer_mode == TransferMode::All
            && self.preserve_deleted_files == PreserveDeletedFiles::Remove
        {
            return Err(OptionsError::invalid(
                "TransferMode,PreserveDeletedFiles",
                "ALL,REMOVE",
            ));
        }
        if self.verify_mode != VerifyMode::PointInTimeConsistent {
            return Ok(());
        }
        if mode == TaskMode::Enhanced {
            return Err(OptionsError::advised(
                "VerifyMode",
                self.verify_mode.as_str(),
                "invalid for task mode ENHANCED. please use ONLY_FILES_TRANSFERRED or NONE",
            ));
        }
        match pair.storage_class {
            Some(class @ (StorageClass::Glacier | StorageClass::DeepArchive)) => {
                Err(OptionsError::advised(
                    "VerifyMode",
                    self.verify_mode.as_str(),
                    &format!(
                        "invalid for storage class {class}. please use ONLY_FILES_TRANSFERRED or NONE"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_non_posix(&self) -> Result<(), OptionsError> {
        let refused = |option, value| {
            Err(OptionsError::advised(
                option,
                value,
                "invalid for non-POSIX transfer. please use NONE",
            ))
        };
        if self.posix_permissions != PosixPermissions::None {
            return refused("PosixPermissions", self.posix_permissions.as_str());
        }
        if self.uid != Uid::None {
            return refused("Uid", self.uid.as_str());
        }
        if self.gid != Gid::None {
            return refused("Gid", self.gid.as_str());
        }
        if self.mtime != Mtime::None {
            return refused("Mtime", self.mtime.as_str());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
