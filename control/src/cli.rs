//! The command line of `datasync-control`.

mod commands;
mod logs;
mod releases;
mod report;
mod service;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use datasync_telemetry::{LogError, LogLevel, LogSettings};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use commands::{
    AccessKeyCommand, ActivationKeyCommand, CaCommand, Command, IncarnationCommand, RoleCommand,
    SealingKeyCommand,
};

use crate::admin::{self, AdminError, RoleKeySetting};
use crate::backup::{BackupError, back_up, renew_incarnation, restore};
use crate::ca_rotation::{CaRotationError, ca_status, rotate_ca};
use crate::config::{Config, ConfigError, ENVIRONMENT_PREFIX, Flags};
use crate::open_files;
use crate::records::Access;
use crate::reports::CheckError;
use crate::sealing_key::{
    SealingKeyError, forget_sealing_key, prepare_sealing_key, rotate_sealing_key,
};
use crate::serve::{ServeError, serve};
use crate::state::StatePlace;
use report::ReportCommand;

/// `EX_USAGE` of sysexits.h: bad flags or configuration.
const EXIT_CONFIGURATION: u8 = 64;
/// The longest secret that is read from standard input.
const SECRET_BYTES_MAX: u64 = 1024;

/// The control plane of a self-hosted AWS DataSync
#[derive(Debug, Parser)]
#[command(name = "datasync-control", version, after_help = format!(
    "Every setting is also an environment variable: {ENVIRONMENT_PREFIX} and its name in capitals, \
     as in {ENVIRONMENT_PREFIX}STATE_DIR. Flags win over the environment, that over the file."
))]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

