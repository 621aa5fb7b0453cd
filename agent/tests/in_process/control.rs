//! A control plane that does what a test says.

mod certificates;
mod services;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as ToAgent;
use datasync_proto::enrollment_server::EnrollmentServer;
use datasync_proto::session_server::SessionServer;
use datasync_proto::{
    Activated, ControlMessage, DesiredExecution, DesiredProbe, DesiredRelease, DesiredState,
    Generation, Message,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::agent::PATIENCE;
pub(crate) use certificates::Authority;
use services::Services;

pub(crate) const ARN: &str =
    "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";

/// One key that was asked for or issued.
#[derive(Default)]
struct Enrolled {
    certificate_request: Vec<u8>,
    activated: Option<Activated>,
    claimable: bool,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, Enrolled>,
    /// Messages of all sessions, in order.
    received: Vec<FromAgent>,
    sessions: usize,
    renewals: usize,
    /// The key pair of the agent that was created last.
    member: Option<Vec<u8>>,
    /// The certificate that the agent showed last.
    peer: Vec<u8>,
    to_agent: Option<mpsc::Sender<ControlMessage>>,
    /// Certificates are issued as if most of their life were over.
    issue_old: bool,
    /// What RenewCertificate answers instead of a certificate.
    renewal_refused: Option<Code>,
    /// Every session begins with the wish for a renewal.
    asks_to_renew: bool,
    /// Renewals that were refused.
    refusals: usize,
    /// What FetchRelease gives.
    bundle: Option<Vec<u8>>,
    fetches: usize,
    /// The last request of each call, encoded.
    asked: BTreeMap<&'static str, Vec<u8>>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    authority: Authority,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn touch(&self) {
        self.changed.send_replace(());
    }

    fn asked(&self, call: &'static str, request: &impl Message) {
        self.state().asked.insert(call, request.encode_to_vec());
        self.touch();
    }
}

pub(crate) struct FakeControl {
    pub(crate) shared: Arc<Shared>,
    address: SocketAddr,
    scratch: TempDir,
    running: Option<(CancellationToken, JoinSet<()>)>,
}

