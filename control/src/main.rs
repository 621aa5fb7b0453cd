//! `datasync-control`: see `datasync-control --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    datasync_control::run(std::env::args_os(), &|name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })
}
