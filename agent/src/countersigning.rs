//! Reports whose roots are to be signed: asked by executions, signed over the session, where the
//! agent's key and control are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{
    AgentSignature, ControlAbility, ControlSignature, Digest, ReportStatement, TaskExecutionArn,
};
use datasync_proto::{ReportCountersigned, ReportSigned};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::identity::Signer;

/// What control has not answered is sent again after this time.
const REPEAT_INTERVAL: Duration = Duration::from_secs(30);
/// A control that holds a session and has not answered in it for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Texts of control are kept up to this length, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// Both signatures of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signatures {
    pub(crate) agent: AgentSignature,
    pub(crate) control: ControlSignature,
}

/// What became of the wish for signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Signed(Box<Signatures>),
    /// Control is of a release that signs no reports.
    Unable,
    /// Control's words.
    Refused(String),
}

#[derive(Debug)]
struct Asked {
    statement: ReportStatement,
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the control that welcomed the agent last countersigns; `None` before the first.
    control: Option<bool>,
    asked: BTreeMap<String, Asked>,
}

/// Where executions ask and the session answers. Clones share their content.
#[derive(Debug, Clone, Default)]
pub(crate) struct SigningDesk(Arc<watch::Sender<State>>);

impl SigningDesk {
    /// Waits until both have signed, for ever while control is away, and for [`PATIENCE`] while it does
    /// not answer.
    pub(crate) async fn signed(&self, statement: ReportStatement) -> Answer {
        let id = statement.execution.id().to_owned();
        let mut changes = self.0.subscribe();
        let _withdrawn_on_drop = self.ask(&id, statement);
        loop {
            {
                let state = changes.borrow_and_update();
                let answer = state.asked.get(&id).and_then(|asked| asked.answer.clone());
                match answer {
                    Some(answer) => return answer,
                    None if state.control == Some(false) => return Answer::Unable,
                    None => {}
                }
            }
            if changes.changed().await.is_err() {
                return Answer::Refused("the agent is stopping".to_owned());
            }
        }
    }

    fn ask(&self, id: &str, statement: ReportStatement) -> Withdrawal {
        let asked = Asked {
            statement,
            answer: None,
        };
        self.0.send_modify(|state| {
            state.asked.insert(id.to_owned(), asked);
        });
        Withdrawal {
            desk: self.clone(),
            id: id.to_owned(),
        }
    }

    /// A control welcomed the agent.
    pub(crate) fn welcomed(&self, abilities: &[String]) {
        let countersigns = ControlAbility::CountersignReports.as_str();
        let is_able = abilities.iter().any(|ability| ability == countersigns);
        self.0.send_modify(|state| state.control = Some(is_able));
    }

    /// A session's view, to which nothing was sent yet.
    pub(crate) fn session(&self) -> DeskSession {
        let mut changes = self.0.subscribe();
        changes.mark_changed();
        DeskSession {
            desk: self.clone(),
            changes,
            sent: BTreeMap::new(),
        }
    }
}

/// Takes a question back when nobody waits for the answer any more.
struct Withdrawal {
    desk: SigningDesk,
    id: String,
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        self.desk.0.send_modify(|state| {
            state.asked.remove(&self.id);
        });
    }
}

/// What one session has sent.
#[derive(Debug)]
pub(crate) struct DeskSession {
    desk: SigningDesk,
    changes: watch::Receiver<State>,
    sent: BTreeMap<String, Sent>,
}

#[derive(Debug)]
struct Sent {
    root: Digest,
    first_at: Instant,
    at: Instant,
    signature: AgentSignature,
}

impl DeskSession {
    /// Waits until something may be due that was not.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// What is to be sent now: signed by the agent, not yet answered.
    pub(crate) fn due(&mut self, signer: &Signer, now: Instant) -> Vec<ReportSigned> {
        self.give_up(now);
        let state = self.changes.borrow_and_update();
        self.sent.retain(|id, _| state.asked.contains_key(id));
        if state.control != Some(true) {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (id, asked) in &state.asked {
            let statement = &asked.statement;
            let before = self.sent.get(id);
            let before = before.filter(|sent| sent.root == statement.root);
            let is_waiting = before.is_some_and(|sent| now < sent.at + REPEAT_INTERVAL);
            if is_waiting || asked.answer.is_some() {
                continue;
            }
            let first_at = before.map_or(now, |sent| sent.first_at);
            match signer.sign_report(statement) {
                Ok((signature, der)) => {
                    due.push(message(statement, der));
                    let root = statement.root;
                    let at = now;
                    self.sent.insert(
                        id.clone(),
                        Sent {
                            root,
                            first_at,
                            at,
                            signature,
                        },
                    );
                }
                Err(error) => {
                    tracing::error!(task_execution_id = id, %error, "cannot sign a report")
                }
            }
        }
        due
    }

    /// Ends the waits for what control does not answer.
    fn give_up(&self, now: Instant) {
        self.desk.0.send_if_modified(|state| {
            let mut is_modified = false;
            for (id, asked) in &mut state.asked {
                let sent = self.sent.get(id);
                let sent = sent.filter(|sent| sent.root == asked.statement.root);
                if asked.answer.is_none()
                    && sent.is_some_and(|sent| sent.first_at + PATIENCE <= now)
                {
                    let minutes = PATIENCE.as_secs() / 60;
                    let reason = format!("it was asked for {minutes} minutes and did not answer");
                    asked.answer = Some(Answer::Refused(reason));
                    is_modified = true;
                }
            }
            is_modified
        });
    }

    /// Takes control's answer, if it is to what was sent last.
    pub(crate) fn answered(&self, message: &ReportCountersigned) {
        let Ok(execution) = message.execution_arn.parse::<TaskExecutionArn>() else {
            return;
        };
        let id = execution.id();
        let Some(sent) = self.sent.get(id) else {
            return;
        };
        if message.root != sent.root.as_bytes() {
            return;
        }
        let answer = if message.error_detail.is_empty() {
            if hex::encode(&message.agent_signature) != sent.signature.signature {
                return;
            }
            Answer::Signed(Box::new(Signatures {
                agent: sent.signature.clone(),
                control: ControlSignature {
                    key_id: message.key_id.clone(),
                    signed_at: message.signed_at.clone(),
                    signature: hex::encode(&message.signature),
                },
            }))
        } else {
            let detail = &message.error_detail;
            let end = detail.floor_char_boundary(DETAIL_BYTES_MAX);
            Answer::Refused(detail[..end].to_owned())
        };
        self.desk.0.send_if_modified(|state| {
            let asked = state.asked.get_mut(id);
            let asked = asked.filter(|asked| asked.statement.root == sent.root);
            asked.map(|asked| asked.answer = Some(answer)).is_some()
        });
    }
}

fn message(statement: &ReportStatement, signature: Vec<u8>) -> ReportSigned {
    ReportSigned {
        execution_arn: statement.execution.to_string(),
        objects: statement.objects,
        entries: statement.entries,
        root: statement.root.as_bytes().to_vec(),
        signature,
    }
}

#[cfg(test)]
mod tests;
