//! What an agent must know of a location to reach it. Credentials travel apart.

use serde::{Deserialize, Serialize};

use crate::LocationArn;
use crate::word::words;

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
    /// A bucket, or a prefix in it, at AWS or at an S3-compatible store.
    S3(S3Location),
}

impl Location {
    /// The location's ARN.
    #[must_use]
    pub fn arn(&self) -> &LocationArn {
        match self {
            Self::Nfs(nfs) => &nfs.arn,
            Self::S3(s3) => &s3.arn,
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
