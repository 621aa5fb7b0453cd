//! The SDK's client as we need it: no retries, no hidden timeouts, no checksums and no clock of its
//! own.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use datasync_endpoint::{EndpointError, ErrorKind};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::bounded::Bounded;
use crate::clock::StoreClock;
use crate::config::S3Config;
use crate::headers::Headers;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Stores close idle connections after 20 s (AWS) to 90 s; one that is reused just then fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// One pool of connections, for the SDK and for requests that go without it.
pub(crate) fn connector(config: &S3Config) -> Result<SharedHttpConnector, EndpointError> {
    let mut trust = TrustStore::default();
    let given = [
        ("ServerCertificate", &config.location.server_certificate),
        ("ca_bundle", &config.ca_bundle),
    ];
    let mut certificates = Vec::new();
    for (name, pem) in given {
        if let Some(pem) = pem {
            check_certificates(name, pem)?;
            certificates.push(pem.as_str());
        }
    }
    if !certificates.is_empty() {
        // The client asserts in debug builds that there are system certificates; with our own
        // given, a system without any is fine.
        let system = !rustls_native_certs::load_native_certs().certs.is_empty();
        trust = TrustStore::empty()
            .with_native_roots(system)
            .with_pem_certificate(certificates.join("\n").as_bytes());
    }
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| invalid("TLS", "the TLS settings were refused").caused_by(error))?;
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let mut builder = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .connector_settings(settings)
        .sleep_impl(TokioSleep::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(config.requests_max.max(1));
    if let Some(proxy) = &config.proxy {
        // The error could repeat the URL with its password.
        let through = ProxyConfig::all(proxy.url())
            .map_err(|_| invalid(&proxy.to_string(), "is no proxy that can be used"))?;
        builder = builder.proxy_config(through.no_proxy(proxy.no_proxy()));
    }
    Ok(SharedHttpConnector::new(builder.build()))
}

fn invalid(target: &str, detail: &str) -> EndpointError {
    EndpointError::new(ErrorKind::Invalid, "open", target, detail)
}

/// The HTTP client panics at certificates that it cannot read.
fn check_certificates(name: &str, pem: &str) -> Result<(), EndpointError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| invalid(name, &format!("is not valid PEM: {error:?}")))?;
        roots.add(certificate).map_err(|error| {
            invalid(name, "holds a certificate that cannot be trusted").caused_by(error)
        })?;
    }
    if roots.is_empty() {
        return Err(invalid(name, "holds no certificate in PEM"));
    }
    Ok(())
}

pub(crate) fn sdk(
    config: &S3Config,
    region: &str,
    connector: SharedHttpConnector,
    clock: &StoreClock,
) -> Client {
    let connector = SharedHttpConnector::new(Bounded(connector));
    let mut builder = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(config.credentials.clone())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(TokioSleep::new())
        .time_source(clock.clone())
        .disable_clock_skew_correction(true)
        .interceptor(Headers::of_all(config))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &config.location.endpoint {
        builder = builder.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_checked_before_the_client_sees_them() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no pem", broken] {
            let error = check_certificates("ServerCertificate", pem).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert_eq!(error.target, "ServerCertificate");
        }
    }
}
