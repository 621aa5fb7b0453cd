//! The console at work: the terminal, and what the commands do.

mod activation;
mod bundle;
mod connection;
mod control;
mod execute;
mod journal;
mod listening;
mod log_level;
mod machine;
mod network;
mod nfs;
mod password;
mod s3;
mod scrub;
mod steps;
mod terminal;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::app::{App, Place};
use super::draw::is_ascii;
use crate::appliance::{self, ControlSettings, MARKER, SEED_FAULTS};
use crate::config::{Config, Layers};
use crate::host;

/// Where bundles go, in the state directory.
const SUPPORT: &str = "support";

/// What the console works with.
#[derive(Debug)]
pub struct ConsoleSettings {
    /// The agent's configuration, as the agent itself would read it.
    pub layers: Layers,
    /// Why the agent's configuration cannot be read, if so.
    pub unreadable: Option<String>,
    /// Where the machine's files are: `/`.
    pub root: PathBuf,
    /// The variable `TERM`.
    pub term: Option<String>,
}

/// A console that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The terminal fails, or is none.
    #[error("cannot use the terminal: {0}; the console needs one on standard input and output")]
    Terminal(#[from] std::io::Error),
}

/// What commands work with.
#[derive(Debug)]
struct World {
    configured: Mutex<Arc<Configured>>,
    state_dir: PathBuf,
    root: PathBuf,
}

#[cfg(test)]
impl World {
    /// A machine whose files are below `root`, and nothing is configured.
    fn below(root: &std::path::Path) -> Self {
        Self {
            configured: Mutex::new(Arc::new(Configured::new(Layers::default()))),
            state_dir: root.join("state"),
            root: root.to_owned(),
        }
    }
}

/// The agent's configuration, and what is wrong with it.
#[derive(Debug)]
struct Configured {
    layers: Layers,
    config: Result<Config, String>,
}

impl Configured {
    fn new(layers: Layers) -> Self {
        let config = layers.clone().validate();
        Self {
            layers,
            config: config.map_err(|faults| faults.0.join("; ")),
        }
    }

    fn control(&self) -> ControlSettings {
        ControlSettings {
            address: self.layers.value("control").to_owned(),
            fingerprint: self.layers.value("control_fingerprint").to_owned(),
        }
    }
}

impl World {
    fn is_appliance(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    fn configured(&self) -> Arc<Configured> {
        let held = self.configured.lock();
        Arc::clone(&held.unwrap_or_else(PoisonError::into_inner))
    }

    /// What counts from now on.
    fn configure(&self, configured: Configured) {
        let held = self.configured.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Arc::new(configured);
    }

    /// Where the password is: on the appliance where the agent's user cannot write.
    fn lock_directory(&self) -> PathBuf {
        let marker = self.root.join(MARKER);
        match marker.parent() {
            Some(settings) if marker.exists() => settings.to_owned(),
            _ => self.state_dir.clone(),
        }
    }

    /// Values that are secret, and the parts of proxies' URLs that are.
    fn secrets(&self) -> Vec<String> {
        let hidden = self.configured().layers.hidden();
        let passwords: Vec<String> = hidden
            .iter()
            .filter_map(|value| value.rsplit_once('@'))
            .filter_map(|(user, _)| user.rsplit_once(':'))
            .map(|(_, password)| password.to_owned())
            .collect();
        hidden.into_iter().chain(passwords).collect()
    }
}

/// Shows the console until the operator leaves it.
///
/// # Errors
/// [`ConsoleError`]
pub async fn console(settings: ConsoleSettings) -> Result<(), ConsoleError> {
    let ConsoleSettings {
        layers,
        unreadable,
        root,
        term,
    } = settings;
    let state_dir = layers.state_dir();
    let configured = match unreadable {
        Some(reason) => Configured {
            layers,
            config: Err(reason),
        },
        None => Configured::new(layers),
    };
    let config = configured.config.as_ref().ok();
    let name = config.and_then(|config| config.name.clone());
    let control = configured.control();
    let world = World {
        configured: Mutex::new(Arc::new(configured)),
        state_dir,
        root,
    };
    let place = Place {
        name: host::host_name(name.as_deref()),
        control,
        is_appliance: world.is_appliance(),
        faults: faults(&world),
        support_directory: world.state_dir.join(SUPPORT).display().to_string(),
        is_ascii: is_ascii(term.as_deref()),
    };
    let has_password = password::is_set(&world.lock_directory());
    let app = |size| App::new(place, has_password, size);
    terminal::show(app, Arc::new(world)).await?;
    Ok(())
}

/// What is wrong with the seed, and with the agent's configuration.
fn faults(world: &World) -> Option<String> {
    let seed = appliance::read_small(&world.root.join(SEED_FAULTS));
    let seed = seed.map(|text| text.replacen("the seed", "The seed", 1).replace('\n', ""));
    let configured = world.configured();
    let config = configured.config.as_ref().err();
    let config = config.map(|text| format!("The agent's configuration cannot be used: {text}"));
    let all: Vec<String> = seed.into_iter().chain(config).collect();
    (!all.is_empty()).then(|| all.join(". "))
}
