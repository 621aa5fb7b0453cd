//! A webhook: one POST for each event, with its JSON as the body.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::egress::{Egress, innermost};
use crate::records::Event;

/// How long one POST may take, from the connection to the answer's head.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
const URL_BYTES_MAX: usize = 2048;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;

/// Where events are posted to. Neither `Debug` nor `Display` shows credentials, path or secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `http` or `https`.
    scheme: String,
    /// Host and port.
    authority: String,
    /// Path and query: many services put a token there.
    path: String,
    /// `Basic …`, of user and password in the URL.
    authorization: Option<String>,
    secret: Option<String>,
}

/// Why a webhook cannot be used. Does not repeat the URL: it may hold a password or a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Not such a URL.
    #[error(
        "must be http[s]://[USER:PASSWORD@]HOST[:PORT][/PATH], at most {URL_BYTES_MAX} bytes, with signs such \
         as @ and / in user and password written as %40 and %2F"
    )]
    Url,
    /// Too short or too long to sign with.
    #[error("must hold a secret of {} to {} bytes", SECRET_BYTES.start(), SECRET_BYTES.end())]
    Secret,
}

impl Webhook {
    /// The webhook at `url`; with a `secret`, bodies are signed.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub fn new(url: &str, secret: Option<&str>) -> Result<Self, WebhookError> {
        if secret.is_some_and(|secret| !SECRET_BYTES.contains(&secret.len())) {
            return Err(WebhookError::Secret);
        }
        if url.len() > URL_BYTES_MAX {
            return Err(WebhookError::Url);
        }
        let uri: Uri = url.parse().map_err(|_| WebhookError::Url)?;
        let scheme = uri.scheme_str().filter(|s| matches!(*s, "http" | "https"));
        let authority = uri.authority().ok_or(WebhookError::Url)?;
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        if authority.host().is_empty() {
            return Err(WebhookError::Url);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            scheme: scheme.ok_or(WebhookError::Url)?.to_owned(),
            authority: host.to_owned(),
            path: path.to_owned(),
            authorization: user.map(basic),
            secret: secret.map(str::to_owned),
        })
    }

    /// `X-DataSync-Signature-256` of a body.
    fn signature(&self, body: &[u8]) -> Option<String> {
        let secret = self.secret.as_ref()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hmac::sign(&key, body);
        Some(format!("sha256={}", hex::encode(signature.as_ref())))
    }

    fn request(&self, event: &Event) -> Result<HttpRequest, String> {
        let body = super::envelope::envelope(event).to_string();
        let signature = self.signature(body.as_bytes());
        let mut request = HttpRequest::new(body.into());
        // Their words could repeat what they refuse.
        let unusable = "the request cannot be built";
        request.set_method("POST").map_err(|_| unusable)?;
        let url = format!("{}://{}{}", self.scheme, self.authority, self.path);
        request.set_uri(url).map_err(|_| unusable)?;
        let headers = [
            ("content-type", Some("application/json".to_owned())),
            ("user-agent", Some("datasync-control".to_owned())),
            ("x-datasync-event-id", Some(event.id.clone())),
            ("x-datasync-signature-256", signature),
            ("authorization", self.authorization.clone()),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                let added = request.headers_mut().try_insert(name, value);
                added.map_err(|_| unusable)?;
            }
        }
        Ok(request)
    }
}

/// RFC 7617.
fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut text: Vec<u8> = percent_decode_str(name).collect();
    text.push(b':');
    text.extend(percent_decode_str(password));
    format!("Basic {}", STANDARD.encode(text))
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

/// `https://HOST:PORT`.
impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// A webhook, and the way to it.
#[derive(Debug)]
pub(crate) struct Caller {
    webhook: Webhook,
    connector: Connector,
}

impl Caller {
    /// # Errors
    /// In words, if certificates or proxy cannot be used.
    pub(super) fn new(webhook: Webhook, egress: &Egress) -> Result<Self, String> {
        let connector = egress.connector(&webhook.to_string())?;
        Ok(Self { webhook, connector })
    }

    /// Any status of 200 to 299 is a receipt; redirections are not followed.
    ///
    /// # Errors
    /// In words, without anything that the webhook sent.
    pub(super) async fn post(&self, event: &Event) -> Result<(), String> {
        let request = self.webhook.request(event)?;
        match tokio::time::timeout(ATTEMPT_MAX, self.connector.call(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answers {}", answer.status().as_u16())),
            Ok(Err(error)) => Err(innermost(&error)),
            Err(_) => Err(format!("no answer within {} s", ATTEMPT_MAX.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Subject;

    fn event() -> Event {
        Event {
            sequence: Event::sequence(1, 0),
            id: "id".to_owned(),
            subject: Subject::Agent(crate::fleet::fixture::agent(0)),
            state: "ONLINE".to_owned(),
            at_ms: 0,
            warning: None,
        }
    }

    #[test]
    fn credentials_go_into_a_header_and_are_shown_nowhere() {
        let url = "https://us%40er:CANARY%2F1@hooks.example:8443/CANARY/path?token=CANARY";
        let webhook = Webhook::new(url, Some("CANARY-secret-of-many-bytes")).unwrap();
        assert_eq!(webhook.to_string(), "https://hooks.example:8443");
        assert!(!format!("{webhook:?}").contains("CANARY"));
        let request = webhook.request(&event()).unwrap();
        assert_eq!(
            request.uri(),
            "https://hooks.example:8443/CANARY/path?token=CANARY"
        );
        let expected = format!("Basic {}", STANDARD.encode("us@er:CANARY/1"));
        assert_eq!(request.headers().get("authorization"), Some(&*expected));
    }

    #[test]
    fn the_body_is_signed() {
        // RFC 4231 has no key this long and this text; computed by Python's hmac.
        let webhook = Webhook::new("http://h", Some("0123456789abcdef")).unwrap();
        let signature = webhook.signature(b"{}").unwrap();
        assert_eq!(
            signature,
            "sha256=f91e3e9f05cc2df64ac1c26f8adccdffda8d1e4a7a8c50a1a08eeadac6ddfec5"
        );
        assert_eq!(
            Webhook::new("http://h", None).unwrap().signature(b"{}"),
            None
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        for url in [
            "",
            "hooks.example",
            "ftp://CANARY@h/",
            "https:///CANARY",
            "https://u:CANARY@/",
            "https://h/CANARY with space",
        ] {
            let error = Webhook::new(url, None).unwrap_err();
            assert_eq!(error, WebhookError::Url, "{url}");
            assert!(!error.to_string().contains("CANARY"));
        }
        let short = Webhook::new("https://h", Some("short"));
        assert_eq!(short, Err(WebhookError::Secret));
    }
}
