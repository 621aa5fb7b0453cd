//! The `datasync-agent` command.

mod checking;
mod copying;
mod privileges;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use datasync_agent::arguments::{
    self, Command, ConsoleArguments, FirstbootArguments, RunArguments, UpdateArguments,
};
use datasync_agent::{
    CONFIG_FILE_VARIABLE, Config, ConsoleSettings, Ending, Firstboot, FirstbootSettings, Layers,
    LogLevel, LogOutput, Phase, ProcessSettings, Pulses, Running, SharedOwners, UpdateOptions,
    boot, check_health, check_idle, console, firstboot, init_logging, is_on_trial, restart,
    run_updatable, update,
};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// glibc's allocator costs three times the CPU on the read path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_USAGE` of sysexits: bad flags or configuration. A supervisor need not try again.
const EXIT_CONFIGURATION: u8 = 64;
const EXIT_FAILURE: u8 = 1;
/// What still runs on threads of its own after the agent has ended is left behind.
const LAST_TASKS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse_from(arguments::normalized()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let wanted = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            let printed = error.print().is_ok();
            return match (wanted, printed) {
                (true, true) => ExitCode::SUCCESS,
                (true, false) => ExitCode::from(EXIT_FAILURE),
                (false, _) => ExitCode::from(exit_configuration()),
            };
        }
    };
    match arguments.command {
        Command::Run(arguments) => run(&arguments),
        Command::CheckConfig(arguments) => with_config(layers(&arguments), |config| {
            println!("the configuration is valid; control is {}", config.control);
            ExitCode::SUCCESS
        }),
        Command::Update(arguments) => update_agent(&arguments),
        Command::Health(arguments) => health(&arguments),
        Command::Idle(arguments) => idle(&arguments),
        Command::Firstboot(arguments) => first_boot(arguments),
        Command::Console(arguments) => show_console(&arguments),
        Command::Check(flags) => checking::start(&flags),
        Command::Copy(flags) => copying::start(&flags),
    }
}

/// Becomes the release that is to run first: it may know settings that this program does not.
fn run(arguments: &RunArguments) -> ExitCode {
    let layers = layers(arguments);
    let running = layers.as_ref().map_or_else(|_| Running::embedded(), boot);
    with_config(layers, |config| start(config, arguments, running))
}

/// A release that is tried is started again, and then what ran before it is: another release may
/// take this configuration.
fn exit_configuration() -> u8 {
    if is_on_trial() {
        EXIT_FAILURE
    } else {
        EXIT_CONFIGURATION
    }
}

fn with_config(layers: Result<Layers, String>, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    let config = layers.and_then(|layers| layers.validate().map_err(|e| e.to_string()));
    match config {
        Ok(config) => then(config),
        Err(text) => {
            eprintln!("datasync-agent: {text}");
            ExitCode::from(exit_configuration())
        }
    }
}

/// What was configured, read as the user that it names.
fn layers(arguments: &RunArguments) -> Result<Layers, String> {
    let file = arguments
        .config
        .clone()
        .or_else(|| std::env::var_os(CONFIG_FILE_VARIABLE).map(PathBuf::from));
    let flags = arguments.overrides().map_err(|e| e.to_string())?;
    let layers = Layers::read(file.as_deref(), environment(), flags).map_err(|e| e.to_string())?;
    if let Some(user) = layers.run_as()? {
        privileges::become_user(user)?;
    }
    Ok(layers)
}

