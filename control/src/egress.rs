//! The way from control to STS and to stores: proxy and trusted certificates.

use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use datasync_model::Proxy;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// For TLS.
    pub https_proxy: Option<Proxy>,
    /// For stores without TLS.
    pub http_proxy: Option<Proxy>,
    /// Certificates to trust besides the system's, in PEM.
    pub ca_bundle: Option<String>,
}

impl Egress {
    /// A client for `endpoint`, or for services of AWS. `certificate` (PEM) is trusted too; it is
    /// called `ServerCertificate` in errors.
    ///
    /// # Errors
    /// In words, if certificates or proxy cannot be used.
    pub(crate) fn client(
        &self,
        endpoint: Option<&str>,
        certificate: Option<&str>,
    ) -> Result<SharedHttpClient, String> {
        let make = self.maker(endpoint, certificate)?;
        Ok(
            Builder::new().build_with_connector_fn(move |settings, components| {
                let sleep = components.and_then(RuntimeComponents::sleep_impl);
                make(settings.cloned(), sleep)
            }),
        )
    }

    /// Connections to `endpoint` without retries and without bounds on time.
    ///
    /// # Errors
    /// Like [`Self::client`].
    pub(crate) fn connector(&self, endpoint: &str) -> Result<Connector, String> {
        Ok(self.maker(Some(endpoint), None)?(None, None))
    }

    fn maker(
        &self,
        endpoint: Option<&str>,
        certificate: Option<&str>,
    ) -> Result<
        impl Fn(Option<HttpConnectorSettings>, Option<SharedAsyncSleep>) -> Connector + use<>,
        String,
    > {
        let mut trust = tls::TrustStore::default();
        let given = [
            ("ServerCertificate", certificate),
            ("ca_bundle", self.ca_bundle.as_deref()),
        ];
        for (name, pem) in given {
            let Some(pem) = pem else { continue };
            check_certificates(pem)
                .map_err(|()| format!("{name} holds no certificates in PEM that can be trusted"))?;
            trust.add_pem_certificate(pem.as_bytes());
        }
        let tls = tls::TlsContext::builder()
            .with_trust_store(trust)
            .build()
            .map_err(|error| format!("the certificates cannot be used: {error}"))?;
        let proxy = self.proxy(endpoint)?;
        Ok(move |settings, sleep| {
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
            let mut builder = Connector::builder()
                .tls_provider(provider)
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            builder.set_connector_settings(settings);
            builder.set_sleep_impl(sleep);
            builder.build()
        })
    }

    /// The machine's own services, which have no TLS, are never asked through a proxy.
    fn proxy(&self, endpoint: Option<&str>) -> Result<ProxyConfig, String> {
        let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
        let (proxy, made) = if plain {
            let made = self.http_proxy.as_ref().map(|p| ProxyConfig::http(p.url()));
            (&self.http_proxy, made)
        } else {
            let made = self
                .https_proxy
                .as_ref()
                .map(|p| ProxyConfig::https(p.url()));
            (&self.https_proxy, made)
        };
        match (proxy, made) {
            (Some(proxy), Some(made)) => made
                .map(|made| made.no_proxy(proxy.no_proxy()))
                // The error could repeat the URL with its password.
                .map_err(|_| format!("{proxy} is no proxy that can be used")),
            _ => Ok(ProxyConfig::disabled()),
        }
    }
}

/// The system's or the TLS library's words: those above them may repeat the URL.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The HTTP client panics at certificates that it cannot read.
fn check_certificates(pem: &str) -> Result<(), ()> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(drop)?).map_err(drop)?;
    }
    if roots.is_empty() { Err(()) } else { Ok(()) }
}
