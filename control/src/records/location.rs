//! Locations as clients describe them.

use datasync_model::{
    self as model, AgentArn, EfsLocation, LocationArn, NfsLocation, NfsVersion, Partition,
    S3Location, StorageClass,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Tags;
use crate::store::{Place, Record, SealError, Sealed, Sealer};

/// A location of any type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    /// The location's ARN.
    pub(crate) arn: LocationArn,
    /// When it was made.
    pub(crate) created_at_ms: i64,
    /// Its tags.
    pub(crate) tags: Tags,
    /// What it points at.
    pub(crate) details: LocationDetails,
}

/// What a location points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum LocationDetails {
    Nfs(NfsDetails),
    Efs(EfsDetails),
    S3(S3Details),
    ObjectStorage(ObjectStorageDetails),
}

/// An NFS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NfsDetails {
    pub(crate) server_hostname: String,
    /// Begins and ends with `/`.
    pub(crate) subdirectory: String,
    pub(crate) version: NfsVersion,
    pub(crate) agents: Vec<AgentArn>,
}

/// An EFS file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EfsDetails {
    pub(crate) file_system_arn: String,
    /// Begins and ends with `/`.
    pub(crate) subdirectory: String,
    pub(crate) subnet_arn: String,
    pub(crate) security_group_arns: Vec<String>,
    pub(crate) access_point_arn: Option<String>,
    pub(crate) role_arn: Option<String>,
    /// `NONE` or `TLS1_2`.
    pub(crate) in_transit_encryption: String,
}

/// An S3 bucket, at AWS or at the store that the role's configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct S3Details {
    pub(crate) bucket_arn: String,
    /// Empty, or ends with `/`; never begins with one.
    pub(crate) prefix: String,
    pub(crate) storage_class: StorageClass,
    pub(crate) role_arn: String,
    pub(crate) agents: Vec<AgentArn>,
    /// The region that answered the access test.
    pub(crate) region: Option<String>,
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectStorageDetails {
    pub(crate) server_hostname: String,
    pub(crate) server_port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) bucket: String,
    /// Empty, or ends with `/`; never begins with one.
    pub(crate) prefix: String,
    pub(crate) access_key: Option<String>,
    pub(crate) secret_key: Option<Sealed>,
    pub(crate) agents: Vec<AgentArn>,
    /// PEM.
    pub(crate) server_certificate: Option<String>,
}

/// `ServerProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "HTTP")]
    Http,
}

impl Protocol {
    /// The port where none is given.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Where a role's configuration says that its buckets live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreAddress {
    /// Base URL of an S3-compatible store; `None` means AWS.
    pub(crate) endpoint: Option<String>,
    /// The region to sign for; used where the access test found none.
    pub(crate) region: Option<String>,
    /// The version of the key that is set for the role; 0 without one.
    pub(crate) key_version: i64,
}

impl Location {
    /// The agents that the location names; empty means that it does not restrict them.
    pub(crate) fn agents(&self) -> &[AgentArn] {
        match &self.details {
            LocationDetails::Nfs(nfs) => &nfs.agents,
            LocationDetails::Efs(_) => &[],
            LocationDetails::S3(s3) => &s3.agents,
            LocationDetails::ObjectStorage(store) => &store.agents,
        }
    }

    /// `LocationUri`.
    pub(crate) fn uri(&self) -> String {
        match &self.details {
            LocationDetails::Nfs(nfs) => {
                format!("nfs://{}{}", nfs.server_hostname, nfs.subdirectory)
            }
            LocationDetails::Efs(efs) => {
                let (region, id) = (efs.field(3), last(&efs.file_system_arn));
                format!("efs://{region}.{id}{}", efs.subdirectory)
            }
            LocationDetails::S3(s3) => format!("s3://{}/{}", s3.bucket(), s3.prefix),
            LocationDetails::ObjectStorage(store) => format!(
                "object-storage://{}/{}/{}",
                store.server_hostname, store.bucket, store.prefix
            ),
        }
    }

    /// The role whose keys the location is used with, if it has one.
    pub(crate) fn role(&self) -> Option<&str> {
        match &self.details {
            LocationDetails::S3(s3) => Some(&s3.role_arn),
            LocationDetails::Efs(efs) => efs.role_arn.as_deref(),
            LocationDetails::Nfs(_) | LocationDetails::ObjectStorage(_) => None,
        }
    }

    /// What an agent must know; `store` says where an S3 location's role has its buckets.
    pub(crate) fn to_model(&self, store: &StoreAddress, region: &str) -> model::Location {
        let arn = self.arn.clone();
        match &self.details {
            LocationDetails::Nfs(nfs) => model::Location::Nfs(NfsLocation {
                arn,
                server_hostname: nfs.server_hostname.clone(),
                subdirectory: path(&nfs.subdirectory),
                version: nfs.version,
            }),
            LocationDetails::Efs(efs) => model::Location::Efs(efs.to_model(arn)),
            LocationDetails::S3(s3) => model::Location::S3(S3Location {
                arn,
                bucket: s3.bucket().to_owned(),
                prefix: s3.prefix.clone(),
                region: s3
                    .region
                    .clone()
                    .or_else(|| store.region.clone())
                    .or_else(|| store.endpoint.as_ref().map(|_| region.to_owned())),
                endpoint: store.endpoint.clone(),
                server_certificate: None,
                storage_class: s3.storage_class,
            }),
            LocationDetails::ObjectStorage(object) => model::Location::S3(S3Location {
                arn,
                bucket: object.bucket.clone(),
                prefix: object.prefix.clone(),
                region: Some(region.to_owned()),
                endpoint: Some(object.endpoint()),
                server_certificate: object.server_certificate.clone(),
                storage_class: StorageClass::Standard,
            }),
        }
    }

