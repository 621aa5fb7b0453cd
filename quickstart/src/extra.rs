//! One more agent for a quickstart that is running.

use std::path::Path;

use datasync_agent::Phase;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::Fault;
use crate::world::{NEIGHBOUR_FILE, Neighbour, REGION, activation_address, start_agent};

/// Runs until the agent ends.
pub(crate) async fn run(directory: &Path, shutdown: &CancellationToken) -> Result<(), Fault> {
    let file = directory.join(NEIGHBOUR_FILE);
    let what = || format!("{}: is a quickstart running there?", file.display());
    let text = std::fs::read(&file).map_err(|error| Fault::new(what(), error))?;
    let neighbour: Neighbour =
        serde_json::from_slice(&text).map_err(|error| Fault::new(what(), error))?;
    let state = tempfile::Builder::new()
        .prefix("datasync-agent-")
        .tempdir()
        .map_err(|error| Fault::new("a directory for the agent", error))?;
    let mut agent = JoinSet::new();
    let mut phases = start_agent(&neighbour, state.path(), &mut agent, shutdown)?;
    let address = activation_address(&mut phases).await?;
    println!("An agent waits for its activation at {address}:\n");
    println!(
        "KEY=$(curl -s 'http://{address}/?gatewayType=SYNC&activationRegion={REGION}&no_redirect')"
    );
    println!("aws datasync create-agent --activation-key $KEY --agent-name second");
    let told = async {
        if let Ok(phase) = phases
            .wait_for(|phase| matches!(phase, Phase::Active { .. }))
            .await
            && let Phase::Active { arn } = &*phase
        {
            println!("\nActivated: {arn}");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        Some(ended) = agent.join_next() => {
            ended.map_err(|error| Fault::new("the agent", error))?
        }
        () = told => Ok(()),
    }
}
