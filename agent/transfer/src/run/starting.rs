//! What an execution begins with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use datasync_endpoint::{Destination, Source};
use datasync_model::{BytesPerSecond, ExecutionSpec, Scope};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Ended, Engine, Settings, room, telling};
use crate::attempts::Attempts;
use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::failures::{FAILURES_FILE, FailureList};
use crate::item_log::ItemLog;
use crate::journal::{Journal, State};
use crate::limiter::Limiter;
use crate::mover::Mover;
use crate::progress::Progress;
use crate::report::Teller;
use crate::silence::Silence;
use crate::uploads::Uploads;
use crate::verify::Verifier;

/// So many items in a row without an answer mean that the endpoint is gone.
const SILENT_ITEMS_MAX: u32 = 64;

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) async fn start(
        spec: &ExecutionSpec,
        source: Arc<S>,
        destination: Arc<D>,
        directory: &Path,
        settings: Settings,
        (rate, attempts): (watch::Receiver<BytesPerSecond>, Arc<Attempts>),
        background: &mut JoinSet<()>,
    ) -> Result<(Self, State), Ended> {
        let list = settings.failures_file.clone();
        let list = list.unwrap_or_else(|| directory.join(FAILURES_FILE));
        let disk = room::granted(directory, &list, &settings).await?;
        let failures = FailureList::open(list, disk.clone()).await?;
        let (journal, mut state) =
            Journal::open(directory, failures.handle().await?, background).await?;
        let catalog = catalog(spec, directory, &settings, &disk);
        let limiter = Limiter::start(rate, settings.shared_rate.clone(), background);
        let budget = Budget::new(settings.memory_target_bytes / 2);
        let uploads = Arc::new(Uploads::new(journal.clone(), &mut state));
        let progress = Progress::new(state.counters, state.stage, state.elapsed);
        let verifier = Arc::new(Verifier {
            source: source.clone(),
            destination: destination.clone(),
            options: spec.options.clone(),
            attempts: attempts.clone(),
            budget: budget.clone(),
            is_deep: spec.extensions.verify_deep,
        });
        let mover = Arc::new(Mover {
            source: source.clone(),
            destination: destination.clone(),
            options: spec.options.clone(),
            attempts: attempts.clone(),
            parts: Budget::new(budget.total() - budget.total() / 4),
            budget,
            limiter: limiter.clone(),
            uploads: uploads.clone(),
            progress: progress.clone(),
            verifier,
            has_told_of_links: AtomicBool::new(false),
            now_seconds: settings.now_seconds,
        });
        let teller = match telling::reporter(spec, &settings, &*destination) {
            Some(reporter) => {
                let so_far = (state.report_bytes, state.report_given_up.take());
                Some(Teller::begin(reporter, journal.clone(), &disk, so_far).await?)
            }
            None => None,
        };
        let log = ItemLog::of(spec, settings.log.clone());
        let engine = Self {
            spec: spec.clone(),
            directory: directory.to_owned(),
            settings,
            scope: Arc::new(Scope::new(spec.includes.clone(), spec.excludes.clone())),
            source,
            destination,
            attempts,
            limiter,
            journal,
            disk,
            uploads,
            progress,
            failures,
            catalog,
            teller: teller.map(Arc::new),
            log,
            verified: None,
            mover,
            root: state.root,
            roots: None,
            plan: None,
            withheld: state.withheld.clone(),
            owed: Vec::new(),
            silence: Silence::new(SILENT_ITEMS_MAX),
        };
        Ok((engine, state))
    }
}

fn catalog(
    spec: &ExecutionSpec,
    directory: &Path,
    settings: &Settings,
    disk: &Disk,
) -> Option<Catalog> {
    let file = settings.catalog_file.clone()?;
    Some(Catalog::new(file, directory, spec, disk.clone()))
}
