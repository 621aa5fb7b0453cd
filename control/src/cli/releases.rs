//! `datasync-control release` and `datasync-control agent`.

use std::path::PathBuf;

use clap::Subcommand;
use datasync_model::{AgentArn, ReleaseVersion};

use super::{CliError, print};
use crate::releases::{
    NewWish, add_release, list_agents, list_releases, remove_release, set_release,
};
use crate::state::StatePlace;

#[derive(Debug, Subcommand)]
pub(super) enum ReleaseCommand {
    /// Add a bundle that agents can fetch; agents look whether its signature is good
    Add {
        /// datasync-agent-VERSION-ARCHITECTURE.update
        file: PathBuf,
    },
    /// List bundles, one JSON object a line
    List,
    /// Remove the bundles of a version; no agent may be wished to run it
    Remove {
        /// As in 1.2.3
        version: ReleaseVersion,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// List agents, one JSON object a line: what each runs and should run, and its last update
    List,
    /// The same, of one agent
    Show {
        /// arn:aws:datasync:…:agent/agent-…
        agent_arn: AgentArn,
    },
    /// Say which release agents should run; they fetch it, and start it once they are idle
    SetVersion {
        /// As in 1.2.3; none: whatever they run
        #[arg(value_parser = wanted)]
        version: Wanted,
        /// Every agent, also those that come later; takes the place of wishes for single ones
        #[arg(long, required_unless_present = "agent", conflicts_with = "agent")]
        all: bool,
        /// Only this agent; may be given several times
        #[arg(long)]
        agent: Vec<AgentArn>,
        /// Executions stop at a checkpoint and go on after the update
        #[arg(long)]
        drain: bool,
        /// Also where it is older than what the agent runs
        #[arg(long)]
        allow_downgrade: bool,
    },
}

/// A version, or the one that an agent runs.
#[derive(Debug, Clone)]
pub(super) struct Wanted(Option<ReleaseVersion>);

fn wanted(text: &str) -> Result<Wanted, String> {
    if text == "none" {
        return Ok(Wanted(None));
    }
    let version = text.parse().map_err(|error| format!("{error}"));
    version.map(|version| Wanted(Some(version)))
}

pub(super) async fn release(place: StatePlace, command: ReleaseCommand) -> Result<(), CliError> {
    match command {
        ReleaseCommand::Add { file } => print(&add_release(place, &file).await?.to_string()),
        ReleaseCommand::List => {
            let all = list_releases(place).await?;
            all.iter().try_for_each(|one| print(&one.to_string()))
        }
        ReleaseCommand::Remove { version } => Ok(remove_release(place, version).await?),
    }
}

pub(super) async fn agent(place: StatePlace, command: AgentCommand) -> Result<(), CliError> {
    let only = match command {
        AgentCommand::List => None,
        AgentCommand::Show { agent_arn } => Some(agent_arn),
        AgentCommand::SetVersion {
            version: Wanted(version),
            all: _,
            agent,
            drain,
            allow_downgrade,
        } => {
            let wish = NewWish {
                agents: agent,
                version,
                drain,
                allow_downgrade,
            };
            return Ok(set_release(place, wish).await?);
        }
    };
    let agents = list_agents(place, only).await?;
    agents.iter().try_for_each(|one| print(&one.to_string()))
}
