//! A file whose readers wait, as on a disk that hangs: for tests of what must not wait with them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// So long readers wait if nobody lets them go on.
const LATE: Duration = Duration::from_secs(20);

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
            // Both ways: to open it for writing alone would wait for a reader.
            let mut pipe = OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap();
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
