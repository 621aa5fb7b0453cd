//! The flags of `check`, all of them text until [`super::CheckRequest::new`] has checked them.

use clap::Args;

use crate::config::ProcessFlags;

/// The location and how it is reached. No flag takes a secret.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckFlags {
    /// nfs://HOST[:PORT]/EXPORT/PATH, efs://REGION.FILE-SYSTEM[/PATH] or s3://BUCKET[/PREFIX]
    #[arg(value_name = "LOCATION")]
    pub(super) location: String,
    /// Checks what a destination needs too: writes a little of it, and removes that again
    #[arg(long)]
    pub(super) write: bool,
    /// S3-compatible store, http[s]://HOST[:PORT]; variables AWS_ENDPOINT_URL_S3,
    /// AWS_ENDPOINT_URL [default: AWS]
    #[arg(long, value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// Region of the bucket; variables AWS_REGION, AWS_DEFAULT_REGION [default: the profile's, or
    /// as the store says]
    #[arg(long)]
    pub(super) region: Option<String>,
    /// Profile of the AWS tools' files, in place of any other credentials; variable AWS_PROFILE
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// PEM file of certificates to trust besides the system's; variable AWS_CA_BUNDLE
    #[arg(long, value_name = "FILE")]
    pub(super) ca_bundle: Option<String>,
    /// Version of NFS: AUTOMATIC, NFS3, NFS4_0, NFS4_1 or NFS4_2 [default: AUTOMATIC]
    #[arg(long, value_name = "VERSION")]
    pub(super) nfs_version: Option<String>,
    /// Access point of the EFS file system, fsap-…
    #[arg(long, value_name = "ID")]
    pub(super) access_point: Option<String>,
    /// Signs connections to the EFS file system with the credentials found
    #[arg(long)]
    pub(super) iam: bool,
    /// Reaches the EFS file system without TLS
    #[arg(long)]
    pub(super) plain: bool,
    /// Prints one JSON document in place of the lines
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(super) process: ProcessFlags,
}
