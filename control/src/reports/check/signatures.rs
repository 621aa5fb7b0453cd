//! Who signed what.

use datasync_model::{ControlSignature, ReportStatement, SignedReport};
use jiff::Timestamp;

use super::Finding;
use super::trusted::{Key, Trusted};

/// What is wrong with the signatures over `statement`, which is what the document's list makes.
pub(super) fn findings(
    signed: &SignedReport,
    statement: &ReportStatement,
    trusted: &Trusted,
) -> Vec<Finding> {
    let root = (statement.root != signed.root).then_some(Finding::OtherRoot);
    let control = match &signed.control {
        None => Some(Finding::NotCountersigned),
        Some(control) => of_control(signed, statement, (control, trusted)),
    };
    let agent = of_agent(signed, statement);
    [root, control, agent].into_iter().flatten().collect()
}

fn of_control(
    signed: &SignedReport,
    statement: &ReportStatement,
    (control, trusted): (&ControlSignature, &Trusted),
) -> Option<Finding> {
    let key_id = control.key_id.clone();
    let Some(trusted) = trusted.key(&key_id) else {
        return Some(Finding::UnknownKey { key_id });
    };
    let agent = &signed.agent;
    let text = statement.signed_by_control(
        (&agent.agent_arn, &agent.key_id, &agent.signature),
        (&key_id, &control.signed_at),
    );
    if !trusted.key.signed(&text, &control.signature) {
        return Some(Finding::WrongCountersignature { key_id });
    }
    let signed_at = control.signed_at.parse::<Timestamp>();
    if signed_at.is_ok_and(|at| trusted.was_in_use(at)) {
        return None;
    }
    let (from, until) = trusted.span();
    Some(Finding::KeyNotInUse {
        key_id,
        signed_at: control.signed_at.clone(),
        from,
        until,
    })
}

fn of_agent(signed: &SignedReport, statement: &ReportStatement) -> Option<Finding> {
    let agent = &signed.agent;
    let text = statement.signed_by_agent(&agent.agent_arn, &agent.key_id);
    let key = Key::new(&agent.public_key, &agent.key_id);
    let is_signed = key.is_ok_and(|key| key.signed(&text, &agent.signature));
    (!is_signed).then(|| Finding::WrongSignature {
        key_id: agent.key_id.clone(),
    })
}
