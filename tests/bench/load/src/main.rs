//! Load on control: many clients that call its API, or many agents that hold a session. Prints what
//! was measured as one line of JSON.

mod agents;
mod api;
mod calls;
mod machine;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use api::Api;

/// Why a measurement failed.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Load on a control plane. The access key's secret is taken from `AWS_SECRET_ACCESS_KEY`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address of the API.
    #[arg(long)]
    api: SocketAddr,
    /// PEM file of control's CA.
    #[arg(long)]
    ca: PathBuf,
    /// Id of an access key.
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Calls one operation again and again.
    Calls {
        /// The operation's name.
        #[arg(long)]
        operation: String,
        /// File with the bodies to send, one a line; they are taken in turn.
        #[arg(long)]
        bodies: PathBuf,
        /// Clients at a time, each with a connection of its own.
        #[arg(long)]
        clients: usize,
        /// How long to call, in seconds.
        #[arg(long)]
        seconds: u64,
        /// Ends once each body was sent.
        #[arg(long)]
        once: bool,
    },
    /// Activates agents and keeps them connected: says `connected`, and the figures after a line
    /// on standard input.
    Agents {
        /// Address for agents.
        #[arg(long)]
        control: SocketAddr,
        /// How many.
        #[arg(long)]
        count: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failed> {
    let secret = std::env::var("AWS_SECRET_ACCESS_KEY")
        .map_err(|error| format!("AWS_SECRET_ACCESS_KEY: {error}"))?;
    let trust = std::fs::read_to_string(&arguments.ca)
        .map_err(|error| format!("{}: {error}", arguments.ca.display()))?;
    let api = Api::new(arguments.api, &trust, &arguments.access_key, secret)?;
    match arguments.load {
        Load::Calls {
            operation,
            bodies,
            clients,
            seconds,
            once,
        } => {
            let text = std::fs::read_to_string(&bodies)
                .map_err(|error| format!("{}: {error}", bodies.display()))?;
            let load = calls::Calls {
                operation,
                bodies: text.lines().map(str::to_owned).map(Into::into).collect(),
                clients,
                time: Duration::from_secs(seconds),
                once,
            };
            println!("{}", load.run(api).await?);
            Ok(())
        }
        Load::Agents { control, count } => agents::run(api, control, trust, count).await,
    }
}
