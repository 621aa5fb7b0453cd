//! One request: its turn, its wait, its count, its error.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use datasync_endpoint::{EndpointError, ErrorKind};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::body::Progress;
use crate::calls::{Calls, Operation};
use crate::clock::StoreClock;
use crate::error;

/// Completing and copying may take the store several minutes ("CompleteMultipartUpload").
const LONG: u32 = 10;

/// Until when a request is waited for.
pub(crate) enum Wait {
    /// So long for the whole answer.
    Answer,
    /// The same for what takes stores long.
    LongAnswer,
    /// So long without progress of the body.
    Body(Arc<Progress>),
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Requests {
    in_flight: Semaphore,
    pub(crate) timeout: Duration,
    pub(crate) calls: Calls,
    pub(crate) clock: StoreClock,
}

impl Requests {
    pub(crate) fn new(in_flight: usize, timeout: Duration) -> Self {
        Self {
            in_flight: Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            timeout,
            calls: Calls::default(),
            clock: StoreClock::default(),
        }
    }

    /// Waits for a turn and counts the request.
    pub(crate) async fn turn(
        &self,
        operation: Operation,
        target: &str,
    ) -> Result<SemaphorePermit<'_>, EndpointError> {
        let permit = self.in_flight.acquire().await.map_err(|closed| {
            EndpointError::new(ErrorKind::Invalid, operation.name(), target, "closed")
                .caused_by(closed)
        })?;
        self.calls.count(operation);
        Ok(permit)
    }

    /// The outcome of `request`, or a timeout.
    pub(crate) async fn within<T>(
        &self,
        wait: Wait,
        operation: Operation,
        target: &str,
        request: impl Future<Output = T>,
    ) -> Result<T, EndpointError> {
        let (limit, progress) = match wait {
            Wait::Answer => (self.timeout, None),
            Wait::LongAnswer => (self.timeout * LONG, None),
            Wait::Body(progress) => (self.timeout, Some(progress)),
        };
        let over = async {
            match progress {
                Some(progress) => progress.stalled(limit).await,
                None => tokio::time::sleep(limit).await,
            }
        };
        tokio::select! {
            biased;
            outcome = request => Ok(outcome),
            () = over => Err(error::timed_out(operation, target, limit)),
        }
    }

    /// Sends a request of the SDK.
    pub(crate) fn send<T, E>(
        &self,
        wait: Wait,
        operation: Operation,
        target: &str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> impl Future<Output = Result<T, EndpointError>>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        // The SDK's futures are large; on the heap they do not weigh on every caller's.
        let request = Box::pin(request);
        async move {
            let _turn = self.turn(operation, target).await?;
            self.within(wait, operation, target, request)
                .await?
                .map_err(|error| error::from_sdk(&error, operation, target, &self.clock))
        }
    }
}
