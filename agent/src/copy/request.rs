//! What a copy is asked to do: flags and environment, checked as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use datasync_model::{
    BytesPerSecond, ExecutionSpec, Home, LocationArn, Options, Pair, Partition, StorageClass,
    TaskArn, TaskExecutionArn, UniqueId,
};
use sha2::{Digest, Sha256};

use super::flags::CopyFlags;
use super::options::{self, TASK_MODE};
use super::origin::Origin;
use crate::config::{ConfigFaults, Layers, Overrides, ProcessFlags, ProcessSettings};
use crate::endpoints::overlap;
use crate::store_flags::StoreAccess;
use crate::urls::StoreUrl;

/// Warnings only: a person reads the end.
const LOG_LEVEL: &str = "warn";

/// Everything one copy needs to know; holds no secret.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// Memory, clients and logs.
    pub process: ProcessSettings,
    /// The execution, under ids that follow from what is copied whither and how. The region is
    /// the one given; a profile may have another.
    pub(super) spec: ExecutionSpec,
    pub(super) profile: Option<String>,
    /// Of the source, where that is a store.
    pub(super) source_profile: Option<String>,
    pub(super) state_dir: PathBuf,
}

impl CopyRequest {
    /// Checks flags and the process's environment.
    ///
    /// # Errors
    /// [`ConfigFaults`] lists everything that is wrong, not only the first fault.
    pub fn new(
        flags: &CopyFlags,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigFaults> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let mut faults = Vec::new();
        let process = process(&flags.process, &environment)
            .map_err(|found| faults.extend(found.0))
            .ok();
        let spec = spec(flags, &environment, &mut faults);
        let state_dir = state_dir(flags.state_dir.as_deref(), &environment);
        let state_dir = state_dir.map_err(|fault| faults.push(fault)).ok();
        match (process, spec, state_dir) {
            (Some(process), Some(spec), Some(state_dir)) if faults.is_empty() => Ok(Self {
                process,
                spec,
                source_profile: flags
                    .source_profile
                    .as_ref()
                    .or(flags.store.profile.as_ref())
                    .cloned(),
                profile: flags.store.profile.clone(),
                state_dir,
            }),
            _ => Err(ConfigFaults(faults)),
        }
    }
}

/// The settings of a process that a command line starts for one purpose.
///
/// # Errors
/// [`ConfigFaults`] lists everything that is wrong.
pub(crate) fn process(
    flags: &ProcessFlags,
    environment: &BTreeMap<String, String>,
) -> Result<ProcessSettings, ConfigFaults> {
    let overrides = flags.lay_over(Overrides::default())?;
    Layers::read(None, environment.clone(), overrides)
        .map_err(|error| ConfigFaults(vec![error.to_string()]))?
        .validate_process(LOG_LEVEL)
}

/// `None` only where a fault was noted.
fn spec(
    flags: &CopyFlags,
    environment: &BTreeMap<String, String>,
    faults: &mut Vec<String>,
) -> Option<ExecutionSpec> {
    let source = parsed::<Origin>("SOURCE", &flags.source, faults);
    let destination = parsed::<Origin>("DESTINATION", &flags.destination, faults);
    let store = StoreAccess::given(&flags.store, environment, faults);
    let class = options::word("storage-class", flags.storage_class.as_ref(), faults);
    let storage_class = class.unwrap_or(StorageClass::Standard);
    let pair = Pair {
        object_to_object: [&source, &destination]
            .into_iter()
            .all(|side| side.as_ref().is_some_and(Origin::is_store)),
        storage_class: Some(storage_class),
    };
    let options = options::options(flags, pair, faults);
    let extensions = options::extensions(flags, &options, faults);
    let includes = options::includes(flags, faults);
    let excludes = options::excludes(flags, faults);
    let source_store = source_store(flags, &store, faults);
    let (source, destination) = (source?, destination?);
    let from = source.text(&source_store);
    let to = destination.text(&store);
    let options_as_text = compared(&options)
        .map_err(|error| faults.push(error.to_string()))
        .ok()?;
    // Whatever changes what the destination will hold.
    let how = [
        options_as_text,
        storage_class.to_string(),
        includes.as_str().to_owned(),
        excludes.as_str().to_owned(),
        extensions.checksum_algorithm.to_string(),
        extensions.name_encoding.to_string(),
        extensions.acls.to_string(),
        extensions.xattrs.to_string(),
    ];
    let home = home().map_err(|fault| faults.push(fault)).ok()?;
    let task = TaskArn::new(&home, id(&["task", &from, &to]));
    // A dry run has nothing to do with a copy that was interrupted.
    let kind = if extensions.dry_run {
        "plan"
    } else {
        "execution"
    };
    let how: Vec<&str> = [kind, &from, &to]
        .into_iter()
        .chain(how.iter().map(String::as_str))
        .collect();
    let source_arn = LocationArn::new(&home, id(&["source", &from]));
    let source = source.location(source_arn, source_store, StorageClass::Standard);
    let destination_arn = LocationArn::new(&home, id(&["destination", &to]));
    let destination = destination.location(destination_arn, store, storage_class);
    faults.extend(overlap(&source, &destination));
    Some(ExecutionSpec {
        execution: TaskExecutionArn::new(&task, id(&how)),
        task_mode: TASK_MODE,
        source,
        destination,
        options,
        includes,
        excludes,
        extensions,
    })
}

/// The store of the source: that of the destination, `store`, as far as nothing else is given.
fn source_store(flags: &CopyFlags, store: &StoreAccess, faults: &mut Vec<String>) -> StoreAccess {
    let given = flags.source_endpoint_url.as_ref();
    let given = given.and_then(|url| parsed::<StoreUrl>("--source-endpoint-url", url, faults));
    let given = given.map(|url| url.to_string());
    let is_other = given.is_some() && given != store.endpoint;
    let region = store.region.clone().filter(|_| !is_other);
    StoreAccess {
        endpoint: given.or_else(|| store.endpoint.clone()),
        region: flags.source_region.clone().or(region),
        certificate: store.certificate.clone(),
    }
}

/// Options without the rate, which may change from run to run.
fn compared(options: &Options) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Options {
        bytes_per_second: BytesPerSecond::UNLIMITED,
        ..options.clone()
    })
}

/// A value of its own type; what is wrong with it is noted, with where it comes from.
pub(crate) fn parsed<T>(origin: &str, text: &str, faults: &mut Vec<String>) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| faults.push(format!("{origin}: {error}")))
        .ok()
}

/// No control plane stands behind the ids of a copy.
fn home() -> Result<Home, String> {
    Ok(Home {
        partition: Partition::Aws,
        region: "local".parse()?,
        account: "000000000000".parse()?,
    })
}

/// An id that follows from `parts`.
fn id(parts: &[&str]) -> UniqueId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    UniqueId::from_random(first)
}

/// The base of the XDG Base Directory Specification for what should outlive a restart.
fn state_dir(
    flag: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Result<PathBuf, String> {
    if let Some(given) = flag {
        return match given {
            "" => Err("--state-dir: must not be empty".to_owned()),
            path => Ok(PathBuf::from(path)),
        };
    }
    // The specification has relative paths ignored.
    let absolute = |name: &str| {
        let path = PathBuf::from(environment.get(name)?);
        path.is_absolute().then_some(path)
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("datasync-agent/copy"))
        .ok_or_else(|| {
            "--state-dir: missing, and neither XDG_STATE_HOME nor HOME names a directory".to_owned()
        })
}

#[cfg(test)]
mod tests;