/// What ends a command badly.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Serve(#[from] ServeError),
    #[error("{0}")]
    Admin(#[from] AdminError),
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    SealingKey(#[from] SealingKeyError),
    #[error("{0}")]
    CaRotation(#[from] CaRotationError),
    #[error("{doing}: {source}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Check(#[from] CheckError),
    /// What was found is told already.
    #[error("not every report is as it was signed")]
    Unverified(u8),
}

fn io_error(doing: &'static str) -> impl FnOnce(io::Error) -> CliError {
    move |source| CliError::Io { doing, source }
}

/// The command line, for those who describe it.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the program: parses, runs, reports.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(EXIT_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
            return match error.print() {
                Ok(()) => code,
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let (code, error) = match execute(cli, environment) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error @ CliError::Config(_)) => (ExitCode::from(EXIT_CONFIGURATION), error),
        Err(CliError::Unverified(code)) => (ExitCode::from(code), CliError::Unverified(code)),
        Err(error) => (ExitCode::FAILURE, error),
    };
    // Nothing is left to tell it to if standard error is closed.
    match writeln!(io::stderr(), "datasync-control: {error}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn execute(cli: Cli, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), CliError> {
    if let Command::Report(ReportCommand::Verify { paths, keys }) = &cli.command {
        // Also where there is no control.
        return report::verify(paths, keys);
    }
    let config = Config::load(cli.flags.clone(), environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(io_error("cannot start the runtime"))?;
    runtime.block_on(async {
        let place = config.state_place();
        match cli.command {
            Command::Serve => {
                let filter = || Config::load_log_filter(cli.flags.clone(), environment);
                Box::pin(serve_until_signal(config, &filter)).await
            }
            Command::AccessKey(command) => access_key(place, command).await,
            Command::ActivationKey(ActivationKeyCommand::Create { agent_name }) => {
                activation_key(place, agent_name).await
            }
            Command::Role(command) => role(place, command).await,
            Command::Logs {
                execution_arn,
                json,
            } => logs::print(place, &execution_arn, json).await,
            Command::SealingKey(command) => sealing_key(place, command).await,
            Command::Backup { directory } => Ok(back_up(&place, &directory)?),
            Command::Restore { directory } => Ok(restore(&place, &directory).await?),
            Command::Incarnation(IncarnationCommand::Renew) => Ok(renew_incarnation(place).await?),
            Command::Report(command) => report::run(place, command).await,
            Command::Release(command) => releases::release(place, command).await,
            Command::Agent(command) => releases::agent(place, command).await,
            Command::Ca(command) => ca(place, command, config.agent_certificate_lifetime).await,
        }
    })
}

fn print(text: &str) -> Result<(), CliError> {
    writeln!(io::stdout(), "{text}").map_err(io_error("standard output cannot be written"))
}

fn start_log(config: &Config) -> Result<LogLevel, LogError> {
    datasync_telemetry::init(LogSettings {
        filter: &config.log_filter,
        format: config.log_format,
        output: config.log_output,
    })
}

/// Logs by the filter that the configuration has now.
fn change_log_filter(level: &LogLevel, filter: Result<String, ConfigError>) {
    let filter = filter.map_err(|error| error.to_string());
    let set = |filter: String| {
        let set = level.set(&filter).map_err(|error| error.to_string());
        set.map(|()| filter)
    };
    match filter.and_then(set) {
        Ok(filter) => {
            tracing::warn!(
                filter,
                event = "log.level_changed",
                "SIGHUP: the log's filter"
            );
        }
        Err(error) => {
            tracing::error!(
                error,
                event = "log.level_kept",
                "SIGHUP: the log's filter stays"
            );
        }
    }
}

/// `filter` reads the log's filter anew.
async fn serve_until_signal(
    config: Config,
    filter: &dyn Fn() -> Result<String, ConfigError>,
) -> Result<(), CliError> {
    let level = start_log(&config)?;
    open_files::raise_limit();
    let cannot = "cannot listen for signals";
    let mut terminate = signal(SignalKind::terminate()).map_err(io_error(cannot))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io_error(cannot))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(io_error(cannot))?;
    let shutdown = CancellationToken::new();
    let serving = serve(config, shutdown.clone()).await?;
    let pulses = serving.pulses.clone();
    let mut ended = std::pin::pin!(serving.ended());
    let mut told = std::pin::pin!(service::tell(&pulses));
    let signal = loop {
        tokio::select! {
            result = &mut ended => return Ok(result?),
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => change_log_filter(&level, filter()),
            never = &mut told => match never {},
        }
    };
    tracing::info!(event = "control.stopping", "{signal}: control stops");
    service::stopping();
    shutdown.cancel();
    Ok(ended.await?)
}

async fn access_key(place: StatePlace, command: AccessKeyCommand) -> Result<(), CliError> {
    match command {
        AccessKeyCommand::Create { name, read_only } => {
            let access = if read_only {
                Access::ReadOnly
            } else {
                Access::Full
            };
            let new = admin::create_access_key(place, name, access).await?;
            let shown = json!({
                "AccessKeyId": new.access_key_id,
                "SecretAccessKey": new.secret_access_key.as_str(),
            });
            print(&shown.to_string())
        }
        AccessKeyCommand::List => {
            for entry in admin::list_access_keys(place).await? {
                let shown = json!({
                    "AccessKeyId": entry.access_key_id,
                    "Name": entry.name,
                    "Access": entry.access,
                    "Status": if entry.disabled { "Inactive" } else { "Active" },
                    "CreateDate": jiff::Timestamp::from_millisecond(entry.created_at_ms)
                        .unwrap_or_default()
                        .to_string(),
                });
                print(&shown.to_string())?;
            }
            Ok(())
        }
        AccessKeyCommand::Disable { access_key_id } => {
            Ok(admin::disable_access_key(place, access_key_id).await?)
        }
        AccessKeyCommand::Delete { access_key_id } => {
            Ok(admin::delete_access_key(place, access_key_id).await?)
        }
    }
}

async fn ca(
    place: StatePlace,
    command: CaCommand,
    certificate_lifetime: Duration,
) -> Result<(), CliError> {
    match command {
        CaCommand::Show => {
            for (pem, fingerprint) in admin::show_ca(place).await? {
                print(&format!("{pem}SHA-256 fingerprint: {fingerprint}"))?;
            }
            Ok(())
        }
        CaCommand::Rotate => print(&rotate_ca(place, certificate_lifetime).await?.to_string()),
        CaCommand::Status => print(&ca_status(place, certificate_lifetime).await?.to_string()),
    }
}

async fn sealing_key(place: StatePlace, command: SealingKeyCommand) -> Result<(), CliError> {
    match command {
        SealingKeyCommand::Prepare => {
            prepare_sealing_key(&place)?;
            print(
                "the next key is in the file: copy it to every control, then run `sealing-key rotate`",
            )
        }
        SealingKeyCommand::Rotate => print(&rotate_sealing_key(place).await?.to_string()),
        SealingKeyCommand::ForgetOld => {
            forget_sealing_key(place).await?;
            print("the old key is forgotten")
        }
    }
}

async fn activation_key(place: StatePlace, agent_name: Option<String>) -> Result<(), CliError> {
    let new = admin::create_activation_key(place, agent_name).await?;
    print(new.key.reveal())
}

async fn role(place: StatePlace, command: RoleCommand) -> Result<(), CliError> {
    let RoleCommand::SetKey {
        role_arn,
        access_key_id,
        endpoint,
        store_region,
    } = command;
    let setting = RoleKeySetting {
        role_arn,
        access_key_id,
        secret_access_key: secret_from(io::stdin().lock())?,
        endpoint,
        region: store_region,
    };
    Ok(admin::set_role_key(place, setting).await?)
}

/// One secret, without the end of its line.
fn secret_from(input: impl io::Read) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(input, SECRET_BYTES_MAX), &mut text)
        .map_err(io_error("the secret cannot be read from standard input"))?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn a_flag_that_is_on_or_off_stands_alone_or_takes_its_value() {
        let allowed = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["datasync-control"], arguments].concat()).unwrap();
            (cli.flags.allow_insecure_http, cli.flags.api_tls)
        };
        let on = Some("true".to_owned());
        let off = Some("false".to_owned());
        assert_eq!(allowed(&["serve"]), (None, None));
        assert_eq!(
            allowed(&["--allow-insecure-http", "serve", "--api-tls=false"]),
            (on.clone(), off.clone())
        );
        assert_eq!(
            allowed(&["serve", "--allow-insecure-http=false", "--api-tls"]),
            (off, on)
        );
        let listen = ["datasync-control", "--api-listen", "serve"];
        assert!(Cli::try_parse_from(listen).is_err(), "a value is missing");
    }

    #[test]
    fn secrets_are_read_without_the_end_of_the_line() {
        let secret = secret_from("s3cr3t/with space \r\n".as_bytes()).unwrap();
        assert_eq!(secret.as_str(), "s3cr3t/with space ");
    }
}