    /// Seals the secret key of an object storage location.
    ///
    /// # Errors
    /// [`SealError`] if there is no randomness.
    pub(crate) fn seal_secret(
        sealer: &Sealer,
        arn: &LocationArn,
        secret: &str,
    ) -> Result<Sealed, SealError> {
        sealer.seal(place(arn.id()), secret)
    }

    /// Access key id and secret of an object storage location that has them.
    ///
    /// # Errors
    /// [`SealError::CannotOpen`] with another sealing key.
    pub(crate) fn open_keys(
        &self,
        sealer: &Sealer,
    ) -> Result<Option<(String, Zeroizing<String>)>, SealError> {
        let LocationDetails::ObjectStorage(store) = &self.details else {
            return Ok(None);
        };
        let (Some(access_key), Some(sealed)) = (&store.access_key, &store.secret_key) else {
            return Ok(None);
        };
        let secret = sealer.open_secret(place(self.arn.id()), sealed)?;
        Ok(Some((access_key.clone(), secret)))
    }

    pub(super) fn sealed(&self) -> Option<(Place<'_>, &Sealed)> {
        match &self.details {
            LocationDetails::ObjectStorage(store) => {
                let sealed = store.secret_key.as_ref()?;
                Some((place(self.arn.id()), sealed))
            }
            _ => None,
        }
    }

    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        if let LocationDetails::ObjectStorage(store) = &mut self.details {
            store.secret_key = Some(sealed);
        }
    }
}

fn place(id: &str) -> Place<'_> {
    Place {
        kind: Location::KIND,
        id,
        field: "secret_key",
    }
}

/// A directory without the slash that URIs end with.
fn path(directory: &str) -> String {
    match directory.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// What follows the last slash of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

impl EfsDetails {
    /// A field of the file system's ARN, whose form was checked.
    fn field(&self, number: usize) -> &str {
        let mut fields = self.file_system_arn.split(':');
        fields.nth(number).unwrap_or_default()
    }

    fn to_model(&self, arn: LocationArn) -> EfsLocation {
        EfsLocation {
            arn,
            file_system_id: last(&self.file_system_arn).to_owned(),
            partition: self.field(1).parse().unwrap_or(Partition::Aws),
            region: self.field(3).to_owned(),
            subdirectory: path(&self.subdirectory),
            access_point_id: self
                .access_point_arn
                .as_deref()
                .map(|arn| last(arn).to_owned()),
            encrypted: self.in_transit_encryption == "TLS1_2",
            signed: self.role_arn.is_some(),
        }
    }
}

impl S3Details {
    /// The bucket's name, or the whole ARN of an access point.
    pub(crate) fn bucket(&self) -> &str {
        match self.bucket_arn.split_once(":s3:::") {
            Some((_, name)) => name,
            None => &self.bucket_arn,
        }
    }
}

impl ObjectStorageDetails {
    /// Base URL of the store.
    fn endpoint(&self) -> String {
        let scheme = match self.protocol {
            Protocol::Https => "https",
            Protocol::Http => "http",
        };
        // Two colons make an IPv6 literal, which needs brackets in a URL.
        let host = if self.server_hostname.contains(':') {
            format!("[{}]", self.server_hostname)
        } else {
            self.server_hostname.clone()
        };
        if self.server_port == self.protocol.default_port() {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.server_port)
        }
    }
}

impl Record for Location {
    const KIND: &'static str = "location";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_of_a_file_system_what_it_needs_to_reach_it() {
        let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
        let mut efs = EfsDetails {
            file_system_arn:
                "arn:aws-cn:elasticfilesystem:cn-north-1:123456789012:file-system/fs-0123abcd"
                    .to_owned(),
            subdirectory: "/a/b/".to_owned(),
            subnet_arn: String::new(),
            security_group_arns: Vec::new(),
            access_point_arn: None,
            role_arn: None,
            in_transit_encryption: "NONE".to_owned(),
        };
        let told = efs.to_model(arn.parse().unwrap());
        assert_eq!(
            told.dns_name(),
            "fs-0123abcd.efs.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(told.subdirectory, "/a/b");
        assert!(!told.encrypted && !told.signed && told.access_point_id.is_none());
        let point = "arn:aws-cn:elasticfilesystem:cn-north-1:123456789012:access-point/fsap-4567";
        efs.access_point_arn = Some(point.to_owned());
        efs.role_arn = Some("arn:aws-cn:iam::123456789012:role/sync".to_owned());
        efs.in_transit_encryption = "TLS1_2".to_owned();
        efs.subdirectory = "/".to_owned();
        let told = efs.to_model(arn.parse().unwrap());
        assert_eq!(told.subdirectory, "/");
        assert_eq!(told.access_point_id.as_deref(), Some("fsap-4567"));
        assert!(told.encrypted && told.signed);
    }
}
