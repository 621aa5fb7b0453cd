//! Control's agent side on an ephemeral port, and a machine that talks to it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{ActivationKey, AgentArn, AgentStatus, UniqueId};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::enrollment_client::EnrollmentClient;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{
    Activated, AgentMessage, AwaitActivationRequest, Credentials, DesiredState, Generation,
    Heartbeat, Hello, RequestActivationKeyRequest, RequestActivationKeyResponse,
};
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Status, Streaming};

use crate::agent_side::AgentSide;
use crate::ca::Authorities;
use crate::config::Config;
use crate::credentials::CredentialService;
use crate::records::{ActivationKeyRecord, Agent, AgentPresence, Tags, hash_of};
use crate::served_certificate::{ServedCertificate, Source};
use crate::state::State;
use crate::store::{Store, StoreError};

/// Bound on every wait of these tests: reached only when something is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Control {
    pub(super) store: Store,
    pub(super) state: State,
    pub(super) authorities: Arc<Authorities>,
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Control {
    pub(super) async fn start(directory: &Path) -> Self {
        Self::with(directory, |_| {}).await
    }

    pub(super) async fn with(directory: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(directory).unwrap();
        config.heartbeat_interval = Duration::from_secs(1);
        change(&mut config);
        let state = State::open(config.state_place(), Timestamp::now()).unwrap();
        let credentials = CredentialService::new(
            state.store.clone(),
            state.sealer.clone(),
            config.roles.clone(),
            config.home.clone(),
        );
        let key = aws_credential_types::Credentials::new("base", "base", None, None, "test");
        let credentials = Arc::new(credentials.with_key(key).await);
        let shutdown = CancellationToken::new();
        let authorities = state.authorities(Timestamp::now()).await.unwrap();
        let source = Source::OwnCa {
            authorities: authorities.clone(),
            names: config.server_names.clone(),
        };
        let certificate = ServedCertificate::load(source, Timestamp::now()).unwrap();
        let (trusted, stop) = (authorities.clone(), shutdown.clone());
        let side = AgentSide::new(&config, &state, trusted, credentials, certificate, stop)
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { side.run(listener).await.unwrap() });
        Self {
            store: state.store.clone(),
            state,
            authorities,
            address,
            shutdown,
            tasks,
        }
    }

    pub(super) async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = tokio::time::timeout(PATIENCE, self.tasks.join_next())
            .await
            .expect("control stops")
        {
            ended.unwrap();
        }
    }

    pub(super) fn trust(&self) -> String {
        self.state.authority.pem().to_owned()
    }

    pub(super) async fn status(&self, agent: &AgentArn) -> Option<AgentStatus> {
        let id = agent.id().to_owned();
        let row = self
            .store
            .read(move |rows| rows.get::<AgentPresence>(&id))
            .await
            .unwrap();
        row.map(|row| row.record.reported)
    }

    pub(super) async fn until_status(&self, agent: &AgentArn, wanted: AgentStatus) {
        let mut changes = self.store.changes();
        let wait = async {
            while self.status(agent).await != Some(wanted) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{agent} never became {wanted}"));
    }

    /// What CreateAgent does with a key.
    pub(super) async fn create_agent(&self, key: &str) -> Option<AgentArn> {
        let hash = hash_of(&key.parse::<ActivationKey>().unwrap());
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let home = Config::new("/unused").unwrap().home;
        let arn = AgentArn::new(&home, UniqueId::from_random(random));
        self.store
            .commit(move |rows| {
                let row = rows.get::<ActivationKeyRecord>(&hash)?;
                let now_ms = Timestamp::now().as_millisecond();
                let Some(mut row) = row.filter(|row| row.record.is_live(now_ms)) else {
                    return Ok::<_, StoreError>(None);
                };
                row.record.consumed_by = Some(arn.clone());
                let claim = row.record.claim.as_ref();
                rows.insert(&Agent {
                    arn: arn.clone(),
                    name: None,
                    created_at_ms: now_ms,
                    public_key_fingerprint: claim.map(|c| c.public_key_fingerprint.clone()),
                    tags: Tags::new(),
                })?;
                rows.update(&row)?;
                Ok(Some(arn))
            })
            .await
            .unwrap()
    }

    pub(super) async fn delete_agent(&self, agent: &AgentArn) {
        let id = agent.id().to_owned();
        self.store
            .commit(move |rows| {
                let row = rows.get::<Agent>(&id)?.unwrap();
                rows.delete::<Agent>(&id, row.version)
            })
            .await
            .unwrap();
    }

    /// A machine that went all the way to its certificate.
    pub(super) async fn activated(&self) -> (Machine, AgentArn) {
        let mut machine = Machine::new(self);
        let key = machine.request_key().await.unwrap();
        let agent = self.create_agent(&key.activation_key).await.unwrap();
        let activated = machine
            .await_activation(&key.ticket)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(activated.agent_arn, agent.to_string());
        machine.certificate = Some(activated.certificate_chain);
        (machine, agent)
    }
}

pub(super) struct Machine {
    pub(super) address: SocketAddr,
    pub(super) key: KeyPair,
    pub(super) trust: String,
    pub(super) certificate: Option<String>,
    /// The address that the machine connects from, if not the system's choice.
    pub(super) local: Option<IpAddr>,
    /// What it says that it can do.
    pub(super) abilities: Vec<String>,
}

impl Machine {
    pub(super) fn new(control: &Control) -> Self {
        Self {
            address: control.address,
            key: KeyPair::generate().unwrap(),
            trust: control.trust(),
            certificate: None,
            local: None,
            abilities: Vec::new(),
        }
    }

