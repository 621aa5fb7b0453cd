//! Enrollment: how a machine without a certificate becomes an agent, and how an agent gets its
//! next certificate. Callers are strangers: everything is bounded and paced.

mod keys;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datasync_model::{ActivationKey, AgentArn, Home};
use datasync_proto::enrollment_server::Enrollment;
use datasync_proto::{
    Activated, AwaitActivationRequest, AwaitActivationResponse, ClaimActivationKeyRequest,
    ClaimActivationKeyResponse, RenewCertificateRequest, RenewCertificateResponse,
    RequestActivationKeyRequest, RequestActivationKeyResponse,
};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::agent_port::{Bucket, Peer, Rates, source};
use crate::ca::{Authorities, AuthoritiesError, CaError, IssuedToAgent, PublicKey};
use crate::store::Store;

use keys::{Claimant, Waiting};
pub(crate) use keys::{EnrollmentError, NewKey, Origin, agent_with_key, issue};

/// The longest that AwaitActivation waits.
const AWAIT_MAX: Duration = Duration::from_secs(30);
/// AwaitActivation calls that wait at a time.
const WAITING_MAX: usize = 512;
const VERSION_LENGTH_MAX: usize = 256;
/// Calls from one address: keys and certificates are asked for seldom.
const CALLS: Bucket = Bucket {
    burst: 60,
    interval: Duration::from_secs(2),
};

/// The gRPC service for machines without a certificate.
#[derive(Debug)]
pub(crate) struct EnrollmentService {
    store: Store,
    authorities: Arc<Authorities>,
    home: Home,
    certificate_lifetime: Duration,
    rates: Mutex<Rates>,
    waiting: Semaphore,
    shutdown: CancellationToken,
}

impl EnrollmentService {
    pub(crate) fn new(
        store: Store,
        authorities: Arc<Authorities>,
        home: Home,
        certificate_lifetime: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            store,
            authorities,
            home,
            certificate_lifetime,
            rates: Mutex::new(Rates::new(CALLS)),
            waiting: Semaphore::new(WAITING_MAX),
            shutdown,
        }
    }

    /// Where the call comes from, if it may go on.
    fn pace<T>(&self, request: &Request<T>) -> Result<SocketAddr, Status> {
        let peer = request
            .extensions()
            .get::<Peer>()
            .ok_or_else(|| Status::internal("a call without a connection"))?;
        let allowed = self
            .rates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(peer.address.ip(), tokio::time::Instant::now().into_std());
        if allowed {
            Ok(peer.address)
        } else {
            Err(Status::resource_exhausted(
                "too many calls from this address: wait a few seconds",
            ))
        }
    }

    /// What it is, is read from the rows: another control may have begun to replace the CA.
    async fn certify(&self, agent: &AgentArn, key: &PublicKey) -> Result<IssuedToAgent, Status> {
        let now = Timestamp::now();
        let certified = async {
            let trusted = self.authorities.look(now).await?;
            let issued = trusted.issue_agent(agent, key, now, self.certificate_lifetime)?;
            keys::remember(&self.store, issued.record.clone()).await?;
            Ok::<_, AuthoritiesError>(issued)
        };
        let issued = certified.await.map_err(|error| {
            tracing::error!(%agent, %error, "a certificate cannot be issued");
            Status::internal("the certificate cannot be issued: see control's log")
        })?;
        tracing::info!(%agent, key = key.fingerprint(), event = "certificate.issued", "certificate issued");
        Ok(issued)
    }

    async fn wait(&self, ticket: &[u8]) -> Result<Option<Activated>, Status> {
        let mut changes = self.store.changes();
        let end = tokio::time::Instant::now() + AWAIT_MAX;
        loop {
            changes.mark_unchanged();
            match keys::waiting(&self.store, ticket, Timestamp::now()).await? {
                Waiting::Activated { agent, key } => {
                    let issued = self.certify(&agent, &key).await?;
                    return Ok(Some(Activated {
                        agent_arn: agent.to_string(),
                        certificate_chain: issued.chain_pem,
                        trust_anchors: issued.anchors_pem,
                    }));
                }
                Waiting::NotYet => {}
            }
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(None),
                () = self.shutdown.cancelled() => {
                    return Err(Status::unavailable("control is stopping"));
                }
                changed = changes.changed() => if changed.is_err() {
                    return Err(Status::unavailable("control is stopping"));
                },
            }
        }
    }
}