/// Variables that are not UTF-8 are none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn start(config: Config, arguments: &RunArguments, running: Running) -> ExitCode {
    let (runtime, level) = match prepare(&config.process, config.log_output) {
        Ok(prepared) => prepared,
        Err(text) => {
            eprintln!("datasync-agent: {text}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    let ended = runtime.block_on(run_until_signal(config, arguments, &running, &level));
    runtime.shutdown_timeout(LAST_TASKS);
    let ended = match ended {
        Ok(Ending::Restart) => Err(format!("cannot start anew: {}", restart(&running))),
        Ok(Ending::Stopped) => Ok(()),
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, event = "agent.failed", "the agent cannot go on");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Logging, and something to run on.
fn prepare(settings: &ProcessSettings, output: LogOutput) -> Result<(Runtime, LogLevel), String> {
    let level = init_logging(settings, output).map_err(|e| e.to_string())?;
    let runtime = Runtime::new().map_err(|e| format!("cannot start the runtime: {e}"))?;
    Ok((runtime, level))
}

async fn run_until_signal(
    config: Config,
    arguments: &RunArguments,
    running: &Running,
    level: &LogLevel,
) -> Result<Ending, String> {
    let shutdown = CancellationToken::new();
    let failed = |e: std::io::Error| format!("cannot handle signals: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let phase = watch::Sender::new(Phase::Starting);
    let owners = config.process.nfs.owners.clone();
    let pulses = Arc::<Pulses>::default();
    let mut told = Box::pin(service::tell(phase.subscribe(), &pulses));
    let signs = Arc::clone(&pulses);
    let ended = run_updatable(config, running.clone(), phase, signs, shutdown.clone());
    let mut ended = Box::pin(ended);
    loop {
        tokio::select! {
            result = &mut ended => return result.map_err(|e| e.to_string()),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(arguments, level, &owners),
            never = &mut told => match never {},
        }
    }
    tracing::info!(event = "agent.stopping", "stopping");
    service::stopping();
    shutdown.cancel();
    ended.await.map_err(|e| e.to_string())
}

/// Reads the configuration again, for what can be changed while the agent runs.
fn reload(arguments: &RunArguments, level: &LogLevel, owners: &SharedOwners) {
    let wanted = layers(arguments)
        .and_then(|layers| layers.validate_reloaded().map_err(|e| e.to_string()))
        .and_then(|wanted| {
            let set = level.set(&wanted.log_level);
            set.map_err(|e| e.to_string()).map(|()| wanted)
        });
    match wanted {
        Ok(wanted) => {
            let level = wanted.log_level;
            tracing::warn!(
                level,
                event = "log.level_changed",
                "SIGHUP: the log's level"
            );
            let (users, groups) = (wanted.owners.users.len(), wanted.owners.groups.len());
            if owners.replace(wanted.owners) {
                tracing::warn!(
                    users,
                    groups,
                    event = "nfs.owners_changed",
                    "SIGHUP: the numbers of owners, for what is opened from now on"
                );
            }
        }
        Err(error) => {
            tracing::error!(
                error,
                event = "log.level_kept",
                "SIGHUP: the log's level stays, and the numbers of owners"
            );
        }
    }
}

/// Works with a configuration that cannot be used as well: it says so.
fn show_console(arguments: &ConsoleArguments) -> ExitCode {
    let (layers, unreadable) = match layers(&arguments.agent) {
        Ok(layers) => (layers, None),
        Err(text) => (Layers::default(), Some(text)),
    };
    let settings = ConsoleSettings {
        layers,
        unreadable,
        root: arguments.root.clone(),
        term: std::env::var("TERM").ok(),
    };
    let shown = Runtime::new()
        .map_err(|e| format!("cannot start the runtime: {e}"))
        .and_then(|runtime| {
            runtime
                .block_on(console(settings))
                .map_err(|e| e.to_string())
        });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("datasync-agent: {text}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn idle(arguments: &RunArguments) -> ExitCode {
    let idle = layers(arguments).and_then(|layers| {
        let runtime = Runtime::new().map_err(|e| format!("cannot start the runtime: {e}"))?;
        let asked = runtime.block_on(check_idle(&layers.state_dir()));
        asked.map_err(|e| e.to_string())
    });
    told(idle)
}

fn update_agent(arguments: &UpdateArguments) -> ExitCode {
    let carry_out = |layers: Layers| {
        let settings = layers.update_settings().map_err(|e| e.to_string())?;
        let options = UpdateOptions {
            state_dir: layers.state_dir(),
            trial: settings.trial,
            file: arguments.file.clone(),
            drain: arguments.drain,
            allow_downgrade: arguments.allow_downgrade,
            wait: Duration::from_secs(arguments.wait),
        };
        let runtime = Runtime::new().map_err(|e| format!("cannot start the runtime: {e}"))?;
        let updated = runtime.block_on(update(&options, |step| println!("{step}")));
        // Standard input may still be waited for.
        runtime.shutdown_background();
        updated.map_err(|e| e.to_string())
    };
    told(layers(&arguments.agent).and_then(carry_out))
}

fn first_boot(arguments: FirstbootArguments) -> ExitCode {
    let FirstbootArguments { seed, root } = arguments;
    let done = firstboot(&FirstbootSettings { root, seed });
    match &done {
        Ok(Firstboot::NoSeed) => println!("there is no seed"),
        Ok(Firstboot::DoneBefore { instance }) => {
            println!("the seed {instance} was carried out before");
        }
        Ok(Firstboot::Done { instance, files }) => {
            println!("the seed {instance} is carried out: {files} files written");
        }
        Err(_) => {}
    }
    told(done.map(|_| ()).map_err(|e| e.to_string()))
}

/// Success, or a text on standard error.
fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("datasync-agent: {text}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn health(arguments: &RunArguments) -> ExitCode {
    told(
        layers(arguments)
            .and_then(|layers| check_health(&layers.state_dir()).map_err(|e| e.to_string())),
    )
}
