//! Calls of an agent that has no certificate.

use std::time::Duration;

use datasync_model::{ActivationKey, Region};
use datasync_proto::enrollment_client::EnrollmentClient;
use datasync_proto::{
    Activated, AwaitActivationRequest, ClaimActivationKeyRequest, ENROLLMENT_MESSAGE_BYTES_MAX,
    RenewCertificateRequest, RenewCertificateResponse, RequestActivationKeyRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::VERSION;
use crate::config::ControlAddresses;
use crate::link::{self, LinkError, Trust};

const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// Control holds AwaitActivation for up to 30 s.
const AWAIT_TIMEOUT: Duration = Duration::from_secs(45);

/// A secret that names this machine's request. Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Ticket(Vec<u8>);

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(…)")
    }
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrollError {
    /// Control is away, slow or failing: the same call may succeed later.
    #[error("{0}")]
    Transient(String),
    /// Control said no, and will say so again.
    #[error("{reason}")]
    Refused { code: Code, reason: String },
}

impl From<LinkError> for EnrollError {
    fn from(error: LinkError) -> Self {
        Self::Transient(error.to_string())
    }
}

impl From<Status> for EnrollError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Refused {
                code: status.code(),
                reason: status.message().to_owned(),
            },
            _ => Self::Transient(link::describe(&status)),
        }
    }
}

/// Talks to control's enrollment service on behalf of one key pair.
#[derive(Debug, Clone)]
pub(crate) struct Enroller {
    control: ControlAddresses,
    trust: Trust,
    certificate_request: Vec<u8>,
}

impl Enroller {
    pub(crate) fn new(
        control: ControlAddresses,
        trust: Trust,
        certificate_request: Vec<u8>,
    ) -> Self {
        Self {
            control,
            trust,
            certificate_request,
        }
    }

    /// A connection of its own for each call: activation is rare, and nothing goes stale.
    async fn client(&self) -> Result<EnrollmentClient<Channel>, LinkError> {
        let channel = link::connect_any(&self.control, &self.trust, None).await?;
        Ok(EnrollmentClient::new(channel)
            .max_decoding_message_size(ENROLLMENT_MESSAGE_BYTES_MAX * 4))
    }

    /// A fresh key and the ticket to wait with.
    pub(super) async fn request_key(
        &self,
        region: &Region,
    ) -> Result<(ActivationKey, Ticket), EnrollError> {
        let request = RequestActivationKeyRequest {
            certificate_request: self.certificate_request.clone(),
            activation_region: region.clone().into(),
            agent_version: VERSION.to_owned(),
        };
        let response = self
            .client()
            .await?
            .request_activation_key(timed(request, CALL_TIMEOUT))
            .await?
            .into_inner();
        let key = response
            .activation_key
            .parse()
            .map_err(|_| EnrollError::Transient("control sent a malformed key".to_owned()))?;
        Ok((key, Ticket(response.ticket)))
    }

    /// Binds a key that was issued beforehand.
    pub(super) async fn claim_key(&self, key: &ActivationKey) -> Result<Ticket, EnrollError> {
        let request = ClaimActivationKeyRequest {
            certificate_request: self.certificate_request.clone(),
            activation_key: key.reveal().to_owned(),
            agent_version: VERSION.to_owned(),
        };
        let response = self
            .client()
            .await?
            .claim_activation_key(timed(request, CALL_TIMEOUT))
            .await?;
        Ok(Ticket(response.into_inner().ticket))
    }

    /// Waits as long as control lets it; `None` if nothing has happened yet.
    pub(super) async fn await_activation(
        &self,
        ticket: &Ticket,
    ) -> Result<Option<Activated>, EnrollError> {
        let request = AwaitActivationRequest {
            ticket: ticket.0.clone(),
        };
        let response = self
            .client()
            .await?
            .await_activation(timed(request, AWAIT_TIMEOUT))
            .await?;
        Ok(response.into_inner().activated)
    }

    /// A new certificate for the same key pair.
    pub(crate) async fn renew(&self) -> Result<RenewCertificateResponse, EnrollError> {
        let request = RenewCertificateRequest {
            certificate_request: self.certificate_request.clone(),
        };
        let response = self
            .client()
            .await?
            .renew_certificate(timed(request, CALL_TIMEOUT))
            .await?;
        Ok(response.into_inner())
    }
}

fn timed<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}
