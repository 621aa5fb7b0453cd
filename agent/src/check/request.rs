//! What is to be checked: flags and environment, checked as a whole.

use std::collections::BTreeMap;

use datasync_model::{
    EfsLocation, Location, LocationArn, NfsLocation, NfsVersion, Partition, S3Location,
    StorageClass,
};

use super::flags::CheckFlags;
use crate::config::{ConfigFaults, ProcessSettings};
use crate::copy::{parsed, process};
use crate::store_flags::StoreAccess;
use crate::urls::{EfsUrl, NfsUrl, S3Url};

/// Stands for a location that control does not know.
const ARN: &str = "arn:aws:datasync:us-east-1:000000000000:location/loc-00000000000000000";

/// Everything that a check needs to know; holds no secret.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// Clients and logs.
    pub process: ProcessSettings,
    pub(super) location: Location,
    pub(super) profile: Option<String>,
    /// Whether a little is written.
    pub(super) write: bool,
}

impl CheckRequest {
    /// Checks flags and the process's environment.
    ///
    /// # Errors
    /// [`ConfigFaults`] lists everything that is wrong, not only the first fault.
    pub fn new(
        flags: &CheckFlags,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigFaults> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let mut faults = Vec::new();
        let process = process(&flags.process, &environment)
            .map_err(|found| faults.extend(found.0))
            .ok();
        let location = location(flags, &environment, &mut faults);
        match (process, location) {
            (Some(process), Some(location)) if faults.is_empty() => Ok(Self {
                process,
                location,
                profile: flags.store.profile.clone(),
                write: flags.write,
            }),
            _ => Err(ConfigFaults(faults)),
        }
    }

    /// The region that was given.
    pub(super) fn region(&self) -> Option<String> {
        match &self.location {
            Location::S3(s3) => s3.region.clone(),
            Location::Efs(efs) => Some(efs.region.clone()),
            Location::Nfs(_) => None,
        }
    }
}

/// `None` only where a fault was noted.
fn location(
    flags: &CheckFlags,
    environment: &BTreeMap<String, String>,
    faults: &mut Vec<String>,
) -> Option<Location> {
    let arn = ARN
        .parse()
        .map_err(|error| faults.push(format!("{error}")))
        .ok()?;
    let text = flags.location.as_str();
    match text.split_once("://").map_or("", |(scheme, _)| scheme) {
        "nfs" => nfs(flags, arn, faults),
        "efs" => efs(flags, arn, faults),
        "s3" => s3(flags, arn, environment, faults),
        _ => {
            faults.push(format!(
                "LOCATION: {text:?} is none of nfs://…, efs://… and s3://…"
            ));
            None
        }
    }
}

fn nfs(flags: &CheckFlags, arn: LocationArn, faults: &mut Vec<String>) -> Option<Location> {
    let version = match flags.nfs_version.as_deref() {
        None => Some(NfsVersion::Automatic),
        Some(word) => parsed::<NfsVersion>("--nfs-version", word, faults),
    };
    let url = parsed::<NfsUrl>("LOCATION", &flags.location, faults);
    let (url, version) = (url?, version?);
    Some(Location::Nfs(NfsLocation {
        arn,
        server_hostname: url.host,
        subdirectory: url.path,
        version,
    }))
}

fn efs(flags: &CheckFlags, arn: LocationArn, faults: &mut Vec<String>) -> Option<Location> {
    let url = parsed::<EfsUrl>("LOCATION", &flags.location, faults)?;
    Some(Location::Efs(EfsLocation {
        arn,
        file_system_id: url.file_system_id,
        partition: Partition::of_region(&url.region),
        region: url.region,
        subdirectory: url.path,
        access_point_id: flags.access_point.clone(),
        encrypted: !flags.plain,
        signed: flags.iam,
    }))
}

fn s3(
    flags: &CheckFlags,
    arn: LocationArn,
    environment: &BTreeMap<String, String>,
    faults: &mut Vec<String>,
) -> Option<Location> {
    let url = parsed::<S3Url>("LOCATION", &flags.location, faults);
    let store = StoreAccess::given(&flags.store, environment, faults);
    let url = url?;
    Some(Location::S3(S3Location {
        arn,
        bucket: url.bucket,
        prefix: url.prefix,
        region: store.region,
        endpoint: store.endpoint,
        server_certificate: store.certificate,
        storage_class: StorageClass::Standard,
    }))
}
