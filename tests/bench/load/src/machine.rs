//! One agent as control sees it: it is activated, holds a session and says that it lives. It finds
//! every location usable, and every execution done as soon as it hears of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datasync_model::{Counters, ExecutionReport, ExecutionResult, ExecutionStatus, Telemetry};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::enrollment_client::EnrollmentClient;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{
    AgentMessage, AwaitActivationRequest, ControlMessage, DesiredState, ExecutionObserved,
    Heartbeat, Hello, LocationProbed, RequestActivationKeyRequest,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::Failed;
use crate::api::Api;

/// For each step of the way to a session.
const PATIENCE: Duration = Duration::from_secs(30);
/// Control is away while its store is filled.
const ABSENCE: Duration = Duration::from_secs(600);
/// Before it connects again.
const PAUSE: Duration = Duration::from_millis(500);
const VERSION: &str = "bench-load";
const MESSAGES: usize = 16;

/// A machine that was activated.
pub(crate) struct Machine {
    door: Door,
    chain: String,
    key_pem: String,
    boot_nonce: String,
}

/// Where the machine connects, and from where.
struct Door {
    control: SocketAddr,
    trust: String,
    local: IpAddr,
}

/// A session that control has welcomed.
struct Session {
    up: mpsc::Sender<AgentMessage>,
    down: Streaming<ControlMessage>,
    every: Duration,
}

impl Door {
    async fn connect(&self, identity: Option<Identity>) -> Result<Channel, Failed> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.trust))
            .domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.control))?
            .connect_timeout(PATIENCE)
            .local_address(Some(self.local))
            .tls_config(tls)?;
        Ok(endpoint.connect().await?)
    }
}

impl Machine {
    /// Each comes from an address of its own of 127.0.0.0/8: control paces strangers by address.
    pub(crate) async fn activated(
        api: &Api,
        control: SocketAddr,
        trust: &str,
        number: u32,
    ) -> Result<Self, Failed> {
        let local = u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number;
        let door = Door {
            control,
            trust: trust.to_owned(),
            local: IpAddr::V4(Ipv4Addr::from(local)),
        };
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        let mut enrollment = EnrollmentClient::new(door.connect(None).await?);
        let asked = RequestActivationKeyRequest {
            certificate_request: request.der().to_vec(),
            activation_region: "us-east-1".to_owned(),
            agent_version: VERSION.to_owned(),
        };
        let given = enrollment.request_activation_key(asked).await?.into_inner();
        let create = json!({
            "ActivationKey": given.activation_key,
            "AgentName": format!("simulated {number}"),
        });
        let mut api = api.connect().await?;
        api.ask("CreateAgent", &create, "AgentArn").await?;
        let ticket = given.ticket;
        let awaited = enrollment.await_activation(AwaitActivationRequest { ticket });
        let activated = awaited.await?.into_inner().activated;
        let activated = activated.ok_or("control did not activate the agent")?;
        Ok(Self {
            door,
            chain: activated.certificate_chain,
            key_pem: key.serialize_pem(),
            boot_nonce: format!("simulated-{number}"),
        })
    }

    /// Holds a session, and connects again where control has gone away for a while. The first
    /// heartbeat comes after `offset` of the interval; `connected` is told of the first Welcome.
    ///
    /// # Errors
    /// Why no session can be had any more.
    pub(crate) async fn live(
        self,
        offset: f64,
        beats: Arc<AtomicU64>,
        connected: mpsc::Sender<()>,
    ) -> Result<(), Failed> {
        let mut since = Instant::now();
        let mut connected = Some(connected);
        loop {
            let ended = match self.attach().await {
                Ok(session) => {
                    drop(connected.take());
                    let ended = session.serve(offset, &beats).await;
                    since = Instant::now();
                    ended
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended
                && since.elapsed() > ABSENCE
            {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Connects and says Hello.
    async fn attach(&self) -> Result<Session, Failed> {
        let identity = Identity::from_pem(&self.chain, &self.key_pem);
        let channel = self.door.connect(Some(identity)).await?;
        let (up, messages) = mpsc::channel(MESSAGES);
        let hello = Up::Hello(Hello {
            agent_version: VERSION.to_owned(),
            boot_nonce: self.boot_nonce.clone(),
            applied: None,
            abilities: Vec::new(),
        });
        send(&up, hello).await?;
        let mut client = SessionClient::new(channel);
        let attached = client.attach(ReceiverStream::new(messages)).await?;
        let mut down = attached.into_inner();
        let first = tokio::time::timeout(PATIENCE, down.message()).await??;
        match first.and_then(|message| message.message) {
            Some(Down::Welcome(welcome)) => Ok(Session {
                up,
                down,
                every: Duration::from_secs(u64::from(welcome.heartbeat_interval_seconds.max(1))),
            }),
            _ => Err("control did not welcome the agent".into()),
        }
    }
}

impl Session {
    /// Reports in the interval that control asked for until control ends the session.
    async fn serve(mut self, offset: f64, beats: &AtomicU64) -> Result<(), Failed> {
        let first = Instant::now() + self.every.mul_f64(offset);
        let mut ticks = interval_at(first, self.every);
        let began = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let status = "ONLINE".to_owned();
                    let sent_milliseconds = u64::try_from(began.elapsed().as_millis())?;
                    let heartbeat = Heartbeat { status, host: None, sent_milliseconds, update: None };
                    send(&self.up, Up::Heartbeat(heartbeat)).await?;
                }
                message = self.down.message() => match message?.and_then(|m| m.message) {
                    Some(Down::HeartbeatAck(_)) => {
                        beats.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(Down::Desired(desired)) => self.obey(desired).await?,
                    Some(_) => {}
                    None => return Err("control ended a session".into()),
                },
            }
        }
    }

    async fn obey(&self, desired: DesiredState) -> Result<(), Failed> {
        for probe in desired.probes {
            let probed = LocationProbed::new(probe.probe_id, Ok(()));
            send(&self.up, Up::Probed(probed)).await?;
        }
        for execution in desired.executions {
            let epoch = execution.epoch;
            let done = ExecutionReport {
                execution: execution.spec()?.execution,
                status: ExecutionStatus::Success,
                counters: Counters::default(),
                result: ExecutionResult::default(),
                telemetry: Telemetry::default(),
            };
            send(
                &self.up,
                Up::Execution(ExecutionObserved::new(&done, epoch)),
            )
            .await?;
        }
        Ok(())
    }
}

async fn send(up: &mpsc::Sender<AgentMessage>, message: Up) -> Result<(), Failed> {
    let message = AgentMessage {
        message: Some(message),
    };
    up.send(message)
        .await
        .map_err(|_| "a session is gone".into())
}
