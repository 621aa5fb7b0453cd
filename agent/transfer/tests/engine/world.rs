//! A source, a destination and the executions between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::memory::{
    EPOCH, Expected, Fault, MemoryDestination, MemorySource, Stored, Tree, differences, expected,
};
use datasync_endpoint::{Algorithm, Destination, Integrity, Key};
use datasync_model::{
    BytesPerSecond, ErrorCode, Excludes, ExecutionReport, ExecutionSpec, ExecutionStatus, Includes,
    Location, NfsLocation, NfsVersion, Options, Pair, S3Location, Scope, StorageClass, TaskMode,
};
use datasync_transfer::{Controls, FAILURES_FILE, Interrupted, Settings, run};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;

/// Virtual time after which a run counts as hung.
const HUNG: Duration = Duration::from_secs(3600);

pub(crate) struct World {
    pub(crate) source: Arc<MemorySource>,
    pub(crate) destination: Arc<MemoryDestination>,
    pub(crate) spec: ExecutionSpec,
    pub(crate) settings: Settings,
    pub(crate) state: TempDir,
}

/// The controls of one run, and the other ends of them.
pub(crate) struct Handles {
    pub(crate) cancel: CancellationToken,
    pub(crate) stop: CancellationToken,
    pub(crate) rate: watch::Sender<BytesPerSecond>,
    pub(crate) reports: watch::Receiver<ExecutionReport>,
}

pub(crate) fn bytes(seed: u64, length: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next)
        .take(usize::try_from(length).unwrap())
        .collect()
}

pub(crate) fn rate(bytes_per_second: u64) -> BytesPerSecond {
    BytesPerSecond::try_from(i64::try_from(bytes_per_second).unwrap()).unwrap()
}

fn spec() -> ExecutionSpec {
    let task = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0";
    let location =
        |n| format!("arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef{n}");
    let pair = Pair {
        object_to_object: false,
        storage_class: Some(StorageClass::Standard),
    };
    ExecutionSpec {
        execution: format!("{task}/execution/exec-0123456789abcdef0")
            .parse()
            .unwrap(),
        task_mode: TaskMode::Basic,
        source: Location::Nfs(NfsLocation {
            arn: location(0).parse().unwrap(),
            server_hostname: "nas".to_owned(),
            subdirectory: "/export".to_owned(),
            version: NfsVersion::Automatic,
        }),
        destination: Location::S3(S3Location {
            arn: location(1).parse().unwrap(),
            bucket: "bucket".to_owned(),
            prefix: "prefix/".to_owned(),
            region: None,
            endpoint: None,
            server_certificate: None,
            storage_class: StorageClass::Standard,
        }),
        options: Options::defaults(TaskMode::Basic, pair),
        includes: Includes::default(),
        excludes: Excludes::default(),
        extensions: datasync_model::Extensions::default(),
    }
}

impl World {
    pub(crate) fn new(tree: Tree) -> Self {
        Self::of(MemorySource::new(tree), MemoryDestination::new())
    }

    pub(crate) fn of(source: MemorySource, destination: MemoryDestination) -> Self {
        let state = tempfile::tempdir().unwrap();
        let settings = Settings {
            memory_target_bytes: 64 * MIB,
            history_file: Some(state.path().join("history/root.json")),
            owed_aborts_file: Some(state.path().join("history/root.owed")),
            now_seconds: || EPOCH,
            catalog_file: Some(state.path().join("history/root.catalog")),
            ..Settings::default()
        };
        Self {
            source: Arc::new(source),
            destination: Arc::new(destination),
            spec: spec(),
            settings,
            state,
        }
    }

    pub(crate) fn options(&mut self) -> &mut Options {
        &mut self.spec.options
    }

    pub(crate) fn at_source(&self, fault: Fault) {
        self.source.script().add(fault);
    }

    pub(crate) fn at_destination(&self, fault: Fault) {
        self.destination.script().add(fault);
    }

