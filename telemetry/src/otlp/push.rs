//! One push after the other, until the program stops.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::convert::{Resource, request};
use super::messages::ExportMetricsServiceResponse;
use super::messages::metrics_service_client::MetricsServiceClient;
use super::settings::OtlpSettings;
use crate::server::Source;

/// For reading the metrics and sending them, the connection included.
const PUSH_MAX: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// Characters of a collector's own words that are logged.
const WORDS_MAX: usize = 300;

/// Pushes until `stop`, at once and then in the interval of `settings`. The last values before the stop
/// are not sent. What fails is logged when it begins and when it ends; it touches nothing else.
pub async fn push<S: Source>(
    settings: OtlpSettings,
    resource: Resource,
    source: Arc<S>,
    stop: CancellationToken,
) {
    let channel = match channel(&settings) {
        Ok(channel) => channel,
        Err(error) => return tell(&settings, Change::Failed(error)),
    };
    let mut client = MetricsServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX);
    let mut due = interval(settings.interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut standing = Standing::Untried;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let sent = once(&mut client, &settings, &resource, &*source);
        let sent = tokio::select! {
            () = stop.cancelled() => return,
            sent = tokio::time::timeout(PUSH_MAX, sent) => sent,
        };
        let late = || Err(format!("no answer within {} s", PUSH_MAX.as_secs()));
        let result = sent.unwrap_or_else(|_| late());
        if let Some(change) = standing.after(result) {
            tell(&settings, change);
        }
    }
}

/// It connects when it is needed, and again after it was lost.
fn channel(settings: &OtlpSettings) -> Result<Channel, String> {
    let mut endpoint = Endpoint::from(settings.endpoint.uri()).connect_timeout(PUSH_MAX);
    if settings.endpoint.is_tls() {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(bundle) = &settings.ca_bundle {
            tls = tls.ca_certificate(Certificate::from_pem(bundle));
        }
        endpoint = endpoint.tls_config(tls).map_err(|e| chain(&e))?;
    }
    Ok(endpoint.connect_lazy())
}

async fn once<S: Source>(
    client: &mut MetricsServiceClient<Channel>,
    settings: &OtlpSettings,
    resource: &Resource,
    source: &S,
) -> Result<(), String> {
    let page = source.metrics().await;
    let mut request = Request::new(request(&page, resource, SystemTime::now()));
    settings.headers.add_to(request.metadata_mut());
    let answer = client.export(request).await;
    let answer = answer.map_err(|status| described(&status))?;
    verdict(answer.into_inner())
}

fn verdict(answer: ExportMetricsServiceResponse) -> Result<(), String> {
    match answer.partial_success {
        Some(partly) if partly.rejected_data_points > 0 => Err(format!(
            "{} values were refused: {}",
            partly.rejected_data_points,
            shortened(&partly.error_message)
        )),
        _ => Ok(()),
    }
}

fn described(status: &Status) -> String {
    let cause = std::error::Error::source(status).map(chain);
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    let code = status.code();
    shortened(&format!("{code:?}: {}{cause}", status.message()))
}

/// An error with what caused it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    let all: Vec<String> = all.map(ToString::to_string).collect();
    all.join(": ")
}

fn shortened(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(WORDS_MAX).collect()
}

/// How the last push went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Untried,
    Taken,
    Failing,
}

/// What whoever operates the program is told.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Began,
    Failed(String),
}

impl Standing {
    /// The change that this result is, if it is one.
    fn after(&mut self, result: Result<(), String>) -> Option<Change> {
        let before = *self;
        match result {
            Ok(()) => {
                *self = Self::Taken;
                (before != Self::Taken).then_some(Change::Began)
            }
            Err(reason) => {
                *self = Self::Failing;
                (before != Self::Failing).then_some(Change::Failed(reason))
            }
        }
    }
}

fn tell(settings: &OtlpSettings, change: Change) {
    let endpoint = &settings.endpoint;
    match change {
        Change::Began => tracing::info!(
            %endpoint,
            event = "metrics.pushed",
            "the collector takes metrics"
        ),
        Change::Failed(reason) => tracing::warn!(
            %endpoint,
            reason,
            event = "metrics.push_failed",
            "metrics do not get to the collector; trying on, without another word until they do"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::messages::ExportMetricsPartialSuccess;

    #[test]
    fn only_changes_are_told() {
        let mut standing = Standing::Untried;
        let away = || Err("away".to_owned());
        let failed = || Some(Change::Failed("away".to_owned()));
        assert_eq!(standing.after(Ok(())), Some(Change::Began));
        assert_eq!(standing.after(Ok(())), None);
        assert_eq!(standing.after(away()), failed());
        assert_eq!(standing.after(away()), None);
        assert_eq!(standing.after(Ok(())), Some(Change::Began));
        assert_eq!(Standing::Untried.after(away()), failed());
    }

    #[test]
    fn values_that_a_collector_refuses_are_a_failure() {
        let answer = |partial_success| ExportMetricsServiceResponse { partial_success };
        let partly = |rejected_data_points| {
            Some(ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message: format!("too\u{1b} {}", "many".repeat(1000)),
            })
        };
        assert_eq!(verdict(answer(None)), Ok(()));
        assert_eq!(verdict(answer(partly(0))), Ok(()));
        let error = verdict(answer(partly(3))).unwrap_err();
        assert!(
            error.starts_with("3 values were refused: too many"),
            "{error}"
        );
        assert!(error.len() < 400, "{error}");
    }
}
