//! A PostgreSQL server of a test's own, in a directory of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Postgres;

/// PostgreSQL does not run as root: then `nobody` runs it.
const NOBODY: u32 = 65_534;
/// The default, which names the socket.
const PORT: u16 = 5432;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    directory: TempDir,
    postmaster: Option<Child>,
    databases: AtomicU32,
    settings: Vec<String>,
    runs: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            let paths = versions.map(|version| version.unwrap().path().join("bin").join(name));
            paths.filter(|path| path.exists()).collect()
        })
        .unwrap_or_default();
    found.sort();
    let found = found.pop().unwrap_or_else(|| PathBuf::from(name));
    assert!(
        Command::new(&found).arg("--version").output().is_ok(),
        "{name} is missing: install the package postgresql (tests/run does)"
    );
    found
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[], |_| {})
    }

    /// `settings` are `name=value`; `prepare` may put files into the server's directory.
    pub(crate) fn with(settings: &[&str], prepare: impl FnOnce(&Server)) -> Self {
        let directory = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let mut server = Self {
            directory,
            postmaster: None,
            databases: AtomicU32::new(0),
            settings: settings.iter().map(ToString::to_string).collect(),
            runs: 0,
        };
        server.give(server.directory.path());
        let mut initdb = server.command("initdb");
        let data = server.data();
        initdb.args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
        ]);
        let made = initdb.arg("-D").arg(data).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        prepare(&server);
        server.run();
        server
    }

    fn runs_as_root(&self) -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    /// Makes a file the server's own.
    pub(crate) fn give(&self, path: &std::path::Path) {
        if self.runs_as_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give(&path);
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        if self.runs_as_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts it, also again after [`Self::kill`].
    pub(crate) fn run(&mut self) {
        let log = self.directory.path().join("log");
        let log = || {
            let mut options = fs::OpenOptions::new();
            options.create(true).append(true).open(&log).unwrap()
        };
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data());
        postgres.arg("-k").arg(self.directory.path());
        for setting in ["listen_addresses=", "fsync=off", "full_page_writes=off"] {
            postgres.args(["-c", setting]);
        }
        for setting in &self.settings {
            postgres.args(["-c", setting]);
        }
        let started = postgres.stdout(log()).stderr(log()).spawn().unwrap();
        self.postmaster = Some(started);
        self.runs += 1;
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready() {
            let ended = self.postmaster.as_mut().unwrap().try_wait().unwrap();
            let waits = ended.is_none() && Instant::now() < deadline;
            assert!(waits, "PostgreSQL does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let ready = "database system is ready to accept connections";
        self.log().matches(ready).count() == self.runs
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// As a power cut would end it, if it runs.
    pub(crate) fn kill(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            let pid = postmaster.id().to_string();
            Command::new("kill").args(["-QUIT", &pid]).status().unwrap();
            postmaster.wait().unwrap();
        }
    }

    /// The URL of a new, empty database.
    pub(crate) fn new_database(&self) -> String {
        self.new_database_with("ENCODING 'UTF8'")
    }

    pub(crate) fn new_database_with(&self, options: &str) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0 {options}"),
        );
        let socket = self.directory.path().to_str().unwrap().to_owned();
        format!("postgresql:///{name}?user=postgres&host={socket}")
    }

    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        self.psql_at(PORT, database, sql)
    }

    pub(crate) fn psql_at(&self, port: u16, database: &str, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
        ]);
        psql.arg("-h").arg(self.directory.path());
        psql.arg("-p").arg(port.to_string());
        let done = psql.args(["-d", database, "-c", sql]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{sql}: {said}");
        String::from_utf8(done.stdout).unwrap()
    }
}

pub(crate) fn settings(url: &str) -> Postgres {
    Postgres::parse(url, None).unwrap()
}
