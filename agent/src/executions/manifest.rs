//! Reading an execution's manifest, before the engine begins.

use std::time::SystemTime;

use datasync_endpoint::{EndpointError, ErrorKind};
use datasync_model::{ErrorCode, ExecutionStatus, Failure, MANIFEST_BYTES_MAX, Manifest};
use datasync_transfer::{ManifestError, ManifestIntake, has_manifest};

use super::Assignment;
use super::run::{ATTEMPTS_MAX, Halt, Runner, interruptible};
use crate::backoff;
use crate::credentials::Availability;

/// Lines are sorted in this share of the memory target.
const MEMORY_SHARE: u64 = 8;

/// Why a manifest was not read.
#[derive(Debug)]
enum Fault {
    Store(EndpointError),
    Invalid(String),
    /// The agent's own disk.
    Local(String),
}

impl From<ManifestError> for Fault {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Invalid(rule) => Self::Invalid(rule),
            ManifestError::Local(reason) => Self::Local(reason),
        }
    }
}

impl Runner {
    /// Reads the manifest, unless the execution has it already or needs none.
    pub(super) async fn take_manifest(&self, assignment: &Assignment) -> Result<(), Halt> {
        let spec = &assignment.spec;
        let Some(manifest) = &spec.extensions.manifest else {
            return Ok(());
        };
        match has_manifest(&assignment.directory).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(Halt::LocalState(local(&error.to_string()))),
        }
        assignment
            .reports
            .send_modify(|report| report.status = ExecutionStatus::Preparing);
        let owed_aborts = self.remembered(spec, "owed-aborts");
        let reading = async { Ok(self.read_manifest(assignment, manifest).await) };
        interruptible(assignment, &owed_aborts, reading).await?
    }

    async fn read_manifest(
        &self,
        assignment: &Assignment,
        manifest: &Manifest,
    ) -> Result<(), Halt> {
        let credentials = self.await_keys(&manifest.store.arn).await;
        credentials.map_err(|reason| Halt::Failed(no_keys(manifest, &reason)))?;
        let mut failures = 0;
        loop {
            let error = match self.try_manifest(assignment, manifest).await {
                Ok(lines) => {
                    tracing::info!(
                        lines,
                        manifest = place(manifest),
                        event = "manifest.read",
                        "the manifest is read"
                    );
                    return Ok(());
                }
                Err(Fault::Local(reason)) => return Err(Halt::LocalState(local(&reason))),
                Err(Fault::Invalid(rule)) => {
                    return Err(Halt::Failed(Failure::new(
                        ErrorCode::ManifestFileInvalid,
                        format!(
                            "the manifest {} cannot be used: {rule}; nothing was transferred",
                            place(manifest)
                        ),
                    )));
                }
                Err(Fault::Store(error)) => error,
            };
            failures += 1;
            if !error.kind.is_transient() || failures >= ATTEMPTS_MAX {
                return Err(Halt::Failed(self.unreadable(manifest, &error)));
            }
            let delay = backoff::STORAGE.random_delay(failures);
            tracing::warn!(%error, failures, retry_ms = delay.as_millis(), "cannot read the manifest");
            tokio::time::sleep(delay).await;
        }
    }

    async fn try_manifest(
        &self,
        assignment: &Assignment,
        manifest: &Manifest,
    ) -> Result<u64, Fault> {
        let bucket = self.endpoints().bucket(&manifest.store);
        let bucket = bucket.await.map_err(Fault::Store)?;
        let version = manifest.version_id.as_deref();
        let mut object = bucket
            .get(&manifest.key, version)
            .await
            .map_err(Fault::Store)?;
        if object.size > MANIFEST_BYTES_MAX {
            return Err(Fault::Invalid(format!(
                "it has {} bytes; the largest manifest has {MANIFEST_BYTES_MAX}",
                object.size
            )));
        }
        tracing::info!(
            manifest = place(manifest),
            bytes = object.size,
            etag = object.etag,
            version_id = object.version_id,
            "reading the manifest"
        );
        let limits = self.limits();
        let memory = usize::try_from(limits.memory_target_bytes / MEMORY_SHARE);
        let mut intake = ManifestIntake::begin(
            &assignment.directory,
            object.size,
            memory.unwrap_or(usize::MAX),
            limits.state_disk_max_bytes,
        )?;
        while let Some(bytes) = object.next().await.map_err(Fault::Store)? {
            intake.push(&bytes).await?;
        }
        Ok(intake.finish().await?)
    }

    fn unreadable(&self, manifest: &Manifest, error: &EndpointError) -> Failure {
        let store = self.endpoints().credentials();
        let now = SystemTime::now();
        match (error.kind, store.availability(&manifest.store.arn, now)) {
            (ErrorKind::Credentials, Availability::Denied(reason)) => {
                return no_keys(manifest, &reason);
            }
            (ErrorKind::Credentials, Availability::Missing) => {
                return no_keys(manifest, store.giver().has_none());
            }
            _ => {}
        }
        let (code, advice) = match error.kind {
            ErrorKind::NotFound => (
                ErrorCode::ManifestFileDoesNotExist,
                "upload it, or correct ManifestObjectPath or ManifestObjectVersionId",
            ),
            ErrorKind::ContainerNotFound => (
                ErrorCode::ManifestFileDoesNotExist,
                "correct the S3BucketArn of the ManifestConfig",
            ),
            ErrorKind::PermissionDenied => (
                ErrorCode::ManifestFileUnreadable,
                "the role must be allowed s3:GetObject on it, and s3:GetObjectVersion where a \
                 version is named",
            ),
            ErrorKind::Credentials => (ErrorCode::ManifestFileUnreadable, store.giver().suspects()),
            _ => (
                ErrorCode::ManifestFileUnreadable,
                "look at the store, and at the way to it",
            ),
        };
        let place = place(manifest);
        Failure::new(code, format!("the manifest {place}: {error}; {advice}"))
    }
}

fn no_keys(manifest: &Manifest, reason: &str) -> Failure {
    let (place, role) = (place(manifest), &manifest.role_arn);
    Failure::new(
        ErrorCode::ManifestFileUnreadable,
        format!("no credentials of role {role} for the manifest {place}: {reason}"),
    )
}

fn local(reason: &str) -> Failure {
    Failure::new(
        ErrorCode::LocalStateFault,
        format!(
            "while the manifest was read: {reason}; see to the agent's state directory (space, \
             permissions): the execution then goes on"
        ),
    )
}

fn place(manifest: &Manifest) -> String {
    let Manifest { store, key, .. } = manifest;
    let version = manifest.version_id.as_deref();
    let version = version.map_or_else(String::new, |version| format!(" (version {version})"));
    format!("s3://{}/{key}{version}", store.bucket)
}
