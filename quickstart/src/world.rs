//! The running system: servers, control, agent.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_datasync::Client;
use datasync_agent::{Layers, NfsUrl, Overrides, Phase, S3Url, StoreUrl, UrlError};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::arguments::Arguments;
use crate::client::{self, AccessKey};
use crate::error::Fault;
use crate::sample;

pub(crate) const REGION: &str = "us-east-1";
const BUCKET: &str = "quickstart";
/// How long the agent may take to open its activation port, and to become active.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that runs, and how to reach it.
pub(crate) struct World {
    directory: TempDir,
    servers: Mutex<JoinSet<Result<(), Fault>>>,
    pub(crate) api_url: String,
    pub(crate) access_key: AccessKey,
    pub(crate) api: Client,
    pub(crate) agent_arn: String,
    pub(crate) source: NfsUrl,
    pub(crate) destination: S3Url,
    pub(crate) store: StoreUrl,
    pub(crate) store_key: AccessKey,
    pub(crate) store_is_embedded: bool,
    pub(crate) exported: Option<PathBuf>,
}

/// What one more agent must know of a running quickstart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Neighbour {
    pub(crate) control: SocketAddr,
    pub(crate) control_ca: PathBuf,
}

pub(crate) const NEIGHBOUR_FILE: &str = "quickstart.json";

