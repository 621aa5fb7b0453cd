//! Calls that name one object, or delete several.

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;

use crate::answer::Sink;
use crate::clock::Second;
use crate::listing::escape;
use crate::metadata::Metadata;
use crate::objects::{Object, in_one_piece};
use crate::query::Target;
use crate::receive::{CRC64_HEADER, crc64_text};
use crate::reply::{Answer, error, missing, ok, with};

impl Sink {
    pub(crate) async fn put(&self, head: &Parts, target: &Target, body: Incoming) -> Answer {
        let received = match self.receive(head, target, body).await {
            Ok(received) => received,
            Err(refused) => return self.refuse(refused),
        };
        let mut objects = self.objects();
        let only_new = head.headers.get("if-none-match");
        if only_new.is_some_and(|value| value == "*")
            && objects.get(&target.bucket, &target.key).is_some()
        {
            return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        let now = Second::now();
        let object = in_one_piece(received, now, Metadata::of(&head.headers));
        let mut headers = vec![("etag", object.etag.to_string()), ("date", now.http())];
        let checksum = received.crc64.map(crc64_text);
        headers.extend(checksum.map(|checksum| (CRC64_HEADER, checksum)));
        if !objects.put(&target.bucket, &target.key, object) {
            return missing("NoSuchBucket");
        }
        with(ok(""), headers)
    }

    /// Copy of an object onto itself with other metadata.
    pub(crate) fn copy(&self, headers: &HeaderMap, target: &Target) -> Answer {
        let mut objects = self.objects();
        let Some(found) = objects.get(&target.bucket, &target.key) else {
            return missing("NoSuchKey");
        };
        let now = Second::now();
        let object = Object {
            metadata: Metadata::of(headers),
            modified: now,
            ..found.clone()
        };
        let etag = escape(&object.etag);
        objects.put(&target.bucket, &target.key, object);
        ok(format!(
            "<CopyObjectResult><LastModified>{}</LastModified><ETag>{etag}</ETag>\
             </CopyObjectResult>",
            now.xml()
        ))
    }

    pub(crate) fn head(&self, asked: &HeaderMap, target: &Target) -> Answer {
        let objects = self.objects();
        let Some(object) = objects.get(&target.bucket, &target.key) else {
            return missing("NoSuchKey");
        };
        let mut headers = vec![
            ("etag", object.etag.to_string()),
            ("last-modified", object.modified.http()),
            ("content-length", object.size.to_string()),
        ];
        if asked.contains_key("x-amz-checksum-mode") {
            headers.extend(object.crc64.map(|crc64| (CRC64_HEADER, crc64_text(crc64))));
            headers.push(("x-amz-checksum-type", "FULL_OBJECT".to_owned()));
        }
        headers.extend(object.metadata.headers());
        with(ok(""), headers)
    }

    pub(crate) async fn delete_many(&self, target: &Target, body: Incoming) -> Answer {
        let body = match self.document(body).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
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
        ok(format!("<DeleteResult>{deleted}</DeleteResult>"))
    }
}
