//! Everything that this process logs, at every level.

use std::io::{self, Write};
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::fmt::MakeWriter;

static LOG: OnceLock<Log> = OnceLock::new();

/// The text logged so far.
pub(crate) struct Log(Mutex<Vec<u8>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

pub(crate) struct Line(&'static Log);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for &'static Log {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(self)
    }
}

/// The log of this process; capturing begins with the first call.
pub(crate) fn log() -> &'static Log {
    let mut first = false;
    let log = LOG.get_or_init(|| {
        first = true;
        Log(Mutex::new(Vec::new()))
    });
    if first {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log)
            .init();
    }
    log
}
