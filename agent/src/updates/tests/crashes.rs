//! A process that is killed before each step that it takes on the disk leaves something that starts.

use datasync_model::ReleaseVersion;

use super::super::boot::decide;
use super::super::bundle::{Here, Refusal};
use super::super::disk::Disk;
use super::super::keys::ReleaseKeys;
use super::super::shelf::Shelf;
use super::super::standing::{Choice, Release, STARTS_MAX, Standing};
use super::{Signer, bundle};
use crate::state::StateError;

const PACKAGED: &str = "1.0.0";

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

/// What one life of the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Installs(&'static str),
    /// It starts and reaches control.
    Reaches,
    /// It starts and gives itself up.
    GivesUp,
}

struct World<'a> {
    state_dir: &'a std::path::Path,
    keys: &'a ReleaseKeys,
    signer: &'a Signer,
}

impl World<'_> {
    fn shelf(&self, disk: Disk) -> Shelf {
        Shelf::new(self.state_dir, self.keys.clone()).on(disk)
    }

    /// As the agent does it. An error is the end of the process.
    fn live(&self, life: Life, disk: Disk) -> Result<(), Refusal> {
        let shelf = self.shelf(disk);
        let mut standing = shelf.read().unwrap();
        let failed = |e: String| {
            Refusal::State(StateError::new(
                "write",
                self.state_dir,
                std::io::Error::other(e),
            ))
        };
        match life {
            Life::Installs(text) => {
                let here = Here {
                    architecture: std::env::consts::ARCH.to_owned(),
                    running: version(PACKAGED),
                };
                let mut intake = shelf.intake(&here, false);
                let program = format!("#!/bin/sh\necho {text}\n").repeat(20);
                for part in bundle(self.signer, text, program.as_bytes()).chunks(100) {
                    intake.take(part)?;
                }
                let manifest = intake.finish()?;
                shelf.shelve(&manifest, &standing)?;
                let release = Release {
                    version: manifest.version,
                    older_than: None,
                };
                standing.stage(release, None);
                shelf.write(&standing)?;
            }
            Life::Reaches | Life::GivesUp => {
                let packaged = version(PACKAGED);
                let (choice, written) = decide(&shelf, &mut standing, &packaged);
                written.map_err(failed)?;
                let running = match choice {
                    Choice::Packaged => packaged,
                    Choice::Release(version) => version,
                };
                if life == Life::Reaches {
                    standing.confirm(&running);
                } else {
                    standing.roll_back("it hangs".to_owned());
                }
                shelf.write(&standing)?;
                shelf.tidy(&standing)?;
            }
        }
        Ok(())
    }

    /// What starts now, on a disk that works.
    fn starts(&self) -> (Standing, ReleaseVersion) {
        let shelf = self.shelf(Disk::default());
        let mut standing = shelf.read().unwrap();
        let (choice, written) = decide(&shelf, &mut standing, &version(PACKAGED));
        written.unwrap();
        match choice {
            Choice::Packaged => (standing, version(PACKAGED)),
            Choice::Release(version) => {
                shelf.verify(&version).unwrap();
                assert!(shelf.program(&version).is_file());
                (standing, version)
            }
        }
    }
}

/// Lives through `before`, is killed in `last` after `steps`, and starts again. What starts, and
/// whether it came to its end.
fn killed(
    signer: &Signer,
    keys: &ReleaseKeys,
    before: &[Life],
    (last, steps): (Life, usize),
) -> (Standing, ReleaseVersion, bool) {
    let scratch = tempfile::tempdir().unwrap();
    let world = World {
        state_dir: scratch.path(),
        keys,
        signer,
    };
    for life in before {
        world.live(*life, Disk::default()).unwrap();
    }
    let ended = world.live(last, Disk::failing_after(steps)).is_ok();
    let (standing, started) = world.starts();
    // And it can be updated further, whatever is lying about.
    let next = Life::Installs("9.0.0");
    let tidied = world.shelf(Disk::default()).tidy(&standing);
    tidied.unwrap();
    if standing.tried().is_none() {
        world.live(next, Disk::default()).unwrap();
        assert_eq!(world.starts().1, version("9.0.0"));
    }
    (standing, started, ended)
}

