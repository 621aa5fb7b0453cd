//! S3 locations. The bucket is tried with the role's credentials before the location exists.

use datasync_model::{self as model, LocationArn, StorageClass};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arns;
use super::super::call::Call;
use super::super::check::{self, TagInput, required, unlike};
use super::super::error::ApiError;
use super::paths;
use crate::credentials::{BucketTest, CredentialsError, address};
use crate::records::{Location, LocationDetails, S3Details, Tags};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    location_arn: Option<String>,
    subdirectory: Option<String>,
    s3_bucket_arn: Option<String>,
    #[serde(rename = "S3StorageClass")]
    storage_class: Option<String>,
    #[serde(rename = "S3Config")]
    config: Option<ConfigInput>,
    agent_arns: Option<Vec<String>>,
    tags: Option<Vec<TagInput>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigInput {
    bucket_access_role_arn: Option<String>,
}

/// `S3BucketArn`, of locations, manifests and reports.
pub(in crate::api) fn bucket_arn(text: Option<String>, member: &str) -> Result<String, ApiError> {
    const PATTERN: &str = "^arn:(aws|aws-cn|aws-us-gov|aws-eusc|aws-iso|aws-iso-b):s3:::[a-zA-Z0-9.\\-_]{1,255}$ \
                           or an access point's ARN";
    let text = required(text, member)?;
    if text.len() > 268 {
        return Err(unlike(&text, member, PATTERN));
    }
    if arns::is_arn(&text, "s3", false, |rest| rest.starts_with("accesspoint"))
        || arns::is_arn(&text, "s3-outposts", false, |rest| {
            rest.starts_with("outpost")
        })
    {
        return Err(ApiError::unsupported(
            "S3 access points and Outposts are not supported in this release: name the bucket as \
             arn:aws:s3:::bucket.",
        ));
    }
    let name = |rest: &str| {
        (1..=255).contains(&rest.len())
            && rest
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
    };
    let plain = text.split(':').nth(3) == Some("");
    if plain && arns::is_arn(&text, "s3", true, name) {
        Ok(text)
    } else {
        Err(unlike(&text, member, PATTERN))
    }
}

fn storage_class(word: Option<&str>) -> Result<Option<StorageClass>, ApiError> {
    let class = word
        .map(|word| check::word(word, "S3StorageClass", StorageClass::ALL))
        .transpose()?;
    if class == Some(StorageClass::Outposts) {
        return Err(ApiError::unsupported(
            "S3StorageClass OUTPOSTS is not supported in this release.",
        ));
    }
    Ok(class)
}

fn role(config: Option<ConfigInput>) -> Result<Option<String>, ApiError> {
    config
        .map(|config| {
            arns::role(
                config.bucket_access_role_arn,
                "S3Config.BucketAccessRoleArn",
            )
        })
        .transpose()
}

pub(crate) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Input = call.decode()?;
    let agents = super::optional_agents(input.agent_arns, &call.settings().home)?;
    let details = S3Details {
        bucket_arn: bucket_arn(input.s3_bucket_arn, "S3BucketArn")?,
        prefix: paths::prefix(input.subdirectory.as_deref().unwrap_or(""))?,
        storage_class: storage_class(input.storage_class.as_deref())?
            .unwrap_or(StorageClass::Standard),
        role_arn: required(role(input.config)?, "S3Config")?,
        agents: agents.unwrap_or_default(),
        region: None,
    };
    let tags = check::tags(input.tags)?;
    let arn = super::new_arn(call)?;
    let details = tried(call, arn.clone(), details).await?;
    super::insert(call, arn, tags, LocationDetails::S3(details)).await
}

/// Tries the bucket, and notes its region. A store that control cannot reach is left to the agent
/// that tries the task's locations.
async fn tried(
    call: &Call<'_>,
    arn: LocationArn,
    mut details: S3Details,
) -> Result<S3Details, ApiError> {
    let settings = call.api.settings.clone();
    let role_arn = details.role_arn.clone();
    let location = Location {
        arn,
        created_at_ms: call.now_ms(),
        tags: Tags::new(),
        details: LocationDetails::S3(details.clone()),
    };
    let known: Result<_, ApiError> = call
        .api
        .store
        .read(move |tx| {
            let store = address(&settings.roles, tx, &role_arn)?;
            Ok(location.to_model(&store, settings.home.region.as_str()))
        })
        .await;
    let model::Location::S3(s3) = known? else {
        return Err(ApiError::internal());
    };
    let test = call.api.credentials.test(&s3, &details.role_arn, call.now);
    match Box::pin(test).await {
        Ok(BucketTest::Accessible { region }) => details.region = Some(region),
        Ok(BucketTest::Refused(text)) => return Err(ApiError::invalid(text)),
        Ok(BucketTest::Unreachable(reason)) => {
            tracing::info!(location = %s3.arn, %reason, "control cannot reach the store; an agent will try it");
        }
        Err(error @ CredentialsError::Refused(_)) => {
            return Err(ApiError::invalid(error.to_string()));
        }
        Err(CredentialsError::Internal) => return Err(ApiError::internal()),
    }
    Ok(details)
}

