//! One agent under test, and raw HTTP towards it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datasync_agent::{Config, Ending, Layers, Overrides, Phase, RunError, Running, run_updatable};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::capture;
use crate::control::FakeControl;

/// Far more than anything takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Agent {
    scratch: Arc<TempDir>,
    pub(crate) phase: watch::Receiver<Phase>,
    shutdown: CancellationToken,
    task: JoinSet<Result<Ending, RunError>>,
    config: Config,
}

/// A configuration for `control`; `change` adds to it or replaces.
pub(crate) fn config(control: SocketAddr, state_dir: &Path, change: &[(&str, String)]) -> Config {
    let base = [
        ("control", control.to_string()),
        ("activation_listen", "127.0.0.1:0".to_owned()),
        ("state_dir", state_dir.display().to_string()),
        ("name", "agent under test".to_owned()),
    ];
    let overrides = base
        .iter()
        .chain(change)
        .fold(Overrides::default(), |overrides, (member, value)| {
            overrides.set(member, Some(value.as_str())).unwrap()
        });
    Layers::read(None, [], overrides)
        .unwrap()
        .validate()
        .unwrap()
}

impl Agent {
    pub(crate) fn start(control: &FakeControl) -> Self {
        Self::start_with(control, &[])
    }

    pub(crate) fn start_with(control: &FakeControl, change: &[(&str, String)]) -> Self {
        let mut all = vec![("control_ca", control.ca_file().display().to_string())];
        all.extend_from_slice(change);
        Self::start_trusting(control, &all)
    }

    /// Without the fake's CA.
    pub(crate) fn start_trusting(control: &FakeControl, change: &[(&str, String)]) -> Self {
        capture::log();
        let scratch = Arc::new(tempfile::tempdir().unwrap());
        let config = config(control.address(), &scratch.path().join("state"), change);
        Self::spawn(scratch, config, Running::embedded())
    }

    fn spawn(scratch: Arc<TempDir>, config: Config, running: Running) -> Self {
        let shutdown = CancellationToken::new();
        let sender = watch::Sender::new(Phase::Starting);
        let phase = sender.subscribe();
        let mut task = JoinSet::new();
        let agent = run_updatable(
            config.clone(),
            running,
            sender,
            Arc::default(),
            shutdown.clone(),
        );
        task.spawn(agent);
        Self {
            scratch,
            phase,
            shutdown,
            task,
            config,
        }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// Waits until the activation port is open.
    pub(crate) async fn activation_address(&mut self) -> SocketAddr {
        let is_open = |phase: &Phase| matches!(phase, Phase::AwaitingActivation { .. });
        let waited = tokio::time::timeout(PATIENCE, self.phase.wait_for(is_open));
        match &*waited.await.expect("the port opens").unwrap() {
            Phase::AwaitingActivation { address } => *address,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn active(&mut self) {
        let is_active = |phase: &Phase| matches!(phase, Phase::Active { .. });
        let waited = tokio::time::timeout(PATIENCE, self.phase.wait_for(is_active));
        waited.await.expect("the agent becomes active").unwrap();
    }

    /// Activates over HTTP.
    pub(crate) async fn activate(&mut self, control: &FakeControl) {
        let address = self.activation_address().await;
        let reply = get(
            address,
            "/?gatewayType=SYNC&activationRegion=us-east-1&no_redirect",
        )
        .await;
        control.create_agent(&reply.body);
        self.active().await;
    }

    /// Stops cleanly.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        assert_eq!(self.ended().await, Ending::Stopped);
    }

    /// Waits until it ends by itself, so that another release begins.
    pub(crate) async fn ends_to_restart(&mut self) {
        assert_eq!(self.ended().await, Ending::Restart);
    }

    async fn ended(&mut self) -> Ending {
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next());
        let ended = ended.await.expect("the agent ends").unwrap();
        ended.unwrap().unwrap()
    }

    /// The next process, on the same state.
    pub(crate) fn start_again(self, running: Running) -> Self {
        Self::spawn(Arc::clone(&self.scratch), self.config.clone(), running)
    }

    /// Stops cleanly and starts again on the same state.
    pub(crate) async fn restart(mut self) -> Self {
        self.stop().await;
        self.start_again(Running::embedded())
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Reply {
    /// A member of the redirect's query.
    pub(crate) fn redirected(&self, name: &str) -> Option<String> {
        let (_, query) = self.location.as_ref()?.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }
}

/// One request as curl would send it, byte by byte ours.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        location: header("location"),
        body: body.to_owned(),
    }
}
