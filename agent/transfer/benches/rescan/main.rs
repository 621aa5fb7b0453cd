//! Entries per second of CPU of a run over an unchanged tree with a catalog: the engine's own cost,
//! with endpoints that make up what they are asked for.
//!
//! `cargo bench -p datasync-transfer --bench rescan`, with `DIRECTORIES` and `FILES` (of each
//! directory) in the environment for other trees than 1,000 directories of 1,000 files.

mod synthetic;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datasync_model::{
    BytesPerSecond, Excludes, ExecutionReport, ExecutionSpec, ExecutionStatus, Includes, Location,
    NfsLocation, NfsVersion, Options, Pair, S3Location, StorageClass, TaskMode, VerifyMode,
};
use datasync_transfer::{Controls, Settings, run};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use synthetic::{Shape, SyntheticDestination, SyntheticSource};

const RESCANS: u32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let shape = Shape {
        directories: number("DIRECTORIES", 1_000)?,
        files: number("FILES", 1_000)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let state = tempfile::tempdir()?;
    println!("{} entries", shape.entries());
    runtime.block_on(measured("first", shape, state.path()))?;
    let catalog = std::fs::metadata(state.path().join("catalog"))?.len();
    println!("catalog: {} bytes an entry", catalog / shape.entries());
    for _ in 0..RESCANS {
        runtime.block_on(measured("rescan", shape, state.path()))?;
    }
    Ok(())
}

fn number(variable: &str, default: u64) -> Result<u64, Box<dyn Error>> {
    match std::env::var(variable) {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(default),
    }
}

async fn measured(name: &str, shape: Shape, state: &Path) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(state)?;
    let source = Arc::new(SyntheticSource::new(shape));
    let destination = Arc::new(SyntheticDestination::new(shape));
    let settings = Settings {
        catalog_file: Some(state.join("catalog")),
        ..Settings::default()
    };
    let spec = spec()?;
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let running = run(
        &spec,
        source,
        destination.clone(),
        directory.path(),
        settings,
        controls(&spec),
    );
    let report = Box::pin(running).await?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let counters = report.counters;
    if report.status != ExecutionStatus::Success || counters.unchanged != shape.entries() {
        return Err(format!("not unchanged: {report:?}").into());
    }
    println!(
        "{name}: {took:.2} s, {cpu:.2} s of CPU, {:.0} entries/s of CPU; {} LIST, {} HEAD",
        counters.unchanged as f64 / cpu,
        destination.lists(),
        destination.heads(),
    );
    Ok(())
}

/// Of the process so far, in all its threads: `utime` and `stime` of proc(5), in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
    Ok(ticks?.into_iter().sum::<f64>() / 100.0)
}

fn controls(spec: &ExecutionSpec) -> Controls {
    Controls {
        cancel: CancellationToken::new(),
        stop: CancellationToken::new(),
        rate: watch::Sender::new(BytesPerSecond::UNLIMITED).subscribe(),
        reports: watch::Sender::new(ExecutionReport {
            execution: spec.execution.clone(),
            status: ExecutionStatus::Launching,
            counters: Default::default(),
            result: Default::default(),
            telemetry: Default::default(),
        }),
    }
}

fn spec() -> Result<ExecutionSpec, Box<dyn Error>> {
    let task = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0";
    let location =
        |n| format!("arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef{n}");
    let pair = Pair {
        object_to_object: false,
        storage_class: Some(StorageClass::Standard),
    };
    Ok(ExecutionSpec {
        execution: format!("{task}/execution/exec-0123456789abcdef0").parse()?,
        task_mode: TaskMode::Basic,
        source: Location::Nfs(NfsLocation {
            arn: location(0).parse()?,
            server_hostname: "nas".to_owned(),
            subdirectory: "/export".to_owned(),
            version: NfsVersion::Automatic,
        }),
        destination: Location::S3(S3Location {
            arn: location(1).parse()?,
            bucket: "bucket".to_owned(),
            prefix: "prefix/".to_owned(),
            region: None,
            endpoint: None,
            server_certificate: None,
            storage_class: StorageClass::Standard,
        }),
        options: Options {
            verify_mode: VerifyMode::OnlyFilesTransferred,
            ..Options::defaults(TaskMode::Basic, pair)
        },
        includes: Includes::default(),
        excludes: Excludes::default(),
        extensions: Default::default(),
    })
}
