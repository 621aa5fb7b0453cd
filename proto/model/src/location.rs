//! What an agent must know of a location to reach it. Credentials travel apart.

use serde::{Deserialize, Serialize};

use crate::word::words;
use crate::{Ability, LocationArn, Partition};

words! {
    /// `MountOptions.Version` of an NFS location.
    NfsVersion {
        Automatic = "AUTOMATIC",
        Nfs3 = "NFS3",
        Nfs4_0 = "NFS4_0",
        Nfs4_1 = "NFS4_1",
        Nfs4_2 = "NFS4_2",
    }
}

words! {
    /// `S3StorageClass`, in DataSync's words (S3 itself says `GLACIER_IR` for instant retrieval).
    StorageClass {
        Standard = "STANDARD",
        StandardIa = "STANDARD_IA",
        OnezoneIa = "ONEZONE_IA",
        IntelligentTiering = "INTELLIGENT_TIERING",
        Glacier = "GLACIER",
        DeepArchive = "DEEP_ARCHIVE",
        Outposts = "OUTPOSTS",
        GlacierInstantRetrieval = "GLACIER_INSTANT_RETRIEVAL",
    }
}

impl StorageClass {
    /// The word that S3's own API uses.
    #[must_use]
    pub fn s3_word(self) -> &'static str {
        match self {
            Self::GlacierInstantRetrieval => "GLACIER_IR",
            other => other.as_str(),
        }
    }

    /// The class that a new object of `size` bytes gets when the location asks for `self`.
    ///
    /// Smaller objects than a class's floor go to STANDARD: 128 KiB for the infrequent-access
    /// classes and instant retrieval, 40 KiB for the archive classes (DataSync user guide,
    /// "Storage class considerations with Amazon S3 locations").
    #[must_use]
    pub fn for_new_object(self, size: u64) -> Self {
        let floor = match self {
            Self::StandardIa | Self::OnezoneIa | Self::GlacierInstantRetrieval => 128 * 1024,
            Self::Glacier | Self::DeepArchive => 40 * 1024,
            Self::Standard | Self::IntelligentTiering | Self::Outposts => 0,
        };
        if size < floor { Self::Standard } else { self }
    }
}

/// One side of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Location {
    /// An NFS export or a directory below it.
    Nfs(NfsLocation),
    /// An EFS file system, or a directory in it.
    Efs(EfsLocation),
    /// A bucket, or a prefix in it, at AWS or at an S3-compatible store.
    S3(S3Location),
}

impl Location {
    /// The location's ARN.
    #[must_use]
    pub fn arn(&self) -> &LocationArn {
        match self {
            Self::Nfs(nfs) => &nfs.arn,
            Self::Efs(efs) => &efs.arn,
            Self::S3(s3) => &s3.arn,
        }
    }

    /// What an agent must be able to do for it.
    #[must_use]
    pub fn needs(&self) -> Option<Ability> {
        match self {
            Self::Efs(_) => Some(Ability::Efs),
            Self::Nfs(_) | Self::S3(_) => None,
        }
    }

    /// Whether both are file systems, and one is the other or lies in it, as far as their names tell.
    /// A copy would then meet what it has just written.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Some((server, path)), Some((other_server, other_path))) =
            (self.file_system(), other.file_system())
        else {
            return false;
        };
        let is_in = |inner: &str, outer: &str| {
            let (inner, outer) = (inner.trim_matches('/'), outer.trim_matches('/'));
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        server == other_server && (is_in(path, other_path) || is_in(other_path, path))
    }

    /// What names the server and the directory that paths begin at, and the path.
    fn file_system(&self) -> Option<(String, &str)> {
        match self {
            Self::Nfs(nfs) => {
                let server = nfs.server_hostname.to_ascii_lowercase();
                let server = server.strip_suffix(":2049").unwrap_or(&server);
                Some((server.to_owned(), &nfs.subdirectory))
            }
            Self::Efs(efs) => {
                let point = efs.access_point_id.as_deref().unwrap_or_default();
                Some((format!("{}/{point}", efs.dns_name()), &efs.subdirectory))
            }
            Self::S3(_) => None,
        }
    }
}

/// An NFS server and a path on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NfsLocation {
    /// The location's ARN.
    pub arn: LocationArn,
    /// Host name or address; exactly one colon means `host:port`, more mean an IPv6 literal.
    pub server_hostname: String,
    /// Absolute path of the export or of a directory below it, as bytes of UTF-8.
    pub subdirectory: String,
    /// Protocol version asked for.
    pub version: NfsVersion,
}

