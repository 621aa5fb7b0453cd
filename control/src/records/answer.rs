//! First answers of mutating calls, for clients that retry after losing one.

use serde::{Deserialize, Serialize};

use crate::store::Record;

/// How long a first answer is repeated.
const REMEMBERED_MS: i64 = 15 * 60 * 1000;
const BUCKET_MS: i64 = 60 * 1000;

/// The answer to one call. Holds ARNs at most, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Hash of access key, invocation id, operation and body.
    pub(crate) call: String,
    /// When the first call was answered.
    pub(crate) answered_at_ms: i64,
    /// The body of the answer.
    pub(crate) body: serde_json::Value,
}

impl Answer {
    /// The parent before which answers may be forgotten.
    pub(crate) fn oldest_bucket(now_ms: i64) -> String {
        bucket(now_ms.saturating_sub(REMEMBERED_MS))
    }
}

/// The minute, padded so that texts sort as numbers.
fn bucket(at_ms: i64) -> String {
    format!("{:016}", at_ms.max(0) / BUCKET_MS)
}

impl Record for Answer {
    const KIND: &'static str = "answer";

    fn id(&self) -> String {
        self.call.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(bucket(self.answered_at_ms))
    }
}
