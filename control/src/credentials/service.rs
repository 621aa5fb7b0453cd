//! Credentials by location: from the location's own sealed key, its role's sealed key, or STS.

use std::sync::Arc;

use datasync_model::{self as model, EfsLocation, Home, LocationArn, S3Location};
use jiff::Timestamp;

use super::policy::{Purpose, Rights};
use super::sts::{RoleRequest, Sts, cannot_assume};
use super::{Access, BucketTest, CredentialsError, IssuedKeys, Keys, test_bucket};
use crate::config::{Role, RoleKind};
use crate::egress::Egress;
use crate::records::{Location, LocationDetails, RoleKey, StoreAddress};
use crate::store::{SealError, Sealer, Store, StoreError, Transaction};

/// See the module. Shared by the API and the fleet.
#[derive(Debug)]
pub(crate) struct CredentialService {
    store: Store,
    sealer: Arc<Sealer>,
    roles: Vec<Role>,
    home: Home,
    sts: Sts,
    egress: Egress,
    issued: IssuedKeys,
}

const NO_KEY: &str = "no key is set for this role: set one with `datasync-control role set-key`";
const NO_WAY: &str = "control has no way to get credentials for this role: set a key with \
    `datasync-control role set-key`, or add a [[role]] of kind assume-role to control's configuration";

/// What keys of a role are limited to.
struct RolePlace<'a> {
    bucket: &'a str,
    prefix: &'a str,
    /// Names the session in AWS's own logs.
    name: &'a str,
}

/// What the rows say of a role.
enum Known {
    Sealed(Keys),
    Configured(RoleKind),
    Unknown,
}

impl CredentialService {
    pub(crate) fn new(store: Store, sealer: Arc<Sealer>, roles: Vec<Role>, home: Home) -> Self {
        let egress = Egress::default();
        let sts = Sts::new(home.region.to_string(), egress.clone());
        Self {
            store,
            sealer,
            roles,
            home,
            sts,
            egress,
            issued: IssuedKeys::default(),
        }
    }

    /// Asks STS and stores on another way.
    pub(crate) fn through(mut self, egress: Egress) -> Self {
        self.sts = Sts::new(self.home.region.to_string(), egress.clone());
        self.egress = egress;
        self
    }

    /// Assumes roles with a key of its own in place of the default chain's.
    #[cfg(test)]
    pub(crate) async fn with_key(mut self, key: aws_credential_types::Credentials) -> Self {
        self.sts = Sts::with_key(self.home.region.to_string(), key).await;
        self
    }

    /// Tries the bucket of a location that is about to be made, with its role's credentials.
    ///
    /// # Errors
    /// [`CredentialsError`] with AWS's text if the role cannot be assumed.
    pub(crate) async fn test(
        &self,
        location: &S3Location,
        role_arn: &str,
        now: Timestamp,
    ) -> Result<BucketTest, CredentialsError> {
        let access = self
            .role_access(
                location,
                &location.prefix,
                (role_arn, Purpose::Location(Rights::Read)),
            )
            .await?;
        let keys = self
            .issued
            .resolve(&self.sts, &location.arn, access, now)
            .await?;
        let region = self.home.region.as_str();
        Ok(test_bucket(location, &keys, region, &self.egress).await)
    }

    /// Keys for a location as an agent has it. They are those that the location has now, limited
    /// to the place that the agent knows: rotated keys reach a running execution, but never keys
    /// of another store than the one that it was started with. `rights` limit those of roles; a
    /// location's own key is what it is.
    ///
    /// # Errors
    /// [`CredentialsError`]: no location, no keys, a location that is at another store by now, or
    /// a role that cannot be assumed.
    pub(crate) async fn keys_for(
        &self,
        wanted: &S3Location,
        rights: Rights,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let arn = &wanted.arn;
        let (location, current) = self.current(arn).await?;
        let model::Location::S3(current) = current else {
            return Err(CredentialsError::Refused(format!(
                "location {arn} is a file system and has no credentials"
            )));
        };
        if (&current.endpoint, &current.bucket) != (&wanted.endpoint, &wanted.bucket) {
            return Err(CredentialsError::Refused(format!(
                "location {arn} was changed to another store since this was started: it gets no \
                 keys of that one; start the task again"
            )));
        }
        let access = match &location.details {
            LocationDetails::S3(s3) => {
                let role = (s3.role_arn.as_str(), Purpose::Location(rights));
                self.role_access(wanted, &wanted.prefix, role).await?
            }
            _ => {
                let keys = self
                    .opened(move |sealer| location.open_keys(sealer))
                    .await?;
                let (id, secret) = keys.ok_or_else(|| {
                    CredentialsError::Refused(format!(
                        "location {arn} has no AccessKey and SecretKey: stores without \
                         credentials are not supported; give both with \
                         UpdateLocationObjectStorage"
                    ))
                })?;
                Access::Keys(Keys::unlimited(id, secret))
            }
        };
        self.issued.resolve(&self.sts, arn, access, now).await
    }

