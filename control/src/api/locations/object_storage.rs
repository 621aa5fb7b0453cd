//! Object storage: S3-compatible stores, with their own keys. Tried by an agent with the task.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasync_model::LocationArn;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::arns;
use super::super::call::Call;
use super::super::check::{self, TagInput, required};
use super::super::error::ApiError;
use super::paths;
use crate::records::{Location, LocationDetails, ObjectStorageDetails, Protocol};
use crate::store::Sealed;

const CERTIFICATE_BYTES_MAX: usize = 32_768;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    location_arn: Option<String>,
    server_hostname: Option<String>,
    server_port: Option<i64>,
    server_protocol: Option<String>,
    subdirectory: Option<String>,
    bucket_name: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    agent_arns: Option<Vec<String>>,
    tags: Option<Vec<TagInput>>,
    server_certificate: Option<String>,
    cmk_secret_config: Option<Value>,
    custom_secret_config: Option<Value>,
}

/// Members that are present, checked.
#[derive(Debug)]
struct Checked {
    port: Option<u16>,
    protocol: Option<Protocol>,
    prefix: Option<String>,
    access_key: Option<String>,
    secret_key: Option<Sealed>,
    agents: Option<Vec<datasync_model::AgentArn>>,
    certificate: Option<String>,
}

fn checked(call: &Call<'_>, arn: &LocationArn, input: &mut Input) -> Result<Checked, ApiError> {
    let has_content = |config: &Option<Value>| {
        config
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|members| !members.is_empty())
    };
    if has_content(&input.cmk_secret_config) || has_content(&input.custom_secret_config) {
        return Err(ApiError::unsupported(
            "CmkSecretConfig and CustomSecretConfig are not supported in this release: give \
             AccessKey and SecretKey; the secret is kept encrypted.",
        ));
    }
    if let Some(hostname) = &input.server_hostname {
        check::server_hostname(hostname)?;
    }
    if let Some(key) = &input.access_key {
        check::text(key, "AccessKey", 200, "^.*$", |c| !c.is_control())?;
    }
    let secret = input.secret_key.take().map(Zeroizing::new);
    if secret.as_ref().is_some_and(|s| s.chars().count() > 200) {
        let constraint = "must have at most 200 characters";
        return Err(ApiError::constraint("SecretKey", "***", constraint));
    }
    let seal = |secret: Zeroizing<String>| Location::seal_secret(&call.api.sealer, arn, &secret);
    Ok(Checked {
        port: input.server_port.map(port).transpose()?,
        protocol: input.server_protocol.take().map(protocol).transpose()?,
        prefix: input
            .subdirectory
            .as_deref()
            .map(paths::prefix)
            .transpose()?,
        access_key: input.access_key.take(),
        secret_key: secret.map(seal).transpose()?,
        agents: super::optional_agents(input.agent_arns.take(), &call.settings().home)?,
        certificate: input
            .server_certificate
            .take()
            .map(certificate)
            .transpose()?,
    })
}

fn port(port: i64) -> Result<u16, ApiError> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            let constraint = "must be from 1 to 65535";
            ApiError::constraint("ServerPort", &port.to_string(), constraint)
        })
}

fn protocol(word: String) -> Result<Protocol, ApiError> {
    match word.as_str() {
        "HTTPS" => Ok(Protocol::Https),
        "HTTP" => Ok(Protocol::Http),
        other => Err(ApiError::constraint(
            "ServerProtocol",
            other,
            "must be one of [HTTPS, HTTP]",
        )),
    }
}

/// Base64 of PEM to PEM. The empty text means none.
fn certificate(blob: String) -> Result<String, ApiError> {
    let bytes = STANDARD
        .decode(&blob)
        .map_err(|_| ApiError::serialization("ServerCertificate is not base64."))?;
    if bytes.len() > CERTIFICATE_BYTES_MAX {
        let constraint = "must have at most 32768 bytes";
        let shown = format!("{} bytes", bytes.len());
        return Err(ApiError::constraint(
            "ServerCertificate",
            &shown,
            constraint,
        ));
    }
    if bytes.is_empty() {
        return Ok(String::new());
    }
    let bad = || ApiError::invalid("ServerCertificate must be one or more PEM certificates.");
    let pem = String::from_utf8(bytes).map_err(|_| bad())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(bad()),
    }
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut input: Input = call.decode()?;
    let arn = super::new_arn(call)?;
    let members = checked(call, &arn, &mut input)?;
    let bucket = required(input.bucket_name, "BucketName")?;
    check::bucket_name(&bucket)?;
    let protocol = members.protocol.unwrap_or(Protocol::Https);
    let details = ObjectStorageDetails {
        server_hostname: required(input.server_hostname, "ServerHostname")?,
        server_port: members.port.unwrap_or(protocol.default_port()),
        protocol,
        bucket,
        prefix: members.prefix.unwrap_or_default(),
        access_key: members.access_key.filter(|key| !key.is_empty()),
        secret_key: members.secret_key,
        agents: members.agents.unwrap_or_default(),
        server_certificate: members.certificate.filter(|pem| !pem.is_empty()),
    };
    check_keys(&details)?;
    let tags = check::tags(input.tags)?;
    super::insert(call, arn, tags, LocationDetails::ObjectStorage(details)).await
}

fn check_keys(details: &ObjectStorageDetails) -> Result<(), ApiError> {
    if details.access_key.is_some() == details.secret_key.is_some() {
        return Ok(());
    }
    Err(ApiError::invalid(
        "AccessKey and SecretKey go together: give both or neither.",
    ))
}

pub(crate) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    super::show(call, |details| match details {
        LocationDetails::ObjectStorage(store) => Some(json!({
            "AccessKey": store.access_key,
            "ServerPort": store.server_port,
            "ServerProtocol": store.protocol,
            "AgentArns": (!store.agents.is_empty()).then_some(&store.agents),
            "ServerCertificate": store.server_certificate.as_ref().map(|pem| STANDARD.encode(pem)),
        })),
        _ => None,
    })
    .await
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut input: Input = call.decode()?;
    let arn = arns::ours(
        input.location_arn.take(),
        "LocationArn",
        &call.settings().home,
    )?;
    let members = checked(call, &arn, &mut input)?;
    let hostname = input.server_hostname;
    super::change(call, arn, move |details| {
        let LocationDetails::ObjectStorage(store) = details else {
            return Ok(false);
        };
        if let Some(hostname) = hostname {
            store.server_hostname = hostname;
        }
        if let Some(prefix) = members.prefix {
            store.prefix = prefix;
        }
        store.protocol = members.protocol.unwrap_or(store.protocol);
        store.server_port = members.port.unwrap_or(store.server_port);
        if let Some(key) = members.access_key {
            store.access_key = Some(key).filter(|key| !key.is_empty());
        }
        if let Some(secret) = members.secret_key {
            store.secret_key = Some(secret);
        }
        if let Some(agents) = members.agents {
            store.agents = agents;
        }
        if let Some(pem) = members.certificate {
            store.server_certificate = Some(pem).filter(|pem| !pem.is_empty());
        }
        check_keys(store)?;
        Ok(true)
    })
    .await
}
