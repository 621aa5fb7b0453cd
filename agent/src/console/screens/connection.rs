//! The way to control, hop by hop.

use super::super::command::Command;
use super::super::form::{Field, Form};
use super::super::page::{Grade, Line};
use crate::appliance::ControlSettings;
use crate::config::Layers;
use crate::link::Hop;

const ADDRESS: &str = "Control";
const FINGERPRINT: &str = "Fingerprint";

/// Where control is, on the appliance.
pub(in super::super) fn form(control: &ControlSettings) -> Form {
    Form::new(
        "Connection to control",
        &[
            "HOST:PORT of control; several are separated by commas. The fingerprint is that of its \
             certificate authority (\"datasync-control ca show\"); empty: what is trusted stays.",
        ],
        vec![
            Field::text(ADDRESS, control.address.as_str()),
            Field::text(FINGERPRINT, control.fingerprint.as_str()),
        ],
        "Save and test",
    )
}

/// What is as it was is not saved again.
///
/// # Errors
/// What is wrong with what was filled in.
pub(in super::super) fn submit(form: &Form, now: &ControlSettings) -> Result<Command, String> {
    let settings = ControlSettings {
        address: form.value(ADDRESS).to_owned(),
        fingerprint: form.value(FINGERPRINT).to_owned(),
    };
    if settings == *now {
        return Ok(Command::TestConnection);
    }
    let none = || "0".repeat(64);
    let fingerprint = Some(settings.fingerprint.clone()).filter(|text| !text.is_empty());
    let given = [
        ("control", settings.address.clone()),
        ("control_fingerprint", fingerprint.unwrap_or_else(none)),
    ];
    let given = given.map(|(member, value)| (member.to_owned(), value));
    Layers::from_values("here", given)
        .validate()
        .map_err(|faults| faults.0.join("; "))?;
    Ok(Command::SetControl(settings))
}

/// What came of the test of each address.
pub(in super::super) fn lines(addresses: &[(String, Vec<Hop>)]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (address, hops) in addresses {
        if !lines.is_empty() {
            lines.push(Line::plain(""));
        }
        lines.push(Line::plain(format!("Control at {address}")));
        lines.extend(hops.iter().map(hop));
        if let Some(failed) = hops.iter().find(|hop| hop.result.is_err()) {
            lines.push(Line::plain(advice(failed.name)));
        }
    }
    lines
}

pub(in super::super) fn hop(hop: &Hop) -> Line {
    match &hop.result {
        Ok(text) => Line::ok(format!("{}: {text}", hop.name)),
        Err(text) if hop.is_spare => Line::graded(
            Grade::Warning,
            format!(
                "{}: {text}; needed where the server's port is not fixed",
                hop.name
            ),
        ),
        Err(text) => Line::fail(format!("{}: {text}", hop.name)),
    }
}

fn advice(hop: &str) -> &'static str {
    match hop {
        "DNS" => "Check the name in the setting \"control\", and this machine's DNS servers.",
        "TCP" => {
            "Check routes, firewalls and the port (9443 unless control is configured otherwise)."
        }
        "TLS" => {
            "Check control_ca or control_fingerprint against \"datasync-control ca show\", the name \
             in control's certificate, and the clocks."
        }
        _ => {
            "Something between here and control answers that is not control, or control is failing: see its log."
        }
    }
}
