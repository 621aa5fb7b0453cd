//! Object storage: S3-compatible stores, with their own keys. Tried by an agent with the task.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datasync_model::{AgentArn, LocationArn};
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
    federated_identity: Option<Value>,
    cmk_secret_config: Option<Value>,
    custom_secret_config: Option<Value>,
}

/// Members that are present, checked. The empty text clears a key or the certificates.
#[derive(Debug, Default)]
struct Checked {
    hostname: Option<String>,
    port: Option<u16>,
    protocol: Option<Protocol>,
    prefix: Option<String>,
    access_key: Option<Option<String>>,
    secret_key: Option<Option<Sealed>>,
    agents: Option<Vec<AgentArn>>,
    certificate: Option<Option<String>>,
}

/// A secret that is given, sealed on the store's thread: to know the sealing key takes a look at its
/// file.
async fn sealed(
    call: &Call<'_>,
    arn: &LocationArn,
    secret: Option<String>,
) -> Result<Option<Option<Sealed>>, ApiError> {
    let Some(secret) = secret.map(Zeroizing::new) else {
        return Ok(None);
    };
    if secret.is_empty() {
        return Ok(Some(None));
    }
    let (sealer, arn) = (call.api.sealer.clone(), arn.clone());
    let sealed = call.api.store.read(move |_| {
        let sealed = Location::seal_secret(&sealer, &arn, &secret)?;
        Ok::<_, ApiError>(Some(Some(sealed)))
    });
    sealed.await
}

fn checked(
    call: &Call<'_>,
    secret_key: Option<Option<Sealed>>,
    input: &mut Input,
) -> Result<Checked, ApiError> {
    let has_content = |config: &Option<Value>| {
        config
            .as_ref()
            .and_then(Value::as_object)
            .is_some_and(|members| !members.is_empty())
    };
    if has_content(&input.federated_identity) {
        return Err(ApiError::unsupported(
            "FederatedIdentity is not supported in this release: give AccessKey and SecretKey.",
        ));
    }
    if has_content(&input.cmk_secret_config) || has_content(&input.custom_secret_config) {
        return Err(ApiError::unsupported(
            "CmkSecretConfig and CustomSecretConfig are not supported in this release: give \
             AccessKey and SecretKey; the secret is kept encrypted.",
        ));
    }
    if let Some(hostname) = &input.server_hostname {
        check_hostname(hostname)?;
    }
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Checked {
        hostname: input.server_hostname.take(),
        port: input.server_port.map(port).transpose()?,
        protocol: input.server_protocol.take().map(protocol).transpose()?,
        prefix: input
            .subdirectory
            .as_deref()
            .map(paths::prefix)
            .transpose()?,
        access_key: input.access_key.take().map(filled),
        secret_key,
        agents: super::optional_agents(input.agent_arns.take(), &call.settings().home)?,
        certificate: input
            .server_certificate
            .take()
            .map(certificate)
            .transpose()?
            .map(filled),
    })
}

/// A name or an address. Colons make it an IPv6 address: the port has a member of its own.
fn check_hostname(hostname: &str) -> Result<(), ApiError> {
    if hostname.contains(':') && hostname.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(ApiError::constraint(
            "ServerHostname",
            hostname,
            "must be a domain name or an IP address; a port is given by ServerPort",
        ));
    }
    Ok(())
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
    let secret = sealed(call, &arn, input.secret_key.take()).await?;
    let members = checked(call, secret, &mut input)?;
    let hostname = required(members.hostname, "ServerHostname")?;
    let bucket = required(input.bucket_name, "BucketName")?;
    let protocol = members.protocol.unwrap_or(Protocol::Https);
    let details = ObjectStorageDetails {
        server_hostname: hostname,
        server_port: members.port.unwrap_or(protocol.default_port()),
        protocol,
        bucket,
        prefix: members.prefix.unwrap_or_default(),
        access_key: members.access_key.flatten(),
        secret_key: members.secret_key.flatten(),
        agents: members.agents.unwrap_or_default(),
        server_certificate: members.certificate.flatten(),
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
    let secret = sealed(call, &arn, input.secret_key.take()).await?;
    let members = checked(call, secret, &mut input)?;
    super::change(call, arn, move |details| match details {
        LocationDetails::ObjectStorage(store) => merge(store, members).map(|()| true),
        _ => Ok(false),
    })
    .await
}

/// What is present replaces what was there. The port follows the protocol while it is the
/// protocol's own.
fn merge(store: &mut ObjectStorageDetails, members: Checked) -> Result<(), ApiError> {
    let protocol = members.protocol.unwrap_or(store.protocol);
    let port = if store.server_port == store.protocol.default_port() {
        protocol.default_port()
    } else {
        store.server_port
    };
    store.server_port = members.port.unwrap_or(port);
    store.protocol = protocol;
    if let Some(hostname) = members.hostname {
        store.server_hostname = hostname;
    }
    if let Some(prefix) = members.prefix {
        store.prefix = prefix;
    }
    if let Some(key) = members.access_key {
        store.access_key = key;
    }
    if let Some(secret) = members.secret_key {
        store.secret_key = secret;
    }
    if let Some(agents) = members.agents {
        store.agents = agents;
    }
    if let Some(pem) = members.certificate {
        store.server_certificate = pem;
    }
    check_keys(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> ObjectStorageDetails {
        ObjectStorageDetails {
            server_hostname: "store.example".to_owned(),
            server_port: 443,
            protocol: Protocol::Https,
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            access_key: Some("AKID".to_owned()),
            secret_key: Some(serde_json::from_str("\"sealed\"").unwrap()),
            agents: Vec::new(),
            server_certificate: None,
        }
    }

    fn switched(from: u16, port: Option<u16>, protocol: Protocol) -> u16 {
        let mut store = store();
        store.server_port = from;
        let members = Checked {
            port,
            protocol: Some(protocol),
            ..Checked::default()
        };
        merge(&mut store, members).unwrap();
        store.server_port
    }

    #[test]
    fn the_port_follows_the_protocol_unless_it_was_chosen() {
        assert_eq!(switched(443, None, Protocol::Http), 80);
        assert_eq!(switched(443, None, Protocol::Https), 443);
        assert_eq!(switched(9000, None, Protocol::Http), 9000);
        assert_eq!(switched(443, Some(443), Protocol::Http), 443);
    }

    #[test]
    fn keys_are_cleared_together_by_empty_texts() {
        let mut cleared = store();
        let both = Checked {
            access_key: Some(None),
            secret_key: Some(None),
            ..Checked::default()
        };
        merge(&mut cleared, both).unwrap();
        assert_eq!((cleared.access_key, cleared.secret_key), (None, None));
        let one = Checked {
            access_key: Some(None),
            ..Checked::default()
        };
        assert!(merge(&mut store(), one).is_err());
        let mut kept = store();
        merge(&mut kept, Checked::default()).unwrap();
        assert_eq!(kept, store());
    }

    #[test]
    fn a_hostname_has_no_port() {
        for good in ["store.example", "192.0.2.1", "2001:db8::1", "::1", "minio"] {
            assert!(check_hostname(good).is_ok(), "{good}");
        }
        for bad in ["store.example:9000", "192.0.2.1:9000", "a:b:c"] {
            assert!(check_hostname(bad).is_err(), "{bad}");
        }
    }
}
