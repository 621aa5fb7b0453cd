//! The files of reports, by the ids of their executions. How they are arranged means nothing: the
//! names of objects tell all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use datasync_model::SignedReport;

use super::{CheckError, Finding};

/// The largest document with signatures that is read, in bytes: some 300 for each object.
const DOCUMENT_BYTES_MAX: u64 = 128 << 20;
/// Objects have about 8 MiB; one that has more was not written by an agent, in bytes.
const OBJECT_BYTES_MAX: u64 = 32 << 20;

/// The files of one report.
#[derive(Debug, Default)]
pub(super) struct Files {
    signature: Option<PathBuf>,
    /// By name.
    objects: BTreeMap<String, PathBuf>,
}

/// The files below `paths` whose names are those of reports.
///
/// # Errors
/// [`CheckError`]: a path that cannot be read, or two files of one name.
pub(super) fn gathered(paths: &[PathBuf]) -> Result<BTreeMap<String, Files>, CheckError> {
    let mut reports: BTreeMap<String, Files> = BTreeMap::new();
    let mut waiting = paths.to_vec();
    while let Some(path) = waiting.pop() {
        let kind = fs::metadata(&path).map_err(unreadable(&path))?;
        if kind.is_dir() {
            for entry in fs::read_dir(&path).map_err(unreadable(&path))? {
                let entry = entry.map_err(unreadable(&path))?;
                let kind = entry.file_type().map_err(unreadable(&path))?;
                // A link may lead round in a circle; whoever means it names it.
                if !kind.is_symlink() {
                    waiting.push(entry.path());
                }
            }
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let Some((name, execution)) = name.and_then(|name| Some((name, execution_of(name)?)))
        else {
            continue;
        };
        let (name, files) = (name.to_owned(), reports.entry(execution).or_default());
        files.add(name, path)?;
    }
    Ok(reports)
}

/// `exec-` and 17 hexadecimal digits, then a point.
fn execution_of(name: &str) -> Option<String> {
    let (execution, _) = name.split_once('.')?;
    let digits = execution.strip_prefix("exec-")?;
    let is_id = digits.len() == 17 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_id.then(|| execution.to_owned())
}

impl Files {
    fn add(&mut self, name: String, path: PathBuf) -> Result<(), CheckError> {
        let before = if name.contains(".signature-v") {
            self.signature.replace(path.clone())
        } else {
            self.objects.insert(name.clone(), path.clone())
        };
        match before {
            None => Ok(()),
            Some(one) => Err(CheckError::Twice {
                name,
                one,
                other: path,
            }),
        }
    }

    /// The document with the signatures.
    ///
    /// # Errors
    /// [`CheckError`] if it cannot be read; within, what is wrong with it.
    pub(super) fn signed(
        &self,
        execution: &str,
    ) -> Result<Result<SignedReport, Finding>, CheckError> {
        let Some(path) = &self.signature else {
            return Ok(Err(Finding::Unsigned));
        };
        let Some(bytes) = read(path, DOCUMENT_BYTES_MAX)? else {
            let reason = format!("it has more than {} MiB", DOCUMENT_BYTES_MAX >> 20);
            return Ok(Err(Finding::NoDocument { reason }));
        };
        let broken = |reason: String| Ok(Err(Finding::NoDocument { reason }));
        let signed: SignedReport = match serde_json::from_slice(&bytes) {
            Ok(signed) => signed,
            Err(error) => return broken(error.to_string()),
        };
        if signed.version != SignedReport::VERSION {
            return broken(format!(
                "its version is {}: use the release that wrote it, or a newer one",
                signed.version
            ));
        }
        if signed.task_execution_arn.id() != execution {
            return broken(format!("it is that of {}", signed.task_execution_arn));
        }
        Ok(Ok(signed))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.objects.keys()
    }

    /// The content of an object; `None` if it is not there.
    ///
    /// # Errors
    /// [`CheckError`] if it cannot be read; within, that it is too large.
    pub(super) fn object(
        &self,
        name: &str,
    ) -> Result<Option<Result<Vec<u8>, Finding>>, CheckError> {
        let Some(path) = self.objects.get(name) else {
            return Ok(None);
        };
        Ok(Some(read(path, OBJECT_BYTES_MAX)?.ok_or_else(|| {
            Finding::Altered {
                object: name.to_owned(),
                how: format!("it has more than {} MiB", OBJECT_BYTES_MAX >> 20),
            }
        })))
    }
}

/// The content of a file; `None` if it has more bytes than that.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, CheckError> {
    let file = File::open(path).map_err(unreadable(path))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable(path))?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> CheckError {
    move |source| CheckError::File {
        path: path.to_owned(),
        source,
    }
}
