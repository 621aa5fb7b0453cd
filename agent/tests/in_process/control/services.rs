//! The two gRPC services.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datasync_model::ActivationKey;
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as ToAgent;
use datasync_proto::enrollment_server::Enrollment;
use datasync_proto::session_server::Session;
use datasync_proto::{
    AgentMessage, AwaitActivationRequest, AwaitActivationResponse, ClaimActivationKeyRequest,
    ClaimActivationKeyResponse, ControlMessage, FetchReleaseRequest, ReleasePart, Renew,
    RenewCertificateRequest, RenewCertificateResponse, RequestActivationKeyRequest,
    RequestActivationKeyResponse, Welcome,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::certificates::key_of;
use super::{ARN, Enrolled, Shared};

/// How long AwaitActivation is held; control holds it for 30 s.
const HOLD: Duration = Duration::from_millis(500);

/// Both services, on the fake's state.
pub(super) struct Services(pub(super) Arc<Shared>);

impl Deref for Services {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

#[tonic::async_trait]
impl Enrollment for Services {
    async fn request_activation_key(
        &self,
        request: Request<RequestActivationKeyRequest>,
    ) -> Result<Response<RequestActivationKeyResponse>, Status> {
        self.asked("request_activation_key", request.get_ref());
        let request = request.into_inner().certificate_request;
        if self.state().member == Some(key_of(&request)) {
            return Err(Status::already_exists("the key pair belongs to an agent"));
        }
        let mut random = [0; 25];
        getrandom::fill(&mut random).unwrap();
        let key = ActivationKey::from_random(random).reveal().to_owned();
        let enrolled = Enrolled {
            certificate_request: request,
            ..Enrolled::default()
        };
        self.state().keys.insert(key.clone(), enrolled);
        Ok(Response::new(RequestActivationKeyResponse {
            ticket: format!("ticket-canary {key}").into_bytes(),
            activation_key: key,
            expires_at_seconds: 0,
        }))
    }

    async fn claim_activation_key(
        &self,
        request: Request<ClaimActivationKeyRequest>,
    ) -> Result<Response<ClaimActivationKeyResponse>, Status> {
        self.asked("claim_activation_key", request.get_ref());
        let request = request.into_inner();
        let mut state = self.state();
        match state.keys.get_mut(&request.activation_key) {
            Some(enrolled) if enrolled.claimable => {
                enrolled.claimable = false;
                enrolled.certificate_request = request.certificate_request;
            }
            _ => return Err(Status::failed_precondition("the key was used or expired")),
        }
        drop(state);
        self.touch();
        Ok(Response::new(ClaimActivationKeyResponse {
            ticket: format!("ticket-canary {}", request.activation_key).into_bytes(),
        }))
    }

    async fn await_activation(
        &self,
        request: Request<AwaitActivationRequest>,
    ) -> Result<Response<AwaitActivationResponse>, Status> {
        self.asked("await_activation", request.get_ref());
        let ticket = String::from_utf8(request.into_inner().ticket).unwrap();
        let key = ticket.strip_prefix("ticket-canary ").unwrap();
        let mut changed = self.changed.subscribe();
        let find = || {
            let state = self.state();
            state
                .keys
                .get(key)
                .map(|enrolled| enrolled.activated.clone())
        };
        let activated = tokio::time::timeout(HOLD, async {
            loop {
                changed.mark_unchanged();
                match find() {
                    None => return Err(Status::not_found("no such ticket")),
                    Some(Some(activated)) => return Ok(activated),
                    Some(None) => changed.changed().await.unwrap(),
                }
            }
        })
        .await;
        let activated = activated.ok().transpose()?;
        Ok(Response::new(AwaitActivationResponse { activated }))
    }

    async fn renew_certificate(
        &self,
        request: Request<RenewCertificateRequest>,
    ) -> Result<Response<RenewCertificateResponse>, Status> {
        self.asked("renew_certificate", request.get_ref());
        let request = request.into_inner().certificate_request;
        let mut state = self.state();
        if let Some(code) = state.renewal_refused {
            state.refusals += 1;
            return Err(Status::new(code, "no renewal"));
        }
        if state.member != Some(key_of(&request)) {
            return Err(Status::permission_denied("no agent has this key pair"));
        }
        state.renewals += 1;
        let old = state.issue_old;
        drop(state);
        self.touch();
        Ok(Response::new(RenewCertificateResponse {
            certificate_chain: self.authority.sign(&request, ARN, old),
            trust_anchors: self.authority.pem(),
        }))
    }
}

#[tonic::async_trait]
impl Session for Services {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<ControlMessage, Status>> + Send>>;
    type FetchReleaseStream = Pin<Box<dyn Stream<Item = Result<ReleasePart, Status>> + Send>>;

    async fn fetch_release(
        &self,
        request: Request<FetchReleaseRequest>,
    ) -> Result<Response<Self::FetchReleaseStream>, Status> {
        self.asked("fetch_release", request.get_ref());
        assert_eq!(request.into_inner().architecture, std::env::consts::ARCH);
        let mut state = self.state();
        let bundle = state.bundle.clone();
        let bundle = bundle.ok_or_else(|| Status::not_found("no such release"))?;
        state.fetches += 1;
        let parts: Vec<_> = bundle.chunks(100).map(<[u8]>::to_vec).collect();
        let parts = parts.into_iter().map(|data| Ok(ReleasePart { data }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let certificates = request.peer_certs().unwrap_or_default();
        let Some(peer) = certificates.first() else {
            return Err(Status::unauthenticated("a client certificate is needed"));
        };
        let peer = peer.to_vec();
        let mut incoming = request.into_inner();
        let Some(first) = incoming.message().await? else {
            return Err(Status::invalid_argument("no hello"));
        };
        assert!(
            matches!(first.message, Some(FromAgent::Hello(_))),
            "{first:?}"
        );
        let (sender, receiver) = mpsc::channel(16);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let welcome = ControlMessage {
            message: Some(ToAgent::Welcome(Welcome {
                heartbeat_interval_seconds: 1,
                now_milliseconds: i64::try_from(now.as_millis()).unwrap(),
                abilities: vec!["keep-logs".to_owned()],
            })),
        };
        sender.send(welcome).await.unwrap();
        if self.state().asks_to_renew {
            let renew = Some(ToAgent::Renew(Renew {}));
            sender
                .send(ControlMessage { message: renew })
                .await
                .unwrap();
        }
        {
            let mut state = self.state();
            state.sessions += 1;
            state.peer = peer;
            state.received.extend(first.message);
            state.to_agent = Some(sender.clone());
        }
        self.touch();
        let shared = Arc::clone(&self.0);
        let heard = incoming
            .map(Event::Heard)
            .chain(tokio_stream::once(Event::End));
        let said = ReceiverStream::new(receiver)
            .map(Event::Said)
            .chain(tokio_stream::once(Event::End));
        let conversation = heard
            .merge(said)
            .take_while(|event| !matches!(event, Event::End | Event::Heard(Err(_))))
            .filter_map(move |event| match event {
                Event::Said(message) => Some(Ok(message)),
                Event::Heard(Ok(message)) => {
                    shared.state().received.extend(message.message);
                    shared.touch();
                    None
                }
                Event::Heard(Err(_)) | Event::End => None,
            });
        Ok(Response::new(Box::pin(conversation)))
    }
}

enum Event {
    Heard(Result<AgentMessage, Status>),
    Said(ControlMessage),
    End,
}