impl World {
    /// Starts everything and activates the agent.
    pub(crate) async fn build(
        arguments: &Arguments,
        shutdown: &CancellationToken,
    ) -> Result<Self, Fault> {
        let directory = tempfile::Builder::new()
            .prefix("datasync-quickstart-")
            .tempdir()
            .map_err(|error| Fault::new("a directory for the quickstart", error))?;
        let mut servers = JoinSet::new();
        let (source, exported) =
            open_source(arguments, directory.path(), &mut servers, shutdown).await?;
        let (destination, store, store_key) =
            open_destination(arguments, directory.path(), &mut servers, shutdown).await?;
        let control = start_control(directory.path(), shutdown).await?;
        let api_url = format!("http://{}", control.api_addr);
        let api = client::datasync(&api_url, REGION, &control.access_key);
        let neighbour = Neighbour {
            control: control.agent_addr,
            control_ca: control.ca_pem_path.clone(),
        };
        write_neighbour(directory.path(), &neighbour)?;
        servers.spawn(async move {
            control
                .serving
                .ended()
                .await
                .map_err(|error| Fault::new("control", error))
        });
        let state_dir = directory.path().join("agent");
        let mut phases = start_agent(&neighbour, &state_dir, &mut servers, shutdown)?;
        let agent_arn = activate(&mut phases, &api).await?;
        println!("Agent activated: {agent_arn}");
        Ok(Self {
            directory,
            servers: Mutex::new(servers),
            api_url,
            access_key: control.access_key,
            api,
            agent_arn,
            source,
            destination,
            store,
            store_key,
            store_is_embedded: arguments.destination.is_none(),
            exported,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Resolves when a part of the system has ended though nobody asked for it; says why.
    pub(crate) async fn broken(&self) -> Fault {
        match self.servers.lock().await.join_next().await {
            Some(Ok(Err(fault))) => fault,
            Some(Err(error)) => Fault::new("a part of the system broke off", error),
            Some(Ok(Ok(()))) | None => Fault::plain("a part of the system ended by itself"),
        }
    }

    /// Waits for the end of every part.
    pub(crate) async fn ended(&mut self) {
        let servers = self.servers.get_mut();
        while let Some(ended) = servers.join_next().await {
            if let Ok(Err(fault)) = ended {
                eprintln!("quickstart: {fault}");
            }
        }
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), Fault> {
    let fault = |error| Fault::new("a port on 127.0.0.1", error);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    Ok((listener, address))
}

async fn open_source(
    arguments: &Arguments,
    directory: &Path,
    servers: &mut JoinSet<Result<(), Fault>>,
    shutdown: &CancellationToken,
) -> Result<(NfsUrl, Option<PathBuf>), Fault> {
    if let Some(url) = &arguments.source {
        return Ok((url.parse().map_err(|e| unusable("--source", e))?, None));
    }
    let exported = match &arguments.directory {
        Some(given) => given
            .canonicalize()
            .map_err(|error| Fault::new(format!("the directory {}", given.display()), error))?,
        None => {
            let tree = directory.join("export");
            std::fs::create_dir_all(&tree)
                .and_then(|()| sample::fill(&tree))
                .map_err(|error| Fault::new("the sample tree", error))?;
            tree
        }
    };
    let (listener, address) = listen().await?;
    let (tree, shutdown) = (exported.clone(), shutdown.clone());
    servers.spawn(async move {
        quickstart_nas::serve(listener, tree, shutdown)
            .await
            .map_err(|error| Fault::new("the NFS server", error))
    });
    println!("NFS server at {address}, exporting {}", exported.display());
    Ok((
        NfsUrl {
            host: address.to_string(),
            path: "/".to_owned(),
        },
        Some(exported),
    ))
}

async fn open_destination(
    arguments: &Arguments,
    directory: &Path,
    servers: &mut JoinSet<Result<(), Fault>>,
    shutdown: &CancellationToken,
) -> Result<(S3Url, StoreUrl, AccessKey), Fault> {
    if let Some(url) = &arguments.destination {
        let endpoint = arguments
            .endpoint_url
            .clone()
            .unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", arguments.region));
        return Ok((
            url.parse().map_err(|e| unusable("--destination", e))?,
            endpoint
                .parse()
                .map_err(|e| unusable("--endpoint-url", e))?,
            key_from_environment()?,
        ));
    }
    let key = AccessKey {
        id: "quickstart".to_owned(),
        secret: random_text()?,
    };
    let (listener, address) = listen().await?;
    let root = directory.join("store");
    let config = quickstart_store::StoreConfig::new(&root).with_access_key(&key.id, &key.secret);
    let shutdown = shutdown.clone();
    servers.spawn(async move {
        quickstart_store::serve(listener, config, None, shutdown)
            .await
            .map_err(|error| Fault::new("the S3 store", error))
    });
    client::create_bucket(&format!("http://{address}"), REGION, &key, BUCKET).await?;
    println!("S3 store at http://{address}, in {}", root.display());
    let destination = S3Url {
        bucket: BUCKET.to_owned(),
        prefix: "copy/".to_owned(),
    };
    let store = StoreUrl {
        secure: false,
        host: address.ip().to_string(),
        port: address.port(),
    };
    Ok((destination, store, key))
}

fn unusable(flag: &str, error: UrlError) -> Fault {
    Fault::new(flag, error)
}

fn key_from_environment() -> Result<AccessKey, Fault> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| {
            Fault::plain(format!(
                "--destination needs {name} in the environment: the store's key"
            ))
        })
    };
    if std::env::var("AWS_SESSION_TOKEN").is_ok_and(|token| !token.is_empty()) {
        return Err(Fault::plain(
            "--destination needs a key that lasts: a location has no place for AWS_SESSION_TOKEN; \
             unset it and give the key of a user",
        ));
    }
    Ok(AccessKey {
        id: variable("AWS_ACCESS_KEY_ID")?,
        secret: variable("AWS_SECRET_ACCESS_KEY")?,
    })
}

fn random_text() -> Result<String, Fault> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|error| Fault::plain(format!("no randomness: {error}")))?;
    Ok(hex::encode(bytes))
}

struct Control {
    serving: datasync_control::Serving,
    access_key: AccessKey,
    api_addr: SocketAddr,
    agent_addr: SocketAddr,
    ca_pem_path: PathBuf,
}

