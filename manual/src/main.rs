//! `datasync-manual FOLDER`: see the library.

use std::path::Path;
use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: datasync-manual FOLDER");
        return ExitCode::from(EXIT_USAGE);
    };
    match datasync_manual::write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "datasync-manual: cannot write below {}: {error}",
                folder.display()
            );
            ExitCode::FAILURE
        }
    }
}
