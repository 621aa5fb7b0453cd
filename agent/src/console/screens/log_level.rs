//! How much the agent logs.

use super::super::command::Command;
use super::super::form::{Field, Form, Kind};

const LEVEL: &str = "Level";
const LEVELS: &[&str] = &["error", "warn", "info", "debug"];

/// `level` is the one that is configured; it may be directives.
pub(in super::super) fn form(level: &str) -> Form {
    Form::new(
        "Level of the log",
        &[
            "From which severity on the agent logs. It counts at once, and stays until it is changed \
             here again. \"debug\" is much: for as long as something is looked for.",
        ],
        vec![Field::new(LEVEL, Kind::Choice(LEVELS), level)],
        "Set",
    )
}

pub(in super::super) fn submit(form: &Form) -> Command {
    Command::SetLogLevel {
        level: form.value(LEVEL).to_owned(),
    }
}
