//! The way to control, hop by hop.

use super::super::page::{Grade, Line};
use crate::link::Hop;

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
