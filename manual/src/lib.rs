//! Man pages and shell completions, made from the command lines of the programs themselves.
//!
//! A program of its own, so that those that are installed carry nothing of it.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// Below the folder: the man pages, one for each command and subcommand.
pub const MAN: &str = "man/man1";
/// Shells, the folders of their completions, which are named as the packages of distributions expect.
pub const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// The command lines of the programs that are installed.
#[must_use]
pub fn programs() -> Vec<Command> {
    vec![
        datasync_agent::arguments::Arguments::command(),
        datasync_control::command(),
    ]
}

/// The file of `program`'s completions for `shell`.
#[must_use]
pub fn completion_file(shell: Shell, program: &str) -> String {
    match shell {
        Shell::Zsh => format!("_{program}"),
        Shell::Fish => format!("{program}.fish"),
        _ => program.to_owned(),
    }
}

/// Writes everything below `folder`, laid out as below `/usr/share`.
///
/// # Errors
/// What the file system says.
pub fn write(folder: &Path) -> io::Result<()> {
    let man = folder.join(MAN);
    fs::create_dir_all(&man)?;
    for program in programs() {
        let name = program.get_name().to_owned();
        for (shell, place) in SHELLS {
            let place = folder.join(place);
            fs::create_dir_all(&place)?;
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut program.clone(), &name, &mut text);
            fs::write(place.join(completion_file(shell, &name)), text)?;
        }
        clap_mangen::generate_to(program, &man)?;
    }
    Ok(())
}
