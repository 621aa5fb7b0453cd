//! A file whose readers wait, as on a disk that hangs: for tests of what must not wait with them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// So long readers wait if nobody lets them go on, and are waited for.
const LATE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Readers wait until it is released.
pub(crate) struct StuckFile {
    release: mpsc::Sender<()>,
    releasing: JoinHandle<bool>,
}

impl StuckFile {
    /// Puts it in the place of the file `path`, whose content its first reader gets at last.
    pub(crate) fn put(path: &Path) -> Self {
        let content = std::fs::read(path).unwrap();
        let pipe = path.with_extension("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::fs::rename(&pipe, path).unwrap();
        let path = PathBuf::from(path);
        let (release, released) = mpsc::channel();
        let releasing = Builder::new().spawn(move || {
            let in_time = released.recv_timeout(LATE).is_ok();
            let mut pipe = with_reader(&path).expect("nobody reads the file");
            pipe.write_all(&content).unwrap();
            in_time
        });
        Self {
            release,
            releasing: releasing.unwrap(),
        }
    }

    /// Lets the reader that waits go on. Whether it still waited.
    pub(crate) fn release(self) -> bool {
        self.release.send(()).ok();
        self.releasing.join().unwrap()
    }
}

/// The pipe once somebody reads it, or waits to: what is written before that is lost.
fn with_reader(path: &Path) -> Option<File> {
    let began = Instant::now();
    while began.elapsed() < LATE {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(pipe) => return Some(File::from(pipe)),
            Err(error) if error == Errno::NXIO => std::thread::sleep(PAUSE),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    None
}