    /// Keys for a file system as an agent has it: of the role that the location has now.
    ///
    /// # Errors
    /// [`CredentialsError`]: no location, no role, or one that cannot be assumed.
    pub(crate) async fn keys_for_file_system(
        &self,
        wanted: &EfsLocation,
        rights: Rights,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let arn = &wanted.arn;
        let (location, _) = self.current(arn).await?;
        let LocationDetails::Efs(efs) = &location.details else {
            return Err(CredentialsError::Refused(format!(
                "location {arn} is no EFS file system"
            )));
        };
        let Some(role) = &efs.role_arn else {
            return Err(CredentialsError::Refused(format!(
                "location {arn} has no FileSystemAccessRoleArn any more: start the task again"
            )));
        };
        let place = RolePlace {
            bucket: &efs.file_system_arn,
            prefix: "",
            name: arn.id(),
        };
        let role = (role.as_str(), Purpose::FileSystem(rights));
        let access = self.role_access_at(place, role).await?;
        self.issued.resolve(&self.sts, arn, access, now).await
    }

    /// Keys of a role for a bucket that belongs to no location: of a manifest or a report, limited to
    /// `path`.
    ///
    /// # Errors
    /// [`CredentialsError`]: no keys, a role whose buckets are at another store by now, or one that
    /// cannot be assumed.
    pub(crate) async fn keys_for_role(
        &self,
        store: &S3Location,
        path: &str,
        (role_arn, purpose): (&str, Purpose),
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let (roles, role) = (self.roles.clone(), role_arn.to_owned());
        let current = self.store.read(move |rows| address(&roles, rows, &role));
        let current = current
            .await
            .map_err(|error: StoreError| CredentialsError::internal(&error))?;
        if current.endpoint != store.endpoint {
            return Err(CredentialsError::Refused(format!(
                "role {role_arn} was set to another store since this was started: it gets no keys \
                 of that one; start the task again"
            )));
        }
        let access = self.role_access(store, path, (role_arn, purpose)).await?;
        self.issued
            .resolve(&self.sts, &store.arn, access, now)
            .await
    }

    /// Keys for the log group with this ARN: of the role, or of the default chain.
    ///
    /// # Errors
    /// [`CredentialsError`]: there are none, or the role cannot be assumed.
    pub(crate) async fn keys_for_logs(
        &self,
        role_arn: Option<&str>,
        group_arn: &str,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let Some(role_arn) = role_arn else {
            return self.sts.own().await;
        };
        let place = RolePlace {
            bucket: group_arn,
            prefix: "",
            name: "logs",
        };
        match self
            .role_access_at(place, (role_arn, Purpose::Logs))
            .await?
        {
            Access::Keys(keys) => Ok(keys),
            Access::Assume(request) => self.sts.assume(&request, now).await,
        }
    }

    /// A location's row, and the location as agents take it.
    async fn current(
        &self,
        arn: &LocationArn,
    ) -> Result<(Location, model::Location), CredentialsError> {
        let id = arn.id().to_owned();
        let (roles, region) = (self.roles.clone(), self.home.region.to_string());
        let found = self.store.read(move |rows| {
            let Some(row) = rows.get::<Location>(&id)? else {
                return Ok(None);
            };
            let store = match row.record.role() {
                Some(role) => address(&roles, rows, role)?,
                None => StoreAddress::default(),
            };
            let current = row.record.to_model(&store, &region);
            Ok(Some((row.record, current)))
        });
        found
            .await
            .map_err(|error: StoreError| CredentialsError::internal(&error))?
            .ok_or_else(|| CredentialsError::Refused(format!("Location {arn} is not found.")))
    }