impl From<EnrollmentError> for Status {
    fn from(error: EnrollmentError) -> Self {
        let text = error.to_string();
        match error {
            EnrollmentError::NoSuchKey | EnrollmentError::NoSuchTicket => Self::not_found(text),
            EnrollmentError::Taken | EnrollmentError::AlreadyAgent(_) => Self::already_exists(text),
            EnrollmentError::NoSuchAgent => Self::permission_denied(text),
            EnrollmentError::TooMany | EnrollmentError::TooManyFromSource => {
                Self::resource_exhausted(text)
            }
            EnrollmentError::Request(_) => Self::invalid_argument(text),
            EnrollmentError::Random => Self::internal(text),
            EnrollmentError::Store(source) => {
                tracing::error!(error = %source, "enrollment cannot use the store");
                Self::unavailable("control's store cannot be used: try again later")
            }
        }
    }
}

fn public_key(der: &[u8]) -> Result<PublicKey, Status> {
    PublicKey::of_request(der).map_err(|error: CaError| Status::invalid_argument(error.to_string()))
}

fn version(text: &str) -> Result<String, Status> {
    if text.len() > VERSION_LENGTH_MAX {
        return Err(Status::invalid_argument("agent_version: too long"));
    }
    Ok(text.to_owned())
}

#[tonic::async_trait]
impl Enrollment for EnrollmentService {
    async fn request_activation_key(
        &self,
        request: Request<RequestActivationKeyRequest>,
    ) -> Result<Response<RequestActivationKeyResponse>, Status> {
        let from = source(self.pace(&request)?.ip());
        let request = request.into_inner();
        let region = self.home.region.as_str();
        if !request.activation_region.is_empty() && request.activation_region != region {
            return Err(Status::failed_precondition(format!(
                "this control plane serves region {region}, not {:?}",
                request.activation_region
            )));
        }
        let claimant = Claimant::new(
            public_key(&request.certificate_request)?,
            request.certificate_request,
            version(&request.agent_version)?,
        )?;
        let ticket = claimant.ticket();
        let NewKey { key, expires } =
            keys::request(&self.store, claimant, from, Timestamp::now()).await?;
        Ok(Response::new(RequestActivationKeyResponse {
            activation_key: key.reveal().to_owned(),
            expires_at_seconds: expires.as_second(),
            ticket,
        }))
    }

    async fn claim_activation_key(
        &self,
        request: Request<ClaimActivationKeyRequest>,
    ) -> Result<Response<ClaimActivationKeyResponse>, Status> {
        self.pace(&request)?;
        let request = request.into_inner();
        let key: ActivationKey = request
            .activation_key
            .parse()
            .map_err(|error| Status::invalid_argument(format!("activation_key: {error}")))?;
        let claimant = Claimant::new(
            public_key(&request.certificate_request)?,
            request.certificate_request,
            version(&request.agent_version)?,
        )?;
        let ticket = claimant.ticket();
        keys::claim(&self.store, &key, claimant, &self.home, Timestamp::now()).await?;
        Ok(Response::new(ClaimActivationKeyResponse { ticket }))
    }

    async fn await_activation(
        &self,
        request: Request<AwaitActivationRequest>,
    ) -> Result<Response<AwaitActivationResponse>, Status> {
        self.pace(&request)?;
        let _place = self
            .waiting
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("too many machines wait: try again later"))?;
        let activated = self.wait(&request.into_inner().ticket).await?;
        Ok(Response::new(AwaitActivationResponse { activated }))
    }

    async fn renew_certificate(
        &self,
        request: Request<RenewCertificateRequest>,
    ) -> Result<Response<RenewCertificateResponse>, Status> {
        self.pace(&request)?;
        let key = public_key(&request.into_inner().certificate_request)?;
        let agent = keys::agent_of(&self.store, &key).await?;
        let issued = self.certify(&agent, &key).await?;
        Ok(Response::new(RenewCertificateResponse {
            certificate_chain: issued.chain_pem,
            trust_anchors: issued.anchors_pem,
        }))
    }
}
