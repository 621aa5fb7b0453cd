//! Answers of bounded size: the SDK reads the body of an answer whole before it looks at it.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// The longest document, in bytes: 1000 keys of 1024 bytes, each written as `%XX`, take about 4 MiB.
pub(crate) const DOCUMENT_MAX: usize = 16 << 20;
/// How the SDK marks the one request whose answer is taken piece by piece.
const DOWNLOAD: &str = "x-id=GetObject";

/// A connector whose answers break off beyond [`DOCUMENT_MAX`], but for the content of an object.
#[derive(Debug)]
pub(crate) struct Bounded(pub(crate) SharedHttpConnector);

fn is_download(request: &HttpRequest) -> bool {
    let query = request.uri().split_once('?').map(|(_, query)| query);
    query.is_some_and(|query| query.split('&').any(|pair| pair == DOWNLOAD))
}

impl HttpConnector for Bounded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let download = is_download(&request);
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            if !(download && answer.status().is_success()) {
                let body = Limited::new(answer.take_body(), DOCUMENT_MAX);
                *answer.body_mut() = SdkBody::from_body_1_x(body);
            }
            Ok(answer)
        })
    }
}
