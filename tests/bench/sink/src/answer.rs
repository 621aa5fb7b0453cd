//! One request, one answer.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;

use crate::clock::Second;
use crate::counts::Counts;
use crate::listing::list;
use crate::objects::Objects;
use crate::operation::Operation;
use crate::query::Target;
use crate::receive::Refused;
use crate::reply::{Answer, error, missing, ok, reply, with};

/// The store and what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    objects: Mutex<Objects>,
    counts: Mutex<Counts>,
    /// Bytes of bodies, as they come.
    arrived: AtomicU64,
}

impl Sink {
    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arrived(&self, bytes: u64) {
        self.arrived.fetch_add(bytes, Ordering::Relaxed);
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
        let answer = match Operation::of(&head.method, &target, &head.headers) {
            Some(operation) => {
                self.counts().request(operation, &head, &target);
                self.carry_out(operation, &head, &target, body).await
            }
            None => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        };
        if !answer.status().is_success() {
            let name = format!("answers {}", answer.status().as_u16());
            self.counts().add(name);
        }
        if answer.headers().contains_key(http::header::DATE) {
            return Ok(answer);
        }
        Ok(with(answer, [("date", Second::now().http())]))
    }

    async fn carry_out(
        &self,
        operation: Operation,
        head: &Parts,
        target: &Target,
        body: Incoming,
    ) -> Answer {
        match operation {
            Operation::ListBuckets => {
                ok("<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")
            }
            Operation::CreateBucket => {
                self.objects().create_bucket(&target.bucket);
                ok("")
            }
            _ if !self.objects().has_bucket(&target.bucket) => missing("NoSuchBucket"),
            Operation::HeadBucket => ok(""),
            Operation::GetBucketLocation => {
                ok("<LocationConstraint>us-east-1</LocationConstraint>")
            }
            Operation::ListObjects | Operation::ListObjectsV2 => ok(list(&self.objects(), target)),
            Operation::DeleteObjects => self.delete_many(target, body).await,
            Operation::PutObject => self.put(head, target, body).await,
            Operation::CopyObject => self.copy(&head.headers, target),
            Operation::DeleteObject => {
                self.objects().delete(&target.bucket, &target.key);
                reply(StatusCode::NO_CONTENT, "")
            }
            Operation::HeadObject => self.head(&head.headers, target),
            // The content is not kept.
            Operation::GetObject => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
            Operation::CreateMultipartUpload => self.create_upload(&head.headers, target),
            Operation::UploadPart => self.put_part(head, target, body).await,
            Operation::CompleteMultipartUpload => self.complete(target, body).await,
            Operation::AbortMultipartUpload => self.abort(target),
            Operation::ListParts => self.parts(target),
            Operation::ListMultipartUploads => self.open_uploads(target),
        }
    }

    /// Not S3, for the benchmark itself: `GET /-/stats`; `POST /-/reset` forgets everything,
    /// `POST /-/forget-counts` all but the objects, `POST /-/mark` asks for `resumed_seconds`.
    fn manage(&self, head: &Parts, target: &Target) -> Answer {
        match (&head.method, target.key.as_str()) {
            (&Method::GET, "stats") => {
                let totals = self.objects().totals();
                let arrived = self.arrived.load(Ordering::Relaxed);
                return ok(self.counts().shown(totals, arrived).to_string());
            }
            (&Method::POST, "reset") => {
                *self.objects() = Objects::default();
                self.forget_counts();
            }
            (&Method::POST, "forget-counts") => self.forget_counts(),
            (&Method::POST, "mark") => {
                let open = self.objects().uploads.ids();
                self.counts().traffic.mark(Instant::now(), open);
            }
            _ => return missing("NotFound"),
        }
        ok("")
    }

    fn forget_counts(&self) {
        *self.counts() = Counts::default();
        self.arrived.store(0, Ordering::Relaxed);
    }

    /// A document as a request's body; it is small.
    pub(crate) async fn document(&self, body: Incoming) -> Result<String, Answer> {
        match body.collect().await {
            Ok(body) => Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned()),
            Err(_) => Err(self.refuse(Refused::CutOff)),
        }
    }

    pub(crate) fn refuse(&self, refused: Refused) -> Answer {
        match refused {
            Refused::CutOff => {
                self.counts().add("bodies cut off".to_owned());
                error(StatusCode::BAD_REQUEST, "IncompleteBody")
            }
            Refused::BadDigest => error(StatusCode::BAD_REQUEST, "BadDigest"),
            Refused::NotAChecksum => error(StatusCode::BAD_REQUEST, "InvalidRequest"),
        }
    }
}
