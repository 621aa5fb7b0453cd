//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Self-hosted DataSync: NFS server, S3 store, control and agent in one process.
///
/// Copies a sample tree, or DIRECTORY, from an embedded NFS server to an embedded S3 store through
/// an activated agent, shows that a second run moves nothing, and stays up for the AWS CLI.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Directory to export instead of the sample tree.
    #[arg(conflicts_with = "source")]
    pub(crate) directory: Option<PathBuf>,

    /// A real NFS server instead of the embedded one: nfs://HOST[:PORT]/EXPORT/PATH.
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,

    /// A real bucket instead of the embedded store: s3://BUCKET/PREFIX. Its keys are taken from
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    #[arg(long, value_name = "URL")]
    pub(crate) destination: Option<String>,

    /// Where the store of --destination is; AWS if absent.
    #[arg(long, value_name = "URL", requires = "destination")]
    pub(crate) endpoint_url: Option<String>,

    /// Region of the bucket of --destination.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub(crate) region: String,

    /// Exit after the second run.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts one more agent, not activated, for a quickstart that is running.
    Agent {
        /// The directory that the running quickstart printed.
        directory: PathBuf,
    },
}