    pub(super) fn certificate_request(&self) -> Vec<u8> {
        let request = CertificateParams::default().serialize_request(&self.key);
        request.unwrap().der().to_vec()
    }

    pub(super) async fn connect(
        &self,
        with_certificate: bool,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.trust))
            .domain_name("localhost");
        if with_certificate {
            let chain = self.certificate.as_ref().unwrap();
            tls = tls.identity(Identity::from_pem(chain, self.key.serialize_pem()));
        }
        Endpoint::from_shared(format!("https://{}", self.address))
            .unwrap()
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE * 2)
            .local_address(self.local)
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
    }

    pub(super) async fn enrollment(&self) -> EnrollmentClient<Channel> {
        EnrollmentClient::new(self.connect(false).await.unwrap())
    }

    pub(super) async fn request_key(&self) -> Result<RequestActivationKeyResponse, Status> {
        let request = RequestActivationKeyRequest {
            certificate_request: self.certificate_request(),
            activation_region: "us-east-1".to_owned(),
            agent_version: "test".to_owned(),
        };
        let mut client = self.enrollment().await;
        let answer = client.request_activation_key(request).await?;
        Ok(answer.into_inner())
    }

    pub(super) async fn await_activation(
        &self,
        ticket: &[u8],
    ) -> Result<Option<Activated>, Status> {
        let request = AwaitActivationRequest {
            ticket: ticket.to_vec(),
        };
        let answer = self.enrollment().await.await_activation(request).await?;
        Ok(answer.into_inner().activated)
    }

    /// Opens a session and says Hello; the Welcome has been received.
    pub(super) async fn attach(&self, boot_nonce: &str) -> Result<Attached, Status> {
        self.attach_applied(boot_nonce, None).await
    }

    /// Like [`Self::attach`], as an agent that works by `applied`.
    pub(super) async fn attach_applied(
        &self,
        boot_nonce: &str,
        applied: Option<Generation>,
    ) -> Result<Attached, Status> {
        let channel = self
            .connect(true)
            .await
            .map_err(|error| Status::unavailable(format!("{error:?}")))?;
        let abilities = self.abilities.clone();
        Attached::open(channel, (boot_nonce, abilities), applied).await
    }

    /// Attaches as soon as control lets this machine in.
    pub(super) async fn attach_patiently(&self, boot_nonce: &str) -> Attached {
        let attempts = async {
            loop {
                match self.attach(boot_nonce).await {
                    Ok(attached) => return attached,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, attempts)
            .await
            .expect("control lets the machine in")
    }
}

pub(super) struct Attached {
    up: mpsc::Sender<AgentMessage>,
    down: Streaming<datasync_proto::ControlMessage>,
    /// In the order in which they came.
    pub(super) credentials: Vec<Credentials>,
    /// All that control said.
    pub(super) heard: Vec<datasync_proto::ControlMessage>,
}

impl Attached {
    pub(super) async fn open(
        channel: Channel,
        (boot_nonce, abilities): (&str, Vec<String>),
        applied: Option<Generation>,
    ) -> Result<Self, Status> {
        let (up, messages) = mpsc::channel(16);
        let mut client = SessionClient::new(channel);
        let hello = Up::Hello(Hello {
            agent_version: "test".to_owned(),
            boot_nonce: boot_nonce.to_owned(),
            applied,
            abilities,
        });
        up.send(AgentMessage {
            message: Some(hello),
        })
        .await
        .unwrap();
        let down = client
            .attach(ReceiverStream::new(messages))
            .await?
            .into_inner();
        let mut attached = Self {
            up,
            down,
            credentials: Vec::new(),
            heard: Vec::new(),
        };
        match attached.next().await? {
            Some(Down::Welcome(welcome)) => {
                assert_eq!(welcome.heartbeat_interval_seconds, 1);
                Ok(attached)
            }
            other => panic!("{other:?} instead of Welcome"),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Down>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.down.message())
            .await
            .expect("control says something")?;
        self.heard.extend(message.clone());
        Ok(message.map(|message| message.message.unwrap()))
    }

    pub(super) async fn send(&self, message: Up) {
        self.up
            .send(AgentMessage {
                message: Some(message),
            })
            .await
            .unwrap();
    }

    pub(super) async fn heartbeat(&self, status: AgentStatus) {
        self.heartbeat_at(status, 0).await;
    }

    /// A heartbeat that was sent at this time of the agent's clock.
    pub(super) async fn heartbeat_at(&self, status: AgentStatus, sent_milliseconds: u64) {
        self.send(Up::Heartbeat(Heartbeat {
            status: status.to_string(),
            host: None,
            sent_milliseconds,
            update: None,
        }))
        .await;
    }

    /// The next desired state that fits.
    pub(super) async fn desired(&mut self, fits: impl Fn(&DesiredState) -> bool) -> DesiredState {
        loop {
            match self.next().await.unwrap() {
                Some(Down::Desired(desired)) if fits(&desired) => return desired,
                Some(Down::Credentials(credentials)) => self.credentials.push(credentials),
                Some(_) => {}
                None => panic!("the session ended"),
            }
        }
    }

    /// The next keys, or what control says in their place. The agent shows that it lives.
    pub(super) async fn next_credentials(&mut self) -> Credentials {
        loop {
            if let Some(Down::Credentials(credentials)) = self.next().await.unwrap() {
                return credentials;
            }
            self.heartbeat(AgentStatus::Online).await;
        }
    }

    /// The status with which control ends the session.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the session ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}
