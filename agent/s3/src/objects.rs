//! Single objects of a bucket that is no location: nothing is listed, probed or written to open it.

use std::error::Error;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use datasync_endpoint::{Crc64, EndpointError, ErrorKind, Pace, Payload};
use md5::{Digest as _, Md5};

use crate::body::Progress;
use crate::calls::Operation;
use crate::client;
use crate::config::S3Config;
use crate::open::{check_endpoint, region_of};
use crate::place::Place;
use crate::put::stream;
use crate::requests::{Requests, Wait};

/// A bucket of which objects are read and written by their keys.
#[derive(Debug)]
pub struct S3Objects {
    client: Client,
    place: Place,
    requests: Arc<Requests>,
}

impl S3Objects {
    /// Finds the bucket's region where it is not known. The location's prefix counts for nothing.
    ///
    /// # Errors
    /// Whatever keeps the store from being asked.
    pub async fn open(config: &S3Config) -> Result<Self, EndpointError> {
        if let Some(endpoint) = &config.location.endpoint {
            check_endpoint(endpoint)?;
        }
        let connector = client::connector(config)?;
        let requests = Arc::new(Requests::new(config.requests_max, config.request_timeout));
        let place = Place::new(&config.location);
        let region = region_of(config, &place, &connector, &requests).await?;
        Ok(Self {
            client: client::sdk(config, &region, connector, &requests.clock),
            place,
            requests,
        })
    }

    /// Writes an object, in the place of what may be there. `pace` is asked before every slice.
    ///
    /// # Errors
    /// What the store or the way to it says; whether it was written is then not known.
    pub async fn put(
        &self,
        key: &str,
        content_type: &str,
        content: Bytes,
        pace: Arc<dyn Pace>,
    ) -> Result<(), EndpointError> {
        let target = self.place.target(key);
        let operation = Operation::PutObject;
        let digest = BASE64.encode(Md5::digest(&content));
        let payload = Payload {
            length: content.len() as u64,
            crc64: Crc64::of(&content),
            chunks: vec![content],
            pace,
        };
        let progress = Progress::new();
        let request = self
            .client
            .put_object()
            .bucket(&self.place.bucket)
            .key(key)
            .content_type(content_type)
            .content_md5(digest)
            .body(stream(&payload, &progress))
            .customize()
            .disable_payload_signing()
            .send();
        let wait = Wait::Body(progress);
        let request = self.requests.send(wait, operation, &target, request);
        request.await.map(drop)
    }

    /// Begins to read an object, or one of its versions.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without such an object or version, [`ErrorKind::ContainerNotFound`]
    /// without the bucket, and what else the store or the way to it says.
    pub async fn get(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<Download<'_>, EndpointError> {
        let target = self.place.target(key);
        let operation = Operation::GetObject;
        let request = self
            .client
            .get_object()
            .bucket(&self.place.bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned))
            .send();
        let request = self
            .requests
            .send(Wait::Answer, operation, &target, request);
        let output = request.await?;
        let size = output
            .content_length
            .and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| {
            let detail = "the store does not say how long the object is";
            EndpointError::new(ErrorKind::Protocol, operation.name(), &target, detail)
        })?;
        Ok(Download {
            size,
            etag: output.e_tag,
            version_id: output.version_id,
            body: output.body,
            taken: 0,
            requests: &self.requests,
            target,
        })
    }
}

/// An object that is being read.
#[derive(Debug)]
pub struct Download<'a> {
    /// Of the whole object, in bytes.
    pub size: u64,
    /// As the store writes it, quotes included.
    pub etag: Option<String>,
    /// Where the bucket is versioned.
    pub version_id: Option<String>,
    body: ByteStream,
    taken: u64,
    requests: &'a Requests,
    target: String,
}

impl Download<'_> {
    /// The next bytes; `None` once all have come.
    ///
    /// # Errors
    /// If nothing comes for the request's timeout, or the answer ends early: it must be begun again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, EndpointError> {
        let operation = Operation::GetObject;
        let next = self.body.try_next();
        let came = self
            .requests
            .within(Wait::Answer, operation, &self.target, next)
            .await?;
        let broken = |detail: String| {
            let kind = ErrorKind::Unreachable;
            EndpointError::new(kind, operation.name(), self.target.clone(), detail)
        };
        match came {
            Ok(Some(bytes)) => {
                self.taken += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Ok(None) if self.taken == self.size => Ok(None),
            Ok(None) => Err(broken(format!(
                "{} bytes were announced, {} came",
                self.size, self.taken
            ))),
            Err(error) => {
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                let at = self.taken;
                Err(broken(format!(
                    "the answer broke off at byte {at}: {error} {why}"
                )))
            }
        }
    }
}
