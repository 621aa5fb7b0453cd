//! What the store says of the time with its answers.

use std::sync::{Arc, OnceLock};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::Timestamp;

use crate::listing::timestamp;

/// The time in a `Date` header.
pub(crate) fn of_header(date: &str) -> Option<Timestamp> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    Some(timestamp(&date))
}

/// Takes the date of an answer that the SDK interprets.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerDate(Arc<OnceLock<Timestamp>>);

impl AnswerDate {
    /// The date, once the answer came and if it had one.
    pub(crate) fn told(&self) -> Option<Timestamp> {
        self.0.get().copied()
    }
}

impl Intercept for AnswerDate {
    fn name(&self) -> &'static str {
        "AnswerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date").and_then(of_header) {
            self.0.get_or_init(|| date);
        }
        Ok(())
    }
}
