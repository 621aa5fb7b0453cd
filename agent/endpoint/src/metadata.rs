//! POSIX metadata as S3 user metadata: `file-owner`, `file-group`, `file-permissions`,
//! `file-mtime`, `file-atime`, and our own `file-rdev` of devices (DataSync user guide, "How DataSync handles metadata and special
//! files"; the same form as Storage Gateway and FSx for Lustre).

use datasync_model::{Atime, Gid, Mtime, Options, PosixPermissions, PreserveDevices, Uid};
use serde::{Deserialize, Serialize};

use crate::{Attributes, DeviceNumbers, EntryKind, Timestamp};

/// Names after `x-amz-meta-`.
const OWNER: &str = "file-owner";
const GROUP: &str = "file-group";
const PERMISSIONS: &str = "file-permissions";
const MTIME: &str = "file-mtime";
const ATIME: &str = "file-atime";
const DEVICE: &str = "file-rdev";
/// What devices have whose permissions are not kept: their type is among them.
const DEVICE_MODE: u32 = 0o644;
/// The same of symbolic links, which have these everywhere.
const LINK_MODE: u32 = 0o777;

/// What of an entry's attributes an object carries; members that the options drop are absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosixMetadata {
    /// Numeric owner.
    pub owner: Option<u32>,
    /// Numeric group.
    pub group: Option<u32>,
    /// `st_mode`: type and permission bits.
    pub permissions: Option<u32>,
    /// Last modification.
    pub mtime: Option<Timestamp>,
    /// Last access. Never compared: reading changes it.
    pub atime: Option<Timestamp>,
    /// Of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceNumbers>,
}

impl PosixMetadata {
    /// What `options` keep of `attributes`.
    #[must_use]
    pub fn kept(attributes: &Attributes, options: &Options) -> Self {
        let device = attributes.device;
        let device = device.filter(|_| options.preserve_devices == PreserveDevices::Preserve);
        let mode = match options.posix_permissions {
            PosixPermissions::Preserve => Some(attributes.mode),
            // Without its type it would be a file.
            PosixPermissions::None if attributes.kind == EntryKind::Symlink => Some(LINK_MODE),
            PosixPermissions::None => device.map(|_| DEVICE_MODE),
        };
        Self {
            owner: (options.uid != Uid::None).then_some(attributes.uid),
            group: (options.gid != Gid::None).then_some(attributes.gid),
            permissions: mode.map(|mode| attributes.kind.mode_bits() | mode),
            mtime: (options.mtime == Mtime::Preserve).then_some(attributes.mtime),
            atime: (options.atime == Atime::BestEffort).then_some(attributes.atime),
            device,
        }
    }

    /// Whether every member that `self` has is the same in `found`, atime aside.
    #[must_use]
    pub fn agrees_with(&self, found: &Self) -> bool {
        fn same<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        same(self.owner, found.owner)
            && same(self.group, found.group)
            && same(self.permissions, found.permissions)
            && same(self.mtime, found.mtime)
            && same(self.device, found.device)
    }

    /// Names (without `x-amz-meta-`) and values, as DataSync writes them.
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::with_capacity(6);
        if let Some(owner) = self.owner {
            pairs.push((OWNER, owner.to_string()));
        }
        if let Some(group) = self.group {
            pairs.push((GROUP, group.to_string()));
        }
        if let Some(permissions) = self.permissions {
            pairs.push((PERMISSIONS, format!("{permissions:07o}")));
        }
        for (name, time) in [(MTIME, self.mtime), (ATIME, self.atime)] {
            if let Some(time) = time {
                pairs.push((name, format!("{}ns", time.as_nanoseconds())));
            }
        }
        if let Some(DeviceNumbers { major, minor }) = self.device {
            pairs.push((DEVICE, format!("{major}:{minor}")));
        }
        pairs
    }

    /// Reads what DataSync, Storage Gateway, FSx for Lustre and we write; what cannot be understood
    /// counts as absent. Names are compared without regard to case.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found = Self::default();
        for (name, value) in pairs {
            match name.to_ascii_lowercase().as_str() {
                OWNER => found.owner = value.parse().ok(),
                GROUP => found.group = value.parse().ok(),
                PERMISSIONS => found.permissions = u32::from_str_radix(value, 8).ok(),
                MTIME => found.mtime = parse_time(value),
                ATIME => found.atime = parse_time(value),
                DEVICE => found.device = parse_device(value),
                _ => {}
            }
        }
        found
    }
}

/// `major:minor`, both decimal.
fn parse_device(value: &str) -> Option<DeviceNumbers> {
    let (major, minor) = value.split_once(':')?;
    Some(DeviceNumbers {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// Digits and `ns`: nanoseconds; digits alone: milliseconds; `seconds/nanoseconds`.
fn parse_time(value: &str) -> Option<Timestamp> {
    if let Some(nanoseconds) = value.strip_suffix("ns") {
        return Timestamp::from_nanoseconds(nanoseconds.parse().ok()?);
    }
    if let Some((seconds, nanoseconds)) = value.split_once('/') {
        let nanoseconds: u32 = nanoseconds.parse().ok().filter(|n| *n < 1_000_000_000)?;
        return Some(Timestamp {
            seconds: seconds.parse().ok()?,
            nanoseconds,
        });
    }
    Timestamp::from_nanoseconds(value.parse::<i128>().ok()?.checked_mul(1_000_000)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_every_form_that_others_write() {
        let at = |seconds, nanoseconds| {
            Some(Timestamp {
                seconds,
                nanoseconds,
            })
        };
        for (value, time) in [
            ("1595002920000000000ns", at(1_595_002_920, 0)),
            ("1734968895000", at(1_734_968_895, 0)),
            ("1602647222/222919600", at(1_602_647_222, 222_919_600)),
            ("-1ns", at(-1, 999_999_999)),
            ("yesterday", None),
            ("1/1000000000", None),
            ("99999999999999999999999999999999999999", None),
        ] {
            assert_eq!(parse_time(value), time, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            owner: Option<u32>, group: Option<u32>, permissions in proptest::option::of(0u32..0o200_000),
            mtime: Option<i64>, atime: Option<i64>, device: Option<(u32, u32)>,
        ) {
            let time = |ns: i64| Timestamp::from_nanoseconds(i128::from(ns)).unwrap();
            let device = device.map(|(major, minor)| DeviceNumbers { major, minor });
            let metadata = PosixMetadata {
                owner, group, permissions, mtime: mtime.map(time), atime: atime.map(time), device,
            };
            let pairs = metadata.to_pairs();
            let found = PosixMetadata::from_pairs(pairs.iter().map(|(n, v)| (*n, v.as_str())));
            prop_assert_eq!(found, metadata);
            prop_assert!(metadata.agrees_with(&found));
        }
    }
}
