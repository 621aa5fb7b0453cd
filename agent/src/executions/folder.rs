//! One directory per execution: `spec.json` and `tenure.json` (frozen), `order.json` (rate, cancel),
//! `report.json` (once it has ended), `concluded.json` (its end before its task report is written), and
//! the engine's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datasync_model::{BytesPerSecond, ExecutionReport, ExecutionSpec, Rate, Tenure};
use serde::{Deserialize, Serialize};

use super::concluded::Concluded;
use crate::state::{self, StateError};

const SPEC: &str = "spec.json";
const TENURE: &str = "tenure.json";
const ORDER: &str = "order.json";
const REPORT: &str = "report.json";
const CONCLUDED: &str = "concluded.json";
const VERSION: u32 = 1;

/// What of a desired execution may change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    #[serde(rename = "bytes_per_second")]
    pub(super) rate: Rate,
    pub(super) cancel: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            rate: Rate::Fixed(BytesPerSecond::UNLIMITED),
            cancel: false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

/// An execution's directory.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// What a restart finds.
pub(super) struct Kept {
    pub(super) folder: Folder,
    pub(super) spec: Arc<ExecutionSpec>,
    pub(super) tenure: Tenure,
    pub(super) order: Order,
    pub(super) report: Option<ExecutionReport>,
}

impl Folder {
    pub(super) fn at(executions: &Path, id: &str) -> Self {
        Self(executions.join(id))
    }

    /// The one whose directory this is.
    pub(super) fn of(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Writes down what is to be done, before anything is done. What an earlier life of the execution
    /// left is removed first.
    pub(super) fn create(
        executions: &Path,
        id: &str,
        spec: &ExecutionSpec,
        (tenure, order): (Tenure, Order),
    ) -> Result<Self, StateError> {
        let folder = Self::at(executions, id);
        if folder.0.exists() && !folder.is_of(tenure) {
            tracing::warn!(
                task_execution_id = id,
                "files of an earlier life are removed"
            );
            state::remove_directory(&folder.0)?;
        }
        state::make_private_directory(&folder.0)?;
        folder.write(TENURE, &tenure)?;
        folder.write_order(order)?;
        // Last: a folder without a spec is one that was never begun.
        folder.write(SPEC, spec)?;
        Ok(folder)
    }

    /// Whether it was begun as `tenure` and not removed since: only some of its files may be
    /// unreadable then, and the engine goes on with the others.
    fn is_of(&self, tenure: Tenure) -> bool {
        let known = self.read::<Tenure>(TENURE);
        let known = known.map(Option::unwrap_or_default);
        self.0.join(SPEC).exists() && known.is_ok_and(|known| known.is_of(tenure))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether the engine has begun: then only the engine cleans up.
    pub(super) fn has_journal(&self) -> bool {
        self.0.join("journal").exists()
    }

    pub(super) fn write_order(&self, order: Order) -> Result<(), StateError> {
        self.write(ORDER, &order)
    }

    pub(super) fn write_report(&self, report: &ExecutionReport) -> Result<(), StateError> {
        self.write(REPORT, report)
    }

    pub(super) fn write_concluded(&self, concluded: &Concluded) -> Result<(), StateError> {
        self.write(CONCLUDED, concluded)
    }

    /// `None` if the engine has not ended.
    pub(super) fn concluded(&self) -> Result<Option<Concluded>, StateError> {
        self.read(CONCLUDED)
    }

    pub(super) fn remove(&self) -> Result<(), StateError> {
        // Without its spec a half-removed folder does not come back to life.
        state::remove_file(&self.0.join(SPEC))
            .or_else(|error| if self.0.exists() { Err(error) } else { Ok(()) })?;
        state::remove_directory(&self.0)
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<(), StateError> {
        let path = self.0.join(name);
        let versioned = Versioned {
            version: VERSION,
            content,
        };
        let json = serde_json::to_vec(&versioned)
            .map_err(|e| StateError::new("encode", &path, e.into()))?;
        state::write_atomically(&path, &json)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.0.join(name);
        let Some(text) = state::read_optional(&path)? else {
            return Ok(None);
        };
        let versioned: Versioned<T> = serde_json::from_str(&text)
            .map_err(|e| StateError::new("understand", &path, e.into()))?;
        if versioned.version != VERSION {
            let reason = format!("version {} is not {VERSION}", versioned.version);
            return Err(StateError::new(
                "understand",
                &path,
                std::io::Error::other(reason),
            ));
        }
        Ok(Some(versioned.content))
    }

    fn load(self) -> Result<Option<Kept>, StateError> {
        let Some(spec) = self.read::<ExecutionSpec>(SPEC)? else {
            return Ok(None);
        };
        let order = self.read(ORDER)?.unwrap_or(Order {
            rate: Rate::of(&spec),
            cancel: false,
        });
        Ok(Some(Kept {
            report: self.read(REPORT)?,
            // None of an earlier release.
            tenure: self.read(TENURE)?.unwrap_or_default(),
            order,
            spec: Arc::new(spec),
            folder: self,
        }))
    }
}

/// Every execution below `executions`, by id. What was never begun is removed; what cannot be
/// read is logged and left for somebody to look at.
pub(super) fn kept(executions: &Path) -> Result<BTreeMap<String, Kept>, StateError> {
    let failed = |e| StateError::new("list", executions, e);
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(executions).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        match Folder(path.clone()).load() {
            Ok(Some(kept)) if kept.spec.execution.id() == id => {
                all.insert(id.to_owned(), kept);
            }
            Ok(Some(_)) => {
                tracing::error!(path = %path.display(), "holds the spec of another execution; left alone");
            }
            Ok(None) => {
                if let Err(error) = state::remove_directory(&path) {
                    tracing::warn!(%error, "cannot remove an execution that was never begun");
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot take up an execution; left alone");
            }
        }
    }
    Ok(all)
}