    /// A new execution's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        let count = std::fs::read_dir(self.state.path()).unwrap().count();
        let directory = self.state.path().join(format!("execution-{count}"));
        std::fs::create_dir(&directory).unwrap();
        directory
    }

    pub(crate) fn controls(&self) -> (Controls, Handles) {
        let (rate, rates) = watch::channel(self.spec.options.bytes_per_second);
        let (reports, reported) = watch::channel(ExecutionReport {
            execution: self.spec.execution.clone(),
            status: ExecutionStatus::Launching,
            counters: Default::default(),
            result: Default::default(),
            telemetry: Default::default(),
        });
        let (cancel, stop) = (CancellationToken::new(), CancellationToken::new());
        let handles = Handles {
            cancel: cancel.clone(),
            stop: stop.clone(),
            rate,
            reports: reported,
        };
        (
            Controls {
                cancel,
                stop,
                rate: rates,
                reports,
            },
            handles,
        )
    }

    pub(crate) async fn run_in(
        &self,
        directory: &Path,
        controls: Controls,
    ) -> Result<ExecutionReport, Interrupted> {
        let running = Box::pin(run(
            &self.spec,
            self.source.clone(),
            self.destination.clone(),
            directory,
            self.settings.clone(),
            controls,
        ));
        let result = timeout(HUNG, running).await.expect("the run hangs");
        if let Ok(report) = &result {
            assert!(report.status.is_terminal());
            assert_eq!(
                report.status == ExecutionStatus::Error,
                report.result.failure.is_some(),
                "{report:?}"
            );
        }
        result
    }

    /// Runs for `time` and stops; the report if the run was faster.
    pub(crate) async fn run_for(
        &self,
        directory: &Path,
        time: Duration,
    ) -> Option<ExecutionReport> {
        let (controls, handles) = self.controls();
        let stopping = async {
            sleep(time).await;
            handles.stop.cancel();
        };
        let (result, ()) = tokio::join!(self.run_in(directory, controls), stopping);
        match result {
            Ok(report) => Some(report),
            Err(Interrupted::Stopped) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs for `time` and is killed: nothing is concluded, and what was not given to the kernel
    /// is lost. Then nothing is broken any more.
    pub(crate) async fn kill_after(&self, directory: &Path, time: Duration) {
        let (controls, _handles) = self.controls();
        let ended = timeout(time, self.run_in(directory, controls)).await;
        assert!(ended.is_err(), "it ended before it was killed: {ended:?}");
        self.source.script().clear();
        self.destination.script().clear();
        self.source.script().forget_calls();
        self.destination.script().forget_calls();
    }

    /// Runs for a second of virtual time, which must not be enough, and stops; then nothing is
    /// broken any more.
    pub(crate) async fn stop_half_way(&self) -> PathBuf {
        let directory = self.directory();
        let report = self.run_for(&directory, Duration::from_secs(1)).await;
        assert_eq!(report, None);
        self.source.script().clear();
        self.destination.script().clear();
        self.destination.script().forget_calls();
        directory
    }

    /// Goes on to the end.
    pub(crate) async fn resume(&self, directory: PathBuf) -> Run {
        let (controls, _handles) = self.controls();
        let report = self.run_in(&directory, controls).await.unwrap();
        assert_consistent(&report);
        Run { report, directory }
    }

    /// One execution from start to end; its counters add up (I8).
    pub(crate) async fn run(&self) -> Run {
        self.resume(self.directory()).await
    }

    /// An execution that has nothing to complain of, after which everything is as it should be.
    pub(crate) async fn run_well(&self) -> Run {
        let run = self.run().await;
        assert_eq!(run.report.result.failure, None, "{:?}", run.failures());
        self.assert_exact();
        run
    }

    /// What the destination is to hold.
    pub(crate) fn expected(&self) -> BTreeMap<Key, Expected> {
        let scope = Scope::new(self.spec.includes.clone(), self.spec.excludes.clone());
        let has_root = self.destination.abilities().has_root;
        let tree = self.source.snapshot();
        expected(&tree, &self.spec.options, &scope, has_root)
    }

    pub(crate) fn differences(&self) -> Vec<String> {
        differences(&self.expected(), &self.destination.snapshot())
    }

    pub(crate) fn assert_exact(&self) {
        assert_eq!(self.differences(), Vec::<String>::new());
        assert_eq!(
            self.destination.open_upload_keys(),
            Vec::new(),
            "uploads were left open"
        );
    }

    pub(crate) fn object(&self, key: &str) -> Option<Stored> {
        self.destination.snapshot().remove(&self::key(key))
    }

    pub(crate) fn writes(&self) -> BTreeMap<String, u64> {
        let writes = self.destination.writes();
        writes
            .into_iter()
            .map(|(key, count)| (key.as_str().to_owned(), count))
            .collect()
    }
}

/// The kinds of the whole records that the journal has.
pub(crate) fn journal_kinds(directory: &Path) -> Vec<String> {
    let bytes = std::fs::read(directory.join("journal")).unwrap_or_default();
    let (mut at, mut kinds) = (0, Vec::new());
    while let Some(length) = bytes.get(at..at + 4) {
        let end = at + 8 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(payload) = bytes.get(at + 8..end) else {
            break;
        };
        let record: serde_json::Map<_, _> = serde_json::from_slice(payload).unwrap();
        kinds.extend(record.into_iter().map(|(kind, _)| kind));
        at = end;
    }
    kinds
}

/// Loses all but the first `records` of the journal, at least one, as a power cut may.
pub(crate) fn cut_journal(directory: &Path, records: usize) {
    let file = directory.join("journal");
    let bytes = std::fs::read(&file).unwrap();
    let mut end = 0;
    for _ in 0..records.max(1) {
        let Some(length) = bytes.get(end..end + 4) else {
            break;
        };
        end += 8 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
    }
    std::fs::write(&file, &bytes[..end]).unwrap();
}

pub(crate) fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

/// A store with this integrity to which files above 1 KiB go in parts.
pub(crate) fn store(integrity: Integrity) -> MemoryDestination {
    MemoryDestination::new().with_abilities(|abilities| {
        abilities.integrity = integrity;
        abilities.put_max = KIB;
    })
}

/// A store with this integrity that takes bodies of at most 1 KiB, so that small files have many
/// parts.
pub(crate) fn store_of_small_parts(integrity: Integrity) -> MemoryDestination {
    store(integrity).with_abilities(|abilities| {
        (abilities.part_max, abilities.part_min) = (KIB, 1);
    })
}

pub(crate) const SHA256: Integrity = Integrity::Checksum(Algorithm::Sha256);

pub(crate) const INTEGRITIES: [Integrity; 4] = [
    Integrity::Crc64,
    SHA256,
    Integrity::Md5,
    Integrity::ReadBack,
];

pub(crate) fn assert_consistent(report: &ExecutionReport) {
    let c = report.counters;
    // A dry run leaves what it would transfer.
    let planned = report.telemetry.plan.as_ref().map_or(0, |_| c.to_transfer);
    let failure = report.result.failure.as_ref();
    let broke_off = failure.is_some_and(|failure| !failure.code.leaves_items_out());
    if !broke_off {
        assert_eq!(
            c.discovered,
            c.unchanged + c.transferred + c.skipped + c.failed + planned,
            "{c:?}"
        );
    }
}

/// How an execution ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) report: ExecutionReport,
    pub(crate) directory: PathBuf,
}

impl Run {
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        self.report
            .result
            .failure
            .as_ref()
            .map(|failure| failure.code)
    }

    pub(crate) fn detail(&self) -> &str {
        self.report
            .result
            .failure
            .as_ref()
            .map_or("", |failure| &failure.detail)
    }

    /// Path, outcome and code of every item that was not done.
    pub(crate) fn failures(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.join(FAILURES_FILE)).unwrap();
        let line = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| line[name].as_str().unwrap().to_owned();
            [field("path"), field("outcome"), field("code")].join(" ")
        };
        let mut found: Vec<_> = text.lines().map(line).collect();
        found.sort();
        found
    }
}