    /// Opens a secret on the store's thread: to know the sealing key takes a look at its file.
    async fn opened<T: Send + 'static>(
        &self,
        open: impl FnOnce(&Sealer) -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, CredentialsError> {
        let sealer = self.sealer.clone();
        let opened = self.store.read(move |_| Ok::<_, StoreError>(open(&sealer)));
        let opened = opened
            .await
            .map_err(|error| CredentialsError::internal(&error))?;
        opened.map_err(|error| CredentialsError::internal(&error))
    }

    async fn role_access(
        &self,
        store: &S3Location,
        prefix: &str,
        role: (&str, Purpose),
    ) -> Result<Access, CredentialsError> {
        let place = RolePlace {
            bucket: &store.bucket,
            prefix,
            name: store.arn.id(),
        };
        self.role_access_at(place, role).await
    }

    async fn role_access_at(
        &self,
        place: RolePlace<'_>,
        (role_arn, purpose): (&str, Purpose),
    ) -> Result<Access, CredentialsError> {
        match self.known(role_arn).await? {
            Known::Sealed(keys) => Ok(Access::Keys(keys)),
            Known::Configured(RoleKind::SealedKey) => Err(cannot_assume(role_arn, NO_KEY)),
            Known::Configured(RoleKind::AssumeRole {
                external_id,
                sts_endpoint,
                ..
            }) => Ok(Access::Assume(RoleRequest {
                role_arn: role_arn.to_owned(),
                external_id,
                sts_endpoint,
                partition: self.home.partition.as_str(),
                bucket: place.bucket.to_owned(),
                prefix: place.prefix.to_owned(),
                purpose,
                location_id: place.name.to_owned(),
            })),
            Known::Unknown => Err(cannot_assume(role_arn, NO_WAY)),
        }
    }

    async fn known(&self, role_arn: &str) -> Result<Known, CredentialsError> {
        let arn = role_arn.to_owned();
        let key = self
            .store
            .read(move |rows| rows.get::<RoleKey>(&arn))
            .await
            .map_err(|error: StoreError| CredentialsError::internal(&error))?;
        if let Some(key) = key {
            let key = key.record;
            let id = key.access_key_id.clone();
            let secret = self.opened(move |sealer| key.open_secret(sealer)).await?;
            return Ok(Known::Sealed(Keys::unlimited(id, secret)));
        }
        Ok(match configured(&self.roles, role_arn) {
            Some(role) => Known::Configured(role.kind.clone()),
            None => Known::Unknown,
        })
    }
}

/// The entry of `role_arn`, or the one for every role.
fn configured<'a>(roles: &'a [Role], role_arn: &str) -> Option<&'a Role> {
    roles
        .iter()
        .find(|role| role.arn == role_arn)
        .or_else(|| roles.iter().find(|role| role.arn == "*"))
}

/// Why there can be no credentials of `role_arn`, and what to do, as far as that is known without
/// asking anybody; `None` if there may be some.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn lacking(
    roles: &[Role],
    rows: &Transaction<'_>,
    role_arn: &str,
) -> Result<Option<&'static str>, StoreError> {
    if rows.get::<RoleKey>(role_arn)?.is_some() {
        return Ok(None);
    }
    Ok(match configured(roles, role_arn).map(|role| &role.kind) {
        Some(RoleKind::AssumeRole { .. }) => None,
        Some(RoleKind::SealedKey) => Some(NO_KEY),
        None => Some(NO_WAY),
    })
}

/// Where the buckets of `role_arn` live. A role that nobody configured means AWS.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn address(
    roles: &[Role],
    rows: &Transaction<'_>,
    role_arn: &str,
) -> Result<StoreAddress, StoreError> {
    if let Some(key) = rows.get::<RoleKey>(role_arn)? {
        return Ok(StoreAddress {
            endpoint: key.record.endpoint,
            region: key.record.region,
            key_version: key.version,
        });
    }
    Ok(match configured(roles, role_arn).map(|role| &role.kind) {
        Some(RoleKind::AssumeRole { endpoint, .. }) => StoreAddress {
            endpoint: endpoint.clone(),
            ..StoreAddress::default()
        },
        Some(RoleKind::SealedKey) | None => StoreAddress::default(),
    })
}