pub(crate) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    super::show(call, |details| match details {
        LocationDetails::S3(s3) => Some(json!({
            "S3StorageClass": s3.storage_class,
            "S3Config": {"BucketAccessRoleArn": s3.role_arn},
            "AgentArns": (!s3.agents.is_empty()).then_some(&s3.agents),
        })),
        _ => None,
    })
    .await
}

pub(crate) async fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Input = call.decode()?;
    let arn: LocationArn = arns::ours(input.location_arn, "LocationArn", &call.settings().home)?;
    let class = storage_class(input.storage_class.as_deref())?;
    let prefix = input
        .subdirectory
        .as_deref()
        .map(paths::prefix)
        .transpose()?;
    let role = role(input.config)?;
    let merge = move |s3: &mut S3Details| {
        s3.storage_class = class.unwrap_or(s3.storage_class);
        if let Some(prefix) = &prefix {
            s3.prefix.clone_from(prefix);
        }
        if let Some(role) = &role {
            s3.role_arn.clone_from(role);
        }
    };
    let id = arn.clone();
    let current = call
        .api
        .store
        .read(move |tx| super::find(tx, &id))
        .await?
        .record;
    let LocationDetails::S3(mut wanted) = current.details else {
        return Err(super::wrong_type(&arn));
    };
    merge(&mut wanted);
    let region = tried(call, arn.clone(), wanted).await?.region;
    super::change(call, arn, move |details| {
        let LocationDetails::S3(s3) = details else {
            return Ok(false);
        };
        merge(s3);
        s3.region = region;
        Ok(true)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::api::{Api, Settings};
    use crate::config::Config;
    use crate::credentials::CredentialService;
    use crate::records::RoleKey;
    use crate::state::State;
    use crate::store::Sealer;

    const ROLE: &str = "arn:aws:iam::000000000000:role/sync";

    #[tokio::test]
    async fn a_fault_of_controls_own_is_no_fault_of_the_caller() {
        let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = State::open(directory.path(), Timestamp::now()).unwrap();
        let config = Config::new(directory.path()).unwrap();
        let service = CredentialService::new(
            state.store.clone(),
            state.sealer.clone(),
            Vec::new(),
            config.home.clone(),
        );
        let api = Api {
            store: state.store.clone(),
            sealer: state.sealer.clone(),
            credentials: Arc::new(service),
            settings: Arc::new(Settings::of(&config)),
            audit: Arc::new(crate::audit::Audit::off()),
            body_room: crate::api::BodyRoom::new(),
            meters: Arc::default(),
        };
        let input = json!({
            "S3BucketArn": "arn:aws:s3:::bucket",
            "S3Config": {"BucketAccessRoleArn": ROLE},
        });
        let call = Call::new(&api, "CreateLocationS3", input, Timestamp::now(), None);
        let refused = Box::pin(create(&call)).await.unwrap_err();
        assert_eq!(refused.kind(), "InvalidRequestException", "an unknown role");
        // A key that was sealed with another sealing key.
        let elsewhere = Sealer::open(other.path()).unwrap();
        let key = RoleKey {
            role_arn: ROLE.to_owned(),
            access_key_id: "AKID".to_owned(),
            secret: RoleKey::seal(&elsewhere, ROLE, "CANARY").unwrap(),
            endpoint: None,
            region: None,
            created_at_ms: 0,
        };
        let stored = state.store.commit(move |rows| rows.insert(&key));
        let stored: Result<(), crate::store::StoreError> = stored.await;
        stored.unwrap();
        let fault = Box::pin(create(&call)).await.unwrap_err();
        assert_eq!((fault.status, fault.kind()), (500, "InternalException"));
        assert!(!fault.body().to_string().contains("seal"), "{fault:?}");
    }
}
