//! The API's client: signed requests over TLS, each client with one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::Failed;

const REGION: &str = "us-east-1";
const HOST: &str = "localhost";

/// Where the API is, and who calls it.
#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    tls: TlsConnector,
    credentials: Credentials,
}

/// A connection, which ends with this.
pub(crate) struct Connection {
    api: Api,
    requests: SendRequest<Full<Bytes>>,
    _carried: JoinSet<Result<(), hyper::Error>>,
}

impl Api {
    /// `trust` is the PEM certificate of control's CA.
    ///
    /// # Errors
    /// A certificate that cannot be read.
    pub(crate) fn new(
        address: SocketAddr,
        trust: &str,
        access_key: &str,
        secret: String,
    ) -> Result<Self, Failed> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trust.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address,
            tls: TlsConnector::from(Arc::new(tls)),
            credentials: Credentials::new(access_key, secret, None, None, "bench-load"),
        })
    }

    /// # Errors
    /// What keeps the connection from being made.
    pub(crate) async fn connect(&self) -> Result<Connection, Failed> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self
            .tls
            .connect(ServerName::try_from(HOST)?, stream)
            .await?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut carried = JoinSet::new();
        carried.spawn(connection);
        Ok(Connection {
            api: self.clone(),
            requests,
            _carried: carried,
        })
    }

    fn request(&self, operation: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failed> {
        // Each is a call of its own and none a retry.
        let mut invocation = [0; 16];
        getrandom::fill(&mut invocation)?;
        let target = format!("FmrsService.{operation}");
        let headers = [
            ("host", HOST),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("datasync")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let uri = format!("https://{HOST}/");
        let signable = SignableRequest::new(
            Method::POST.as_str(),
            &uri,
            headers.into_iter(),
            SignableBody::Bytes(&body),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let mut request =
            Request::post("/").header("amz-sdk-invocation-id", hex::encode(invocation));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(body))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

impl Connection {
    /// One attempt of one call.
    ///
    /// # Errors
    /// A request that was not answered, or not with 200.
    pub(crate) async fn call(&mut self, operation: &str, body: Bytes) -> Result<Bytes, Failed> {
        let request = self.api.request(operation, body)?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status();
        let said = answer.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK {
            Ok(said)
        } else {
            let said = String::from_utf8_lossy(&said);
            Err(format!("{operation}: {status}: {said}").into())
        }
    }

    /// A member of the answer that is a text.
    ///
    /// # Errors
    /// As [`Self::call`], or the member is missing.
    pub(crate) async fn ask(
        &mut self,
        operation: &str,
        input: &Value,
        member: &str,
    ) -> Result<String, Failed> {
        let answer = self.call(operation, input.to_string().into()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let text = answer.get(member).and_then(Value::as_str);
        let text = text.ok_or_else(|| format!("{operation} answered no {member}"))?;
        Ok(text.to_owned())
    }
}
