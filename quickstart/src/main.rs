//! The whole system in one process, for a first look: NFS server, S3 store, control, agent.

mod arguments;
mod client;
mod error;
mod extra;
mod sample;
mod summary;
mod transfer;
mod world;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use arguments::{Arguments, Command};
use error::Fault;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_USAGE: u8 = 64;
/// What is logged unless DATASYNC_LOG says otherwise. The embedded NFS server calls it an error that a client asks
/// for version 4 first.
const QUIET: &str = "error,nfs3_server::nfs_handlers=off";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return answer(&error),
    };
    let filter = EnvFilter::try_from_env("DATASYNC_LOG").unwrap_or_else(|_| EnvFilter::new(QUIET));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Fault::new("the async runtime cannot start", error)),
    };
    match runtime.block_on(begin(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&fault),
    }
}

/// What the parser has to say: help on success, else `EX_USAGE` of sysexits like the other programs.
fn answer(error: &clap::Error) -> ExitCode {
    match (error.print(), error.use_stderr()) {
        (Ok(()), false) => ExitCode::SUCCESS,
        (Err(_), false) => ExitCode::FAILURE,
        (_, true) => ExitCode::from(EXIT_USAGE),
    }
}

fn fail(fault: &Fault) -> ExitCode {
    eprintln!("quickstart: {fault}");
    ExitCode::FAILURE
}

async fn begin(arguments: Arguments) -> Result<(), Fault> {
    let shutdown = CancellationToken::new();
    let work = async {
        match &arguments.command {
            Some(Command::Agent { directory }) => extra::run(directory, &shutdown).await,
            None => tour(&arguments, &shutdown).await,
        }
    };
    let interrupt = async {
        let caught = interrupted().await;
        shutdown.cancel();
        match caught {
            Ok(()) => std::future::pending().await,
            Err(error) => Err(Fault::new("signals cannot be caught", error)),
        }
    };
    tokio::select! {
        result = work => result,
        result = interrupt => result,
    }
}

/// Ctrl-C, or a polite request to end: either way nothing may be left behind.
async fn interrupted() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        caught = tokio::signal::ctrl_c() => caught,
        _ = terminate.recv() => Ok(()),
    }
}

/// Builds the world, moves everything twice, and leaves the world standing.
async fn tour(arguments: &Arguments, shutdown: &CancellationToken) -> Result<(), Fault> {
    let mut world = tokio::select! {
        world = world::World::build(arguments, shutdown) => world?,
        () = shutdown.cancelled() => return Err(Fault::plain("interrupted")),
    };
    let result = tokio::select! {
        result = transfers(&world) => result,
        fault = world.broken() => Err(fault),
        () = shutdown.cancelled() => Err(Fault::plain("interrupted")),
    };
    if result.is_ok() && !arguments.once {
        println!("\nEverything stays up until Ctrl-C.");
        tokio::select! {
            () = shutdown.cancelled() => {}
            fault = world.broken() => return Err(fault),
        }
    }
    shutdown.cancel();
    world.ended().await;
    result
}

async fn transfers(world: &world::World) -> Result<(), Fault> {
    let task = transfer::create(world).await?;
    println!("\nFirst run");
    let first = transfer::execute(world, &task).await?;
    summary::counts(&first);
    println!("\nSecond run: nothing has changed");
    let second = transfer::execute(world, &task).await?;
    summary::counts(&second);
    summary::lines_to_paste(world, &task, &second);
    Ok(())
}
