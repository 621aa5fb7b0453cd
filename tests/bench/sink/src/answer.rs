//! One request, one answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;

use crate::listing::{escape, list};
use crate::objects::{Metadata, Object, Objects, Part};
use crate::query::Target;
use crate::receive::{CRC64_HEADER, Refused, crc64_text, receive};

/// The sink's clock stands still.
const NOW: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const UPLOADS_LISTED_MAX: usize = 1000;
type Answer = Response<Full<Bytes>>;

/// The store and what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    objects: Mutex<Objects>,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Sink {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, name: String) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += 1;
    }

    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Answer, Infallible> {
        let (head, body) = request.into_parts();
        let target = Target::of(&head.uri);
        if target.bucket == "-" {
            return Ok(self.manage(&head, &target));
        }
        self.count(format!("requests {}", head.method));
        if head.method == Method::PUT && !target.key.is_empty() {
            let signed = text(&head.headers, "x-amz-content-sha256");
            let signed = if signed.len() == 64 {
                "SHA-256"
            } else {
                signed
            };
            let by_query = target.parameter("X-Amz-Signature").is_some();
            let signed = if by_query && signed.is_empty() {
                "UNSIGNED-PAYLOAD"
            } else {
                signed
            };
            self.count(format!("payload {signed}"));
        }
        let answer = match (&head.method, target.key.is_empty()) {
            (&Method::PUT, true) => {
                self.objects().create_bucket(&target.bucket);
                reply(StatusCode::OK, "")
            }
            (&Method::POST, true) => self.delete_many(&target, body).await,
            (_, true) => self.bucket(&head.method, &target),
            (&Method::PUT, false) => self.put(&head, &target, body).await,
            (&Method::POST, false) => self.upload(&head, &target, body).await,
            (&Method::DELETE, false) => self.delete(&target),
            (&Method::HEAD | &Method::GET, false) => self.object(&head, &target),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        };
        if !answer.status().is_success() {
            self.count(format!("answers {}", answer.status().as_u16()));
        }
        Ok(with(answer, vec![("date", NOW.to_owned())]))
    }

    /// `GET /-/stats` and `POST /-/reset`: not S3, for the benchmark itself.
    fn manage(&self, head: &Parts, target: &Target) -> Answer {
        match (&head.method, target.key.as_str()) {
            (&Method::GET, "stats") => {
                let (objects, bytes) = self.objects().totals();
                let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let stats =
                    serde_json::json!({"objects": objects, "bytes": bytes, "counts": *counts});
                reply(StatusCode::OK, stats.to_string())
            }
            (&Method::POST, "reset") => {
                *self.objects() = Objects::default();
                self.counts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clear();
                reply(StatusCode::OK, "")
            }
            _ => error(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    fn bucket(&self, method: &Method, target: &Target) -> Answer {
        let objects = self.objects();
        if target.bucket.is_empty() {
            return reply(
                StatusCode::OK,
                "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
            );
        }
        if !objects.has_bucket(&target.bucket) {
            return error(StatusCode::NOT_FOUND, "NoSuchBucket");
        }
        match *method {
            Method::HEAD => reply(StatusCode::OK, ""),
            Method::GET if target.parameter("location").is_some() => reply(
                StatusCode::OK,
                "<LocationConstraint>us-east-1</LocationConstraint>",
            ),
            Method::GET if target.parameter("uploads").is_some() => {
                reply(StatusCode::OK, open_uploads(&objects, target))
            }
            Method::GET => reply(StatusCode::OK, list(&objects, target)),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    async fn put(&self, head: &Parts, target: &Target, body: Incoming) -> Answer {
        if head.headers.contains_key("x-amz-copy-source") {
            return self.copy(&head.headers, target);
        }
        let received = match receive(&head.headers, body).await {
            Ok(received) => received,
            Err(refused) => return self.refuse(refused),
        };
        let checksum = received.crc64.map(crc64_text);
        let mut objects = self.objects();
        let etag = if let Some(id) = target.parameter("uploadId") {
            let number = target.parameter("partNumber").and_then(|n| n.parse().ok());
            let part = Part {
                size: received.size,
                crc64: received.crc64,
            };
            let Some(number) = number.filter(|number| objects.put_part(id, *number, part)) else {
                return error(StatusCode::NOT_FOUND, "NoSuchUpload");
            };
            format!("\"{number:032x}\"")
        } else {
            if text(&head.headers, "if-none-match") == "*"
                && objects.get(&target.bucket, &target.key).is_some()
            {
                return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            let object = Object {
                size: received.size,
                // Not an MD5, and marked as none: nobody compares it with one.
                etag: format!("\"{:032x}-1\"", received.crc64.unwrap_or(received.size)),
                crc64: received.crc64,
                metadata: metadata(&head.headers),
            };
            let etag = object.etag.clone();
            objects.put(&target.bucket, &target.key, object);
            etag
        };
        let mut headers = vec![("etag", etag)];
        headers.extend(checksum.map(|checksum| (CRC64_HEADER, checksum)));
        with(reply(StatusCode::OK, ""), headers)
    }

    /// Copy of an object onto itself with other metadata.
    fn copy(&self, headers: &HeaderMap, target: &Target) -> Answer {
        let mut objects = self.objects();
        let Some(found) = objects.get(&target.bucket, &target.key) else {
            return error(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let object = Object {
            metadata: metadata(headers),
            ..found.clone()
        };
        let etag = escape(&object.etag);
        objects.put(&target.bucket, &target.key, object);
        reply(
            StatusCode::OK,
            format!(
                "<CopyObjectResult><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>{etag}</ETag></CopyObjectResult>"
            ),
        )
    }

    async fn upload(&self, head: &Parts, target: &Target, body: Incoming) -> Answer {
        if body.collect().await.is_err() {
            return self.refuse(Refused::CutOff);
        }
        let mut objects = self.objects();
        let place = format!(
            "<Bucket>{}</Bucket><Key>{}</Key>",
            target.bucket,
            escape(&target.key)
        );
        if target.parameter("uploads").is_some() {
            let id = objects.create_upload(&target.bucket, &target.key, metadata(&head.headers));
            return reply(
                StatusCode::OK,
                format!(
                    "<InitiateMultipartUploadResult>{place}<UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                ),
            );
        }
        let done = target
            .parameter("uploadId")
            .and_then(|id| objects.complete(id));
        let Some(object) = done else {
            return error(StatusCode::NOT_FOUND, "NoSuchUpload");
        };
        let checksum = object.crc64.map(crc64_text).map(|checksum| {
            format!(
                "<ChecksumCRC64NVME>{checksum}</ChecksumCRC64NVME>\
                 <ChecksumType>FULL_OBJECT</ChecksumType>"
            )
        });
        reply(
            StatusCode::OK,
            format!(
                "<CompleteMultipartUploadResult>{place}<ETag>{}</ETag>{}\
                 </CompleteMultipartUploadResult>",
                escape(&object.etag),
                checksum.unwrap_or_default(),
            ),
        )
    }

    fn delete(&self, target: &Target) -> Answer {
        let mut objects = self.objects();
        match target.parameter("uploadId") {
            Some(id) => objects.abort(id),
            None => objects.delete(&target.bucket, &target.key),
        }
        reply(StatusCode::NO_CONTENT, "")
    }

    async fn delete_many(&self, target: &Target, body: Incoming) -> Answer {
        let Ok(body) = body.collect().await else {
            return self.refuse(Refused::CutOff);
        };
        let body = body.to_bytes();
        let body = String::from_utf8_lossy(&body);
        let mut objects = self.objects();
        let mut deleted = String::new();
        let quiet = body.contains("<Quiet>true</Quiet>");
        for key in body.split("<Key>").skip(1) {
            if let Some((key, _)) = key.split_once("</Key>") {
                objects.delete(&target.bucket, key);
                if !quiet {
                    deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
                }
            }
        }
        let document = format!("<DeleteResult>{deleted}</DeleteResult>");
        reply(StatusCode::OK, document)
    }

    fn object(&self, head: &Parts, target: &Target) -> Answer {
        let objects = self.objects();
        let Some(object) = objects.get(&target.bucket, &target.key) else {
            return error(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        if head.method == Method::GET {
            return error(StatusCode::NOT_IMPLEMENTED, "ContentIsNotKept");
        }
        let mut headers = vec![
            ("etag", object.etag.clone()),
            ("last-modified", NOW.to_owned()),
            ("content-length", object.size.to_string()),
        ];
        if head.headers.contains_key("x-amz-checksum-mode") {
            headers.extend(object.crc64.map(|crc64| (CRC64_HEADER, crc64_text(crc64))));
            headers.push(("x-amz-checksum-type", "FULL_OBJECT".to_owned()));
        }
        let kept = object.metadata.iter();
        headers.extend(kept.map(|(name, value)| (name.as_str(), value.clone())));
        with(reply(StatusCode::OK, ""), headers)
    }

    fn refuse(&self, refused: Refused) -> Answer {
        match refused {
            Refused::CutOff => {
                self.count("bodies cut off".to_owned());
                error(StatusCode::BAD_REQUEST, "IncompleteBody")
            }
            Refused::BadDigest => error(StatusCode::BAD_REQUEST, "BadDigest"),
            Refused::NotAChecksum => error(StatusCode::BAD_REQUEST, "InvalidRequest"),
        }
    }
}

fn open_uploads(objects: &Objects, target: &Target) -> String {
    let open = objects.open_uploads(&target.bucket, target.parameter("prefix").unwrap_or(""));
    let listed = open.iter().take(UPLOADS_LISTED_MAX).map(|upload| {
        format!(
            "<Upload><Key>{}</Key><UploadId>{}</UploadId>\
             <Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>",
            escape(&upload.key),
            upload.id
        )
    });
    format!(
        "<ListMultipartUploadsResult><Bucket>{}</Bucket><IsTruncated>false</IsTruncated>{}\
         </ListMultipartUploadsResult>",
        target.bucket,
        listed.collect::<String>()
    )
}

fn metadata(headers: &HeaderMap) -> Metadata {
    let kept = headers.iter().filter(|(name, _)| {
        name.as_str().starts_with("x-amz-meta-") || *name == http::header::CONTENT_TYPE
    });
    kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

fn reply(status: StatusCode, body: impl Into<String>) -> Answer {
    let body: String = body.into();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
}

fn error(status: StatusCode, code: &str) -> Answer {
    reply(
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
}

fn with<'a>(mut answer: Answer, headers: impl IntoIterator<Item = (&'a str, String)>) -> Answer {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::from_bytes(name.as_bytes()),
            http::HeaderValue::from_str(&value),
        ) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