async fn start_control(directory: &Path, shutdown: &CancellationToken) -> Result<Control, Fault> {
    let fault = |error: Box<dyn std::error::Error + Send + Sync>| Fault::new("control", error);
    let mut config = datasync_control::Config::new(directory.join("control"))
        .map_err(|error| fault(error.into()))?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.api_listen = any_port;
    config.agent_listen = any_port;
    config.api_security = datasync_control::ApiSecurity::Plain;
    let serving = datasync_control::serve(config.clone(), shutdown.clone())
        .await
        .map_err(|error| fault(error.into()))?;
    let access = datasync_control::Access::Full;
    let name = Some("quickstart".to_owned());
    let key = datasync_control::create_access_key(&config.state_dir, name, access)
        .await
        .map_err(|error| fault(error.into()))?;
    println!(
        "Control at http://{}, for agents at {}",
        serving.api_addr, serving.agent_addr
    );
    Ok(Control {
        access_key: AccessKey {
            id: key.access_key_id.clone(),
            secret: key.secret_access_key.to_string(),
        },
        api_addr: serving.api_addr,
        agent_addr: serving.agent_addr,
        ca_pem_path: serving.ca_pem_path.clone(),
        serving,
    })
}

fn write_neighbour(directory: &Path, neighbour: &Neighbour) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(neighbour)
        .map_err(|error| Fault::new("a description of the quickstart", error))?;
    std::fs::write(directory.join(NEIGHBOUR_FILE), text)
        .map_err(|error| Fault::new("a description of the quickstart", error))
}

/// Starts an agent that waits for its activation on a port of its own.
pub(crate) fn start_agent(
    neighbour: &Neighbour,
    state_dir: &Path,
    servers: &mut JoinSet<Result<(), Fault>>,
    shutdown: &CancellationToken,
) -> Result<watch::Receiver<Phase>, Fault> {
    let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::new("the agent's configuration", error)
    };
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let flags = Overrides::default()
        .set("state_dir", Some(text(state_dir)))
        .and_then(|flags| flags.set("control", Some(neighbour.control.to_string())))
        .and_then(|flags| flags.set("control_ca", Some(text(&neighbour.control_ca))))
        .and_then(|flags| flags.set("activation_listen", Some("127.0.0.1:0")))
        .map_err(|error| fault(error.into()))?;
    let config = Layers::read(None, [], flags)
        .map_err(|error| fault(error.into()))?
        .validate()
        .map_err(|error| fault(error.into()))?;
    let (phase, phases) = watch::channel(Phase::Starting);
    let shutdown = shutdown.clone();
    servers.spawn(async move {
        datasync_agent::run_observed(config, phase, shutdown)
            .await
            .map_err(|error| Fault::new("the agent", error))
    });
    Ok(phases)
}

/// Waits for the agent's activation port.
pub(crate) async fn activation_address(
    phases: &mut watch::Receiver<Phase>,
) -> Result<SocketAddr, Fault> {
    let waiting =
        phases.wait_for(|phase| matches!(phase, Phase::AwaitingActivation { .. } | Phase::Stopped));
    match timeout(PATIENCE, waiting).await {
        Ok(Ok(phase)) => match &*phase {
            Phase::AwaitingActivation { address } => Ok(*address),
            _ => Err(Fault::plain(
                "the agent stopped before it could be activated",
            )),
        },
        Ok(Err(_)) => Err(Fault::plain("the agent ended before it could be activated")),
        Err(_) => Err(Fault::plain("the agent does not open its activation port")),
    }
}

async fn activate(phases: &mut watch::Receiver<Phase>, api: &Client) -> Result<String, Fault> {
    let address = activation_address(phases).await?;
    let key = client::activation_key(address, REGION).await?;
    let created = api
        .create_agent()
        .activation_key(key)
        .agent_name("quickstart")
        .send()
        .await
        .map_err(|error| Fault::new("CreateAgent", error.into_service_error()))?;
    let active = phases.wait_for(|phase| matches!(phase, Phase::Active { .. }));
    match timeout(PATIENCE, active).await {
        Ok(Ok(_)) => Ok(created.agent_arn().unwrap_or_default().to_owned()),
        _ => Err(Fault::plain("the agent does not become active")),
    }
}
