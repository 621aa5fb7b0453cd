//! What answers say that are not what was asked for.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use datasync_endpoint::EndpointError;

use crate::calls::Operation;
use crate::destination::Store;
use crate::error::{Refusal, element};

/// The longest error document that is read, in bytes.
const ERROR_MAX: usize = 64 * 1024;

/// At most [`ERROR_MAX`] bytes of an answer's body.
pub(super) async fn document(body: SdkBody) -> String {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while bytes.len() < ERROR_MAX {
        match stream.next().await {
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
            // The status alone tells enough.
            Some(Err(_)) | None => break,
        }
    }
    bytes.truncate(ERROR_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Store {
    /// The error that a refusal is. `Ok`: it cannot be understood here, and the SDK may ask again.
    pub(super) fn refused(
        &self,
        answer: &HttpResponse,
        body: &str,
        operation: Operation,
        target: &str,
    ) -> Result<(), EndpointError> {
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name);
        let code = element(body, "Code");
        if code.is_none() && !matches!(status, 403 | 409 | 412 | 429 | 500..) {
            return Ok(());
        }
        let refusal = Refusal {
            status,
            code,
            message: element(body, "Message"),
            request_id: header("x-amz-request-id"),
            retry_after: header("retry-after"),
            date: header("date"),
        };
        Err(refusal.into_error(operation, target, &self.requests.clock))
    }
}
