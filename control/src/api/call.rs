//! One authenticated call, and its commit.

use aws_lc_rs::digest;
use datasync_model::UniqueId;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use super::shapes::{self, Member};
use super::{Api, Settings};
use crate::records::Answer;
use crate::store::Transaction;

/// What a handler gets.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) api: &'a Api,
    operation: &'a str,
    members: Value,
    pub(super) now: Timestamp,
    /// Equal for every attempt of one call.
    identity: Option<String>,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        api: &'a Api,
        operation: &'a str,
        members: Value,
        now: Timestamp,
        identity: Option<String>,
    ) -> Self {
        Self {
            api,
            operation,
            members,
            now,
            identity,
        }
    }

    /// The operation's name.
    pub(super) fn operation(&self) -> &str {
        self.operation
    }

    /// `attempt` is what the attempts of one call share: SDKs send one invocation id with each.
    pub(super) fn identity(key: &str, attempt: &[u8], operation: &str, body: &[u8]) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [key.as_bytes(), attempt, operation.as_bytes(), body] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex::encode(hash.finish())
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.api.settings
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Whether the members are what the model says of the operation's input; those that it does
    /// not have are dropped.
    pub(super) fn check(&mut self, input: &'static [Member]) -> Result<(), ApiError> {
        shapes::check(&self.members, input)?;
        shapes::retain_known(&mut self.members, input);
        Ok(())
    }

    /// The members as the operation's input.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        decode(self.operation, &self.members)
    }

    /// The members as they came.
    pub(super) fn members(&self) -> &Value {
        &self.members
    }

    pub(super) fn unique_id(&self) -> Result<UniqueId, ApiError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "the system's random source failed");
            ApiError::internal()
        })?;
        Ok(UniqueId::from_random(random))
    }

    /// Runs `f` and commits. A retried call gets the first answer and changes nothing.
    pub(super) async fn commit(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<Value, ApiError> + Send + 'static,
    ) -> Result<Value, ApiError> {
        let (identity, now_ms) = (self.identity.clone(), self.now_ms());
        let job = move |tx: &Transaction<'_>| {
            let Some(identity) = identity else {
                return f(tx);
            };
            tx.delete_before_parent::<Answer>(&Answer::oldest_bucket(now_ms))?;
            if let Some(first) = tx.get::<Answer>(&identity)? {
                return Ok(first.record.body);
            }
            let body = f(tx)?;
            tx.insert(&Answer {
                call: identity,
                answered_at_ms: now_ms,
                body: body.clone(),
            })?;
            Ok(body)
        };
        self.api.store.commit(job).await
    }

    pub(super) async fn read(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<Value, ApiError> + Send + 'static,
    ) -> Result<Value, ApiError> {
        self.api.store.read(f).await
    }
}

/// `members` as the input of `operation`.
pub(super) fn decode<T: DeserializeOwned>(operation: &str, members: &Value) -> Result<T, ApiError> {
    T::deserialize(members)
        .map_err(|error| ApiError::serialization(format!("{operation} cannot be read: {error}")))
}
