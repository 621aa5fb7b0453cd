//! What one line says.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::records::AccessKey;

/// What a client may make a line hold of a text of its own, in characters.
const TEXT_MAX: usize = 128;
/// ARNs of one call that are written.
const RESOURCES_MAX: usize = 16;
/// The longest ARN of the API's model.
const ARN_CHARACTERS_MAX: usize = 128;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// The error's code, and the HTTP status.
    Refused(&'static str, u16),
    /// The connection ended before the answer was decided. A change may have been made.
    ClientGone,
}

/// What is known of a call so far.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    request_id: String,
    source: SocketAddr,
    /// As the client claims, until `authenticated`.
    access_key_id: Option<String>,
    key_name: Option<String>,
    authenticated: bool,
    operation: Option<String>,
    resources: Vec<String>,
}

impl Entry {
    pub(crate) fn new(request_id: &str, source: SocketAddr) -> Self {
        Self {
            request_id: request_id.to_owned(),
            source,
            access_key_id: None,
            key_name: None,
            authenticated: false,
            operation: None,
            resources: Vec::new(),
        }
    }

    pub(crate) fn claimed_by(&mut self, access_key_id: &str) {
        self.access_key_id = Some(shown(access_key_id));
    }

    pub(crate) fn signed_by(&mut self, key: &AccessKey) {
        self.access_key_id = Some(key.access_key_id.clone());
        self.key_name.clone_from(&key.name);
        self.authenticated = true;
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    pub(crate) fn asks_for(&mut self, operation: &str) {
        self.operation = Some(shown(operation));
    }

    /// Notes the ARNs that `members`, of a request or of an answer, name at its top.
    pub(crate) fn names(&mut self, members: &Value) {
        let members = members.as_object().into_iter().flatten();
        for (_, value) in members.filter(|(name, _)| name.ends_with("Arn")) {
            let arn = value.as_str().filter(|text| is_arn(text));
            let Some(arn) = arn.filter(|_| self.resources.len() < RESOURCES_MAX) else {
                continue;
            };
            if !self.resources.iter().any(|known| known == arn) {
                self.resources.push(arn.to_owned());
            }
        }
    }

    /// The line, with its end.
    pub(super) fn line(&self, outcome: &Outcome, now: Timestamp, left_out: u64) -> String {
        let (result, status) = match outcome {
            Outcome::Answered => ("ok", Some(200)),
            Outcome::Refused(code, status) => (*code, Some(*status)),
            Outcome::ClientGone => ("ClientGone", None),
        };
        let mut line = json!({
            "time": format!("{now:.3}"),
            "requestId": self.request_id,
            "sourceAddress": self.source.ip(),
            "accessKeyId": self.access_key_id,
            "keyName": self.key_name,
            "authenticated": self.authenticated,
            "operation": self.operation,
            "resources": self.resources,
            "result": result,
            "status": status,
        });
        if left_out > 0 {
            line["unauthenticatedLeftOut"] = left_out.into();
        }
        format!("{line}\n")
    }
}

fn shown(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn is_arn(text: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || ":/-_.+=,@*".contains(c);
    text.starts_with("arn:") && text.len() <= ARN_CHARACTERS_MAX && text.chars().all(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_resources_and_holds_nothing_else_of_the_members() {
        let mut entry = Entry::new("id", ([192, 0, 2, 7], 1).into());
        entry.claimed_by("AKIAEXAMPLE");
        entry.asks_for("CreateAgent");
        let arn = "arn:aws:datasync:us-east-1:123456789012:agent/agent-0123456789abcdef0";
        entry.names(&json!({
            "ActivationKey": "CANARY",
            "SecretKey": "CANARY",
            "CmkSecretConfig": {"SecretArn": "CANARY"},
            "SecretArn": "arn:aws:x\nCANARY",
            "TaskArn": format!("arn:{}", "CANARY".repeat(100)),
            "AgentArn": arn,
        }));
        entry.names(&json!({"AgentArn": arn}));
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        let line = entry.line(&Outcome::Answered, now, 0);
        assert!(!line.contains("CANARY"), "{line}");
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["resources"], json!([arn]));
        assert_eq!(line["sourceAddress"], "192.0.2.7");
        assert_eq!(line["time"], "2026-02-02T02:40:00.000Z");
    }

    #[test]
    fn what_strangers_send_is_cut() {
        let mut entry = Entry::new("id", ([192, 0, 2, 7], 1).into());
        entry.claimed_by(&"k".repeat(50_000));
        entry.asks_for(&"o\n".repeat(50_000));
        let many: serde_json::Map<_, _> = (0..100)
            .map(|n| (format!("M{n}Arn"), json!(format!("arn:{n}"))))
            .collect();
        entry.names(&Value::Object(many));
        let line = entry.line(&Outcome::Refused("X", 400), Timestamp::UNIX_EPOCH, 7);
        assert!(line.len() < 4096 && line.matches('\n').count() == 1);
        assert!(line.contains("\"unauthenticatedLeftOut\":7"));
    }
}
