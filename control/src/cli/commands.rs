//! What the program can be told to do.

use std::path::PathBuf;

use clap::Subcommand;

use super::releases::{AgentCommand, ReleaseCommand};
use super::report::ReportCommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the DataSync API and agents until SIGTERM or SIGINT
    Serve,
    /// Keys that clients sign with
    #[command(subcommand)]
    AccessKey(AccessKeyCommand),
    /// Keys that machines become agents with
    #[command(subcommand)]
    ActivationKey(ActivationKeyCommand),
    /// Credentials behind role ARNs
    #[command(subcommand)]
    Role(RoleCommand),
    /// Control's certificate authority
    #[command(subcommand)]
    Ca(CaCommand),
    /// Agents, and the release that each should run
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Releases of the agent that agents can fetch
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Signatures over task reports
    #[command(subcommand)]
    Report(ReportCommand),
    /// Print the log of an execution, as its LogLevel says
    Logs {
        /// arn:aws:datasync:…:task/task-…/execution/exec-…
        execution_arn: String,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// The key that seals secrets in the store
    #[command(subcommand)]
    SealingKey(SealingKeyCommand),
    /// Copy the state directory as of one moment to a new directory, also while control serves
    Backup {
        /// Made by the command; holds secrets
        directory: PathBuf,
    },
    /// Make the state directory from a backup, with a new incarnation
    Restore {
        /// What `backup` made
        directory: PathBuf,
    },
    /// Which store this is, for agents that were told things by it
    #[command(subcommand)]
    Incarnation(IncarnationCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum IncarnationCommand {
    /// After a restore of PostgreSQL and before control serves: agents are not to take the older
    /// rows for the newest
    Renew,
}

#[derive(Debug, Subcommand)]
pub(super) enum AccessKeyCommand {
    /// Make a key; its secret is shown once, as JSON on standard output
    Create {
        /// What the key is called: 1 to 64 letters, digits and +=,.@_-
        #[arg(long)]
        name: Option<String>,
        /// The key may describe and list, and nothing else
        #[arg(long)]
        read_only: bool,
    },
    /// List keys, one JSON object a line
    List,
    /// Take a key out of use; it stays listed
    Disable {
        /// AKIA…
        access_key_id: String,
    },
    /// Delete a key: it signs nothing more
    Delete {
        /// AKIA…
        access_key_id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ActivationKeyCommand {
    /// Issue a key for `datasync-agent run --activation-key`; good once, for 30 minutes
    Create {
        /// Make the agent, with this name, when the key is claimed; without it, call CreateAgent
        #[arg(long)]
        agent_name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RoleCommand {
    /// Set the key that stands for a role; the secret access key is read from standard input
    SetKey {
        /// As locations name it in BucketAccessRoleArn
        role_arn: String,
        /// The store's access key id
        #[arg(long)]
        access_key_id: String,
        /// Base URL of an S3-compatible store [default: AWS]
        #[arg(long)]
        endpoint: Option<String>,
        /// Region to sign for [default: control's own]
        #[arg(long = "store-region")]
        store_region: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Print the CA's certificate (PEM) and its SHA-256 fingerprint: what clients and new agents
    /// trust. While a CA takes the place of another, there are two
    Show,
    /// Replace the CA, one step with each call: introduce the next one, let it issue, forget the old
    /// one. A step is refused while an agent would lose its way by it
    Rotate,
    /// Tell where a replacement stands, and for which agents it waits
    Status,
}

#[derive(Debug, Subcommand)]
pub(super) enum SealingKeyCommand {
    /// Add the next key to the file, before it is copied to the other controls of the same database
    Prepare,
    /// Seal every secret with another key; the old one stays known. Repeated, it ends what was cut
    /// off
    Rotate,
    /// Forget the old key, once nothing is sealed with it
    ForgetOld,
}
