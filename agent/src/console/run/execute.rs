//! From a command to its outcome, within the command's time.

use std::sync::Arc;

use super::super::command::{Command, Outcome};
use super::super::page::Line;
use super::steps::Steps;
use super::{
    World, activation, bundle, connection, control, journal, log_level, machine, network, nfs,
    password, s3,
};
use crate::local;

/// Runs `command`, whose steps are `steps` if it has several.
pub(super) async fn execute(command: Command, world: Arc<World>, steps: Steps) -> Outcome {
    let limit = command.limit();
    let asks = command == Command::Ask;
    match tokio::time::timeout(limit, Box::pin(carry_out(command, &world, steps))).await {
        Ok(outcome) => outcome,
        Err(_) if asks => Outcome::Agent(Err("it does not answer".to_owned())),
        Err(_) => Outcome::Lines(vec![Line::fail(format!(
            "No answer within {} s.",
            limit.as_secs()
        ))]),
    }
}

async fn carry_out(command: Command, world: &World, steps: Steps) -> Outcome {
    match command {
        Command::Ask => {
            let said = local::ask(&world.state_dir).await;
            Outcome::Agent(said.map(Box::new).map_err(|error| error.to_string()))
        }
        Command::Unlock { password } => {
            Outcome::Unlocked(password::check(&world.lock_directory(), password).await)
        }
        Command::SetPassword { old, new } => {
            if old.is_none() && password::is_set(&world.lock_directory()) {
                return Outcome::PasswordThere;
            }
            Outcome::PasswordSet(password::set(&world.lock_directory(), old, new).await)
        }
        Command::ReadNetwork => Outcome::Network(Box::new(network::read(&world.root))),
        Command::ShowNetwork => Outcome::Lines(network::show(world)),
        Command::ApplyNetwork(settings) => {
            Outcome::Lines(network::apply(world, &settings, steps).await)
        }
        Command::RequestKey { region } => {
            Outcome::Lines(activation::request_key(&world.state_dir, &region).await)
        }
        Command::SetControl(settings) => control::set(world, settings, steps).await,
        Command::TestConnection => Outcome::Lines(connection::test(world).await),
        Command::TestNfs { server, path } => Outcome::Lines(nfs::test(world, server, path).await),
        Command::TestS3 { endpoint, bucket } => {
            Outcome::Lines(s3::test(world, &endpoint, &bucket).await)
        }
        Command::CheckResources => Outcome::Lines(machine::check(world).await),
        Command::ReadLog => Outcome::Lines(journal::lines(world).await),
        Command::ReadLogLevel => log_level::read(world),
        Command::SetLogLevel { level } => {
            Outcome::Lines(log_level::set(world, &level, steps).await)
        }
        Command::MakeBundle { directory } => {
            Outcome::Lines(bundle::make(world, directory.as_ref()).await)
        }
    }
}