impl FakeControl {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            authority: Authority::new(),
        });
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("ca.pem"), shared.authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut control = Self {
            shared,
            address: listener.local_addr().unwrap(),
            scratch,
            running: None,
        };
        control.serve(listener);
        control
    }

    fn serve(&mut self, listener: TcpListener) {
        let (chain, key) = self.shared.authority.server();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(chain, key))
            .client_ca_root(Certificate::from_pem(self.shared.authority.pem()))
            .client_auth_optional(true);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut task = JoinSet::new();
        let enrollment = EnrollmentServer::new(Services(Arc::clone(&self.shared)));
        let session = SessionServer::new(Services(Arc::clone(&self.shared)));
        task.spawn(async move {
            Server::builder()
                .tls_config(tls)
                .unwrap()
                .add_service(enrollment)
                .add_service(session)
                .serve_with_incoming_shutdown(
                    TcpIncoming::from(listener),
                    stopped.cancelled_owned(),
                )
                .await
                .unwrap();
        });
        self.running = Some((stop, task));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("ca.pem")
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// Goes away; sessions break.
    pub(crate) async fn stop(&mut self) {
        self.shared.state().to_agent = None;
        if let Some((stop, mut task)) = self.running.take() {
            stop.cancel();
            let ended = tokio::time::timeout(PATIENCE, task.join_next());
            ended.await.expect("the fake stops").unwrap().unwrap();
        }
    }

    /// Comes back at the same address with the same memory.
    pub(crate) async fn come_back(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.serve(listener);
    }

    /// Issues a key beforehand.
    pub(crate) fn issue_key(&self, key: &str) {
        let enrolled = Enrolled {
            claimable: true,
            ..Enrolled::default()
        };
        self.shared.state().keys.insert(key.to_owned(), enrolled);
    }

    /// Waits until the agent has claimed a key that was issued beforehand.
    pub(crate) async fn until_claimed(&self, key: &str) {
        let mut changed = self.shared.changed.subscribe();
        let is_claimed = || !self.shared.state().keys[key].claimable;
        let claimed = async {
            while !is_claimed() {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, claimed)
            .await
            .expect("the claim");
    }

    /// CreateAgent.
    pub(crate) fn create_agent(&self, key: &str) {
        let mut state = self.shared.state();
        let old = state.issue_old;
        let enrolled = state.keys.get_mut(key).expect("a key that was handed out");
        let chain = self
            .shared
            .authority
            .sign(&enrolled.certificate_request, ARN, old);
        enrolled.activated = Some(Activated {
            agent_arn: ARN.to_owned(),
            certificate_chain: chain,
            trust_anchors: self.shared.authority.pem(),
        });
        let member = certificates::key_of(&enrolled.certificate_request);
        state.member = Some(member);
        drop(state);
        self.shared.touch();
    }

    pub(crate) fn issue_old_certificates(&self, old: bool) {
        self.shared.state().issue_old = old;
    }

    /// CreateAgent, with a key whose ticket nobody waits with any more.
    pub(crate) fn create_agent_unnoticed(&self, key: &str) {
        let mut state = self.shared.state();
        let enrolled = state.keys.remove(key).expect("a key that was handed out");
        state.member = Some(certificates::key_of(&enrolled.certificate_request));
    }

    pub(crate) fn refuse_renewals(&self, code: Code) {
        self.shared.state().renewal_refused = Some(code);
    }

    /// From now on every session begins with the wish for a renewal.
    pub(crate) fn ask_to_renew(&self) {
        self.shared.state().asks_to_renew = true;
    }

    /// The bundle that agents can fetch from now on.
    pub(crate) fn offer(&self, bundle: Vec<u8>) {
        self.shared.state().bundle = Some(bundle);
    }

    /// How often one was fetched.
    pub(crate) fn fetches(&self) -> usize {
        self.shared.state().fetches
    }

    pub(crate) async fn desire_release(&self, generation: u64, release: Option<DesiredRelease>) {
        let generation = Some(Generation {
            incarnation: "i".to_owned(),
            generation,
        });
        self.say(ToAgent::Desired(DesiredState {
            generation,
            release,
            ..DesiredState::default()
        }))
        .await;
    }

    /// Waits until this call was made; answers its request, encoded.
    pub(crate) async fn until_asked(&self, call: &str) -> Vec<u8> {
        let mut changed = self.shared.changed.subscribe();
        let asked = async {
            loop {
                changed.mark_unchanged();
                if let Some(request) = self.shared.state().asked.get(call) {
                    return request.clone();
                }
                changed.changed().await.unwrap();
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or_else(|_| panic!("{call} was never called"))
    }

    pub(crate) fn refusals(&self) -> usize {
        self.shared.state().refusals
    }

    pub(crate) fn sessions(&self) -> usize {
        self.shared.state().sessions
    }

    pub(crate) fn renewals(&self) -> usize {
        self.shared.state().renewals
    }

    pub(crate) fn peer(&self) -> Vec<u8> {
        self.shared.state().peer.clone()
    }

    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        let state = self.shared.state();
        let requests = state.keys.values().map(|key| &key.certificate_request);
        requests.cloned().collect()
    }

    pub(crate) fn forget_received(&self) {
        self.shared.state().received.clear();
    }

    /// Waits until `find` finds something in the state.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        mut find: impl FnMut(&[FromAgent]) -> Option<T>,
    ) -> T {
        let mut changed = self.shared.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = find(&self.shared.state().received) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        })
        .await;
        waited.unwrap_or_else(|_| panic!("{what}; got {:?}", self.shared.state().received))
    }

    /// Waits until `count` sessions were opened in all.
    pub(crate) async fn until_sessions(&self, count: usize) {
        let shared = Arc::clone(&self.shared);
        let mut changed = shared.changed.subscribe();
        let opened = async {
            while self.sessions() < count || self.shared.state().to_agent.is_none() {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, opened)
            .await
            .expect("a session");
    }

    pub(crate) async fn say(&self, message: ToAgent) {
        self.send(Some(message)).await;
    }

    /// A message of a kind that the agent does not know.
    pub(crate) async fn say_nothing(&self) {
        self.send(None).await;
    }

    async fn send(&self, message: Option<ToAgent>) {
        let sender = self.shared.state().to_agent.clone().expect("a session");
        sender.send(ControlMessage { message }).await.unwrap();
    }

    pub(crate) async fn desire(
        &self,
        incarnation: &str,
        generation: u64,
        executions: Vec<DesiredExecution>,
        probes: Vec<DesiredProbe>,
    ) {
        let generation = Some(Generation {
            incarnation: incarnation.to_owned(),
            generation,
        });
        self.say(ToAgent::Desired(DesiredState {
            generation,
            executions,
            probes,
            release: None,
        }))
        .await;
    }
}
