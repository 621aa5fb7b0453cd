//! The support bundle.

use super::super::command::Command;
use super::super::form::{Field, Form};

const DIRECTORY: &str = "Directory";

pub(in super::super) fn form(directory: &str) -> Form {
    Form::new(
        "Support bundle",
        &[
            "A tar.gz with the agent's settings, its state, the checks of this console and the log. \
             No keys, passwords, certificates or data are in it; names of files that failed may be.",
        ],
        vec![Field::text(DIRECTORY, directory)],
        "Make",
    )
}

/// # Errors
/// If the directory is no absolute path.
pub(in super::super) fn submit(form: &Form) -> Result<Command, String> {
    let directory = form.value(DIRECTORY);
    if !directory.starts_with('/') {
        return Err("The directory is an absolute path: it begins with \"/\".".to_owned());
    }
    Ok(Command::MakeBundle {
        directory: directory.to_owned(),
    })
}