fn sweep(before: &[Life], last: Life, allowed: &[&str]) {
    let signer = Signer::new();
    let keys = signer.keys();
    let mut seen = std::collections::BTreeSet::new();
    for steps in 0.. {
        let (_, started, ended) = killed(&signer, &keys, before, (last, steps));
        let started = started.to_string();
        assert!(allowed.contains(&started.as_str()), "{steps}: {started}");
        seen.insert(started);
        if ended {
            assert!(steps > 2, "nothing was written");
            break;
        }
    }
    assert_eq!(seen.len(), allowed.len(), "{seen:?} of {allowed:?}");
}

#[test]
fn killed_while_it_installs() {
    sweep(&[], Life::Installs("2.0.0"), &["1.0.0", "2.0.0"]);
    let before = [Life::Installs("2.0.0"), Life::Reaches];
    sweep(&before, Life::Installs("3.0.0"), &["2.0.0", "3.0.0"]);
}

#[test]
fn killed_while_it_reaches_control() {
    let before = [Life::Installs("2.0.0")];
    sweep(&before, Life::Reaches, &["2.0.0"]);
    let before = [
        Life::Installs("2.0.0"),
        Life::Reaches,
        Life::Installs("3.0.0"),
    ];
    sweep(&before, Life::Reaches, &["3.0.0"]);
}

#[test]
fn killed_while_it_gives_itself_up() {
    let before = [
        Life::Installs("2.0.0"),
        Life::Reaches,
        Life::Installs("3.0.0"),
    ];
    sweep(&before, Life::GivesUp, &["2.0.0", "3.0.0"]);
}

#[test]
fn a_start_that_cannot_be_counted_is_not_tried() {
    let signer = Signer::new();
    let keys = signer.keys();
    let scratch = tempfile::tempdir().unwrap();
    let world = World {
        state_dir: scratch.path(),
        keys: &keys,
        signer: &signer,
    };
    world
        .live(Life::Installs("2.0.0"), Disk::default())
        .unwrap();
    let full = world.shelf(Disk::failing_after(0));
    for _ in 0..=STARTS_MAX {
        let mut standing = full.read().unwrap();
        let (choice, written) = decide(&full, &mut standing, &version(PACKAGED));
        assert_eq!(choice, Choice::Packaged);
        written.unwrap_err();
    }
    assert_eq!(world.starts().1, version("2.0.0"), "there is room again");
}

#[test]
fn files_that_were_changed_and_keys_that_went_are_found_at_the_start() {
    let signer = Signer::new();
    let keys = signer.keys();
    let scratch = tempfile::tempdir().unwrap();
    let world = World {
        state_dir: scratch.path(),
        keys: &keys,
        signer: &signer,
    };
    world
        .live(Life::Installs("2.0.0"), Disk::default())
        .unwrap();
    world.live(Life::Reaches, Disk::default()).unwrap();
    assert_eq!(world.starts().1, version("2.0.0"));
    let other = Signer::new().keys();
    let revoked = Shelf::new(scratch.path(), other);
    let fault = revoked.verify(&version("2.0.0")).unwrap_err();
    assert!(fault.contains("not among release_keys"), "{fault}");
    let program = world.shelf(Disk::default()).program(&version("2.0.0"));
    let mut content = std::fs::read(&program).unwrap();
    content[3] ^= 1;
    std::fs::write(&program, content).unwrap();
    let (standing, started) = world.starts();
    assert_eq!(started, version(PACKAGED));
    let reason = standing.last.unwrap().rolled_back.unwrap();
    assert!(reason.contains("damaged"), "{reason}");
}
