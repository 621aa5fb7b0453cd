//! The flags of `check`, all of them text until [`super::CheckRequest::new`] has checked them.

use clap::Args;

use crate::config::ProcessFlags;
use crate::store_flags::StoreFlags;

/// The location and how it is reached. No flag takes a secret.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckFlags {
    /// nfs://HOST[:PORT]/EXPORT/PATH, efs://REGION.FILE-SYSTEM[/PATH] or s3://BUCKET[/PREFIX]
    #[arg(value_name = "LOCATION")]
    pub(super) location: String,
    /// Checks what a destination needs too: writes a little of it, and removes that again
    #[arg(long)]
    pub(super) write: bool,
    #[command(flatten)]
    pub(super) store: StoreFlags,
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
