//! Where events and the audit log go.

mod files;

use std::io::Read;
use std::path::{Path, PathBuf};

use super::layers::Layers;
use super::{in_range, is_role_arn};
use crate::events::{Webhook, WebhookError};
use crate::rolling::RollingSettings;

/// More than a secret may have.
const SECRET_FILE_BYTES_MAX: u64 = 8192;

/// What control writes besides its state and its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// The file that events go to; `None`: none.
    pub event_file: Option<RollingSettings>,
    /// Where events are posted to.
    pub event_webhook: Option<Webhook>,
    /// Where the audit log goes; `None`: none is kept.
    pub audit: Option<RollingSettings>,
    /// In place of AWS's CloudWatch Logs.
    pub cloudwatch_endpoint: Option<String>,
    /// Whose credentials send to CloudWatch Logs; `None`: those of the AWS default chain.
    pub cloudwatch_role_arn: Option<String>,
}

pub(super) fn outputs(layers: &mut Layers, state_dir: Option<&Path>) -> Option<Outputs> {
    let event_file = rolling(layers, &EVENTS, state_dir);
    let event_webhook = webhook(layers);
    let cloudwatch_endpoint = checked(layers, "cloudwatch_endpoint", is_url, "an http[s] URL");
    let role = checked(
        layers,
        "cloudwatch_role_arn",
        is_role_arn,
        "the ARN of an IAM role",
    );
    let audit = rolling(layers, &AUDIT, state_dir);
    let (event_file, audit) = (event_file?, audit?);
    let others = files::of_others(layers, state_dir);
    let ours = [(EVENTS.file, &event_file), (AUDIT.file, &audit)];
    let clashes = files::clashes(&ours, &others);
    if !clashes.is_empty() {
        clashes.into_iter().for_each(|clash| layers.fault(clash));
        return None;
    }
    Some(Outputs {
        event_file,
        event_webhook,
        audit,
        cloudwatch_endpoint,
        cloudwatch_role_arn: role,
    })
}

/// A text that is `what`; an empty one is none.
fn checked(
    layers: &mut Layers,
    name: &'static str,
    is_good: impl Fn(&str) -> bool,
    what: &str,
) -> Option<String> {
    let text = layers.optional(name).filter(|text| !text.is_empty())?;
    if is_good(&text) {
        return Some(text);
    }
    layers.fault(format!("{name}: {text:?} must be {what}"));
    None
}

fn is_url(text: &str) -> bool {
    let uri: Result<http::Uri, _> = text.parse();
    uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
    })
}

/// The settings and the defaults of a file that is rolled.
struct RollingNames {
    file: &'static str,
    default_name: &'static str,
    mib: &'static str,
    default_mib: &'static str,
}

const AUDIT: RollingNames = RollingNames {
    file: "audit_file",
    default_name: "audit.jsonl",
    mib: "audit_file_mib",
    default_mib: "256",
};

const EVENTS: RollingNames = RollingNames {
    file: "event_file",
    default_name: "events.jsonl",
    mib: "event_file_mib",
    default_mib: "64",
};

/// The outer `None` is a fault, the inner one an empty path: no file is wanted.
#[allow(clippy::option_option, reason = "a fault is not an absent file")]
fn rolling(
    layers: &mut Layers,
    names: &RollingNames,
    state_dir: Option<&Path>,
) -> Option<Option<RollingSettings>> {
    let mib = layers.parsed(names.mib, names.default_mib, |text| {
        in_range(text, 1, 1 << 20, "MiB")
    });
    let path = match layers.optional(names.file) {
        Some(path) => PathBuf::from(path),
        None => state_dir?.join(names.default_name),
    };
    let bytes_max = mib? << 20;
    let wanted = !path.as_os_str().is_empty();
    Some(wanted.then_some(RollingSettings { path, bytes_max }))
}

/// An empty URL is no webhook. No fault repeats URL or secret.
fn webhook(layers: &mut Layers) -> Option<Webhook> {
    let url = layers.optional("event_webhook_url");
    let secret = layers.optional("event_webhook_secret_file");
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        if secret.is_some() {
            layers.fault("event_webhook_secret_file makes no sense without event_webhook_url");
        }
        return None;
    };
    let secret = match secret.map(|path| secret_file(&path)).transpose() {
        Ok(secret) => secret,
        Err(fault) => {
            layers.fault(fault);
            return None;
        }
    };
    Webhook::new(&url, secret.as_deref())
        .map_err(|error| {
            let name = match error {
                WebhookError::Url => "event_webhook_url",
                WebhookError::Secret => "event_webhook_secret_file",
            };
            layers.fault(format!("{name}: {error}"));
        })
        .ok()
}

fn secret_file(path: &str) -> Result<String, String> {
    let failed =
        |error: std::io::Error| format!("event_webhook_secret_file: cannot read {path}: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SECRET_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
