//! Credentials and region as the AWS tools find them: environment, profiles, the machine's role.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use datasync_model::{LocationArn, Proxy, S3Location};

use crate::config::EgressSettings;
use crate::credentials::CredentialStore;

/// A profile may run a program or ask another service.
const FIND_TIMEOUT: Duration = Duration::from_secs(60);
/// Expiring credentials are renewed this long before their end.
const RENEWAL_MARGIN: Duration = Duration::from_secs(5 * 60);
/// Expiry is looked at this often: wall time jumps, so no timer runs to it.
const EXPIRY_CHECK: Duration = Duration::from_secs(30);

/// The way to services of AWS.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    pub(crate) https_proxy: Option<&'a Proxy>,
    /// Certificates to trust besides the system's, in PEM.
    pub(crate) ca_bundles: Vec<&'a str>,
}

/// The machine's own services have no TLS and are asked directly.
fn client(way: &Way<'_>) -> Result<SharedHttpClient, String> {
    let mut trust = tls::TrustStore::default();
    for pem in &way.ca_bundles {
        trust.add_pem_certificate(pem.as_bytes());
    }
    let context = tls::TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|error| format!("the CA bundles cannot be used: {error}"))?;
    let proxy = match way.https_proxy {
        None => ProxyConfig::disabled(),
        // The error could repeat the URL with its password.
        Some(proxy) => ProxyConfig::https(proxy.url())
            .map_err(|_| format!("{proxy} is no proxy that can be used"))?
            .no_proxy(proxy.no_proxy()),
    };
    Ok(
        Builder::new().build_with_connector_fn(move |settings, components| {
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
            let mut builder = Connector::builder()
                .tls_provider(provider)
                .tls_context(context.clone())
                .proxy_config(proxy.clone());
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(|known| known.sleep_impl()));
            builder.build()
        }),
    )
}

/// What was found.
pub(crate) struct Access {
    provider: SharedCredentialsProvider,
    credentials: Credentials,
    /// The region given, or else that of the profile.
    pub(crate) region: Option<String>,
}

impl Access {
    /// [`Access::find`] for a store's location, in its region if it has one.
    ///
    /// # Errors
    /// Why there are none, without any part of a secret.
    pub(super) async fn of(
        store: &S3Location,
        profile: Option<&str>,
        egress: &EgressSettings,
    ) -> Result<Self, String> {
        let certificates = store.server_certificate.iter().chain(&egress.ca_bundle);
        let way = Way {
            https_proxy: egress.https_proxy.as_ref(),
            ca_bundles: certificates.map(String::as_str).collect(),
        };
        Self::find(profile, store.region.clone(), &way).await
    }

    /// Looks for credentials: those of `profile` if one is named, else the first of the
    /// environment, `AWS_PROFILE` or the default profile, and the machine's role.
    ///
    /// # Errors
    /// Why there are none, without any part of a secret.
    pub(crate) async fn find(
        profile: Option<&str>,
        region: Option<String>,
        way: &Way<'_>,
    ) -> Result<Self, String> {
        let http = client(way)?;
        let config = ProviderConfig::without_region().with_http_client(http);
        let region = match region {
            Some(region) => Some(Region::new(region)),
            None => region_of(profile, &config).await,
        };
        let config = config.with_region(region.clone());
        let provider = match profile {
            Some(name) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .profile_name(name)
                    .build(),
            ),
            None => SharedCredentialsProvider::new(
                DefaultCredentialsChain::builder()
                    .region(region.clone())
                    .configure(config)
                    .build()
                    .await,
            ),
        };
        Ok(Self {
            credentials: provide(&provider).await?,
            provider,
            region: region.map(|region| region.to_string()),
        })
    }

    /// The name of the keys, which is no secret.
    pub(crate) fn key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// Puts the credentials into `store`, for once.
    pub(crate) fn grant(&self, store: &CredentialStore, location: &LocationArn) {
        store.grant(location.to_string(), self.credentials.clone());
    }

    /// Puts the credentials into `store` and renews them for as long as this is polled.
    pub(super) async fn keep(self, store: &CredentialStore, location: &LocationArn) {
        let location = location.to_string();
        let mut expiry = self.credentials.expiry();
        store.grant(location.clone(), self.credentials);
        loop {
            tokio::time::sleep(EXPIRY_CHECK).await;
            if !is_due(expiry, SystemTime::now()) {
                continue;
            }
            match provide(&self.provider).await {
                Ok(credentials) => {
                    expiry = credentials.expiry();
                    store.grant(location.clone(), credentials);
                }
                Err(reason) => tracing::warn!(reason, "cannot renew the credentials"),
            }
        }
    }
}

async fn region_of(profile: Option<&str>, config: &ProviderConfig) -> Option<Region> {
    let builder = ProfileFileRegionProvider::builder().configure(config);
    let builder = match profile {
        Some(name) => builder.profile_name(name),
        None => builder,
    };
    builder.build().region().await
}

async fn provide(provider: &SharedCredentialsProvider) -> Result<Credentials, String> {
    match tokio::time::timeout(FIND_TIMEOUT, provider.provide_credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("none within {} s", FIND_TIMEOUT.as_secs())),
    }
}

fn is_due(expiry: Option<SystemTime>, now: SystemTime) -> bool {
    expiry.is_some_and(|expiry| expiry <= now + RENEWAL_MARGIN)
}

/// An error with its sources, each once, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_credential_types::provider::error::CredentialsError;
    use aws_smithy_async::time::SystemTimeSource;
    use aws_smithy_runtime_api::client::http::{
        HttpClient as _, HttpConnector as _, HttpConnectorSettings,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A service with a certificate that nobody else vouches for; gives its URL and certificate.
    async fn service(tasks: &mut JoinSet<()>) -> (String, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/",
            listener.local_addr().unwrap().port()
        );
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (url, own.cert.pem())
    }

    #[tokio::test]
    async fn certificates_of_every_bundle_are_trusted_and_no_others() {
        let mut tasks = JoinSet::new();
        let services = [
            service(&mut tasks).await,
            service(&mut tasks).await,
            service(&mut tasks).await,
        ];
        let way = Way {
            https_proxy: None,
            ca_bundles: services[..2].iter().map(|(_, pem)| &**pem).collect(),
        };
        let clock = Some(SystemTimeSource::new());
        let components = RuntimeComponentsBuilder::for_tests().with_time_source(clock);
        let components = components.build().unwrap();
        let settings = HttpConnectorSettings::default();
        let connector = client(&way).unwrap().http_connector(&settings, &components);
        let mut answered = Vec::new();
        for (url, _) in &services {
            let request = HttpRequest::get(url.as_str()).unwrap();
            answered.push(connector.call(request).await.is_ok());
        }
        assert_eq!(answered, [true, true, false]);
    }

    #[test]
    fn what_was_tried_is_told_on_one_line() {
        let error = CredentialsError::not_loaded("tried:\n  this\n  that");
        let text = chain(&error);
        assert!(text.ends_with(": tried:; this; that"), "{text}");
    }

    #[test]
    fn only_credentials_that_end_are_renewed_and_in_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(!is_due(None, now));
        assert!(!is_due(Some(now + Duration::from_secs(3600)), now));
        assert!(is_due(Some(now + Duration::from_secs(60)), now));
        assert!(is_due(Some(now - Duration::from_secs(60)), now));
    }
}