/// An EFS file system and a directory in it. Always read by NFS 4.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EfsLocation {
    /// The location's ARN.
    pub arn: LocationArn,
    /// `fs-` and hexadecimal digits.
    pub file_system_id: String,
    /// Of the file system's ARN.
    pub partition: Partition,
    /// Of the file system's ARN.
    pub region: String,
    /// Absolute path, below the root directory of the access point if there is one.
    pub subdirectory: String,
    /// `fsap-` and hexadecimal digits.
    pub access_point_id: Option<String>,
    /// `InTransitEncryption=TLS1_2`: whether connections are made in TLS.
    pub encrypted: bool,
    /// `FileSystemAccessRoleArn`: whether connections are signed with keys of a role.
    pub signed: bool,
}

impl EfsLocation {
    /// The name of the file system's mount targets in the DNS of its region.
    #[must_use]
    pub fn dns_name(&self) -> String {
        let suffix = self.partition.dns_suffix();
        format!("{}.efs.{}.{suffix}", self.file_system_id, self.region)
    }

    /// `LocationUri`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!(
            "efs://{}.{}{}",
            self.region, self.file_system_id, self.subdirectory
        )
    }
}

/// A bucket and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Location {
    /// The location's ARN.
    pub arn: LocationArn,
    /// Bucket name.
    pub bucket: String,
    /// Empty, or ends with `/`; never begins with one.
    pub prefix: String,
    /// The bucket's region where it is known; otherwise the agent asks the store.
    pub region: Option<String>,
    /// Base URL of an S3-compatible store (path style is used with it); `None` means AWS.
    pub endpoint: Option<String>,
    /// PEM certificates to trust for `endpoint`, besides the system's.
    pub server_certificate: Option<String>,
    /// Class of new objects.
    pub storage_class: StorageClass,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_a_name_in_its_region() {
        let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
        let mut efs = EfsLocation {
            arn: arn.parse().unwrap(),
            file_system_id: "fs-0123abcd".to_owned(),
            partition: Partition::Aws,
            region: "eu-west-1".to_owned(),
            subdirectory: "/a".to_owned(),
            access_point_id: None,
            encrypted: true,
            signed: false,
        };
        assert_eq!(efs.dns_name(), "fs-0123abcd.efs.eu-west-1.amazonaws.com");
        assert_eq!(efs.uri(), "efs://eu-west-1.fs-0123abcd/a");
        efs.partition = Partition::AwsCn;
        efs.region = "cn-north-1".to_owned();
        let name = "fs-0123abcd.efs.cn-north-1.amazonaws.com.cn";
        assert_eq!(efs.dns_name(), name);
        let location = Location::Efs(efs);
        assert_eq!(location.needs(), Some(Ability::Efs));
        let text = serde_json::to_string(&location).unwrap();
        assert_eq!(serde_json::from_str::<Location>(&text).unwrap(), location);
    }

    #[test]
    fn a_directory_overlaps_with_itself_and_with_what_is_in_it() {
        let nfs = |host: &str, path: &str| {
            let arn = "arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef0";
            Location::Nfs(NfsLocation {
                arn: arn.parse().unwrap(),
                server_hostname: host.to_owned(),
                subdirectory: path.to_owned(),
                version: NfsVersion::Automatic,
            })
        };
        for (host, path, overlaps) in [
            ("nas", "/export/a", true),
            ("NAS:2049", "/export/a/", true),
            ("nas", "/export/a/b", true),
            ("nas", "/export", true),
            ("nas", "/", true),
            ("nas", "/export/ab", false),
            ("nas", "/export/b", false),
            ("other", "/export/a", false),
            ("nas:2050", "/export/a", false),
        ] {
            let (one, other) = (nfs("nas", "/export/a/"), nfs(host, path));
            assert_eq!(one.overlaps(&other), overlaps, "{host} {path}");
            assert_eq!(other.overlaps(&one), overlaps, "{host} {path}");
        }
    }

    #[test]
    fn floors_send_small_objects_to_standard() {
        let cases = [
            (
                StorageClass::StandardIa,
                128 * 1024 - 1,
                StorageClass::Standard,
            ),
            (
                StorageClass::StandardIa,
                128 * 1024,
                StorageClass::StandardIa,
            ),
            (
                StorageClass::DeepArchive,
                40 * 1024 - 1,
                StorageClass::Standard,
            ),
            (StorageClass::Glacier, 40 * 1024, StorageClass::Glacier),
            (
                StorageClass::IntelligentTiering,
                0,
                StorageClass::IntelligentTiering,
            ),
        ];
        for (asked, size, given) in cases {
            assert_eq!(asked.for_new_object(size), given, "{asked} {size}");
        }
    }
}
