//! Calls for multipart uploads.

use std::fmt::Write as _;

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;

use crate::answer::Sink;
use crate::clock::Second;
use crate::listing::escape;
use crate::metadata::Metadata;
use crate::query::Target;
use crate::receive::{CRC64_HEADER, crc64_text};
use crate::reply::{Answer, error, missing, ok, reply, with};
use crate::uploads::Upload;

/// The most uploads, or parts, of one answer.
const LISTED_MAX: usize = 1000;

impl Sink {
    pub(crate) fn create_upload(&self, headers: &HeaderMap, target: &Target) -> Answer {
        let metadata = Metadata::of(headers);
        let mut objects = self.objects();
        let id = objects
            .uploads
            .create(&target.bucket, &target.key, metadata);
        ok(format!(
            "<InitiateMultipartUploadResult>{}<UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>",
            place(target)
        ))
    }

    pub(crate) async fn put_part(&self, head: &Parts, target: &Target, body: Incoming) -> Answer {
        let number = target.parameter("partNumber").and_then(|n| n.parse().ok());
        let Some(number) = number.filter(|number| (1..=10_000).contains(number)) else {
            return error(StatusCode::BAD_REQUEST, "InvalidArgument");
        };
        let part = match self.receive(head, target, body).await {
            Ok(part) => part,
            Err(refused) => return self.refuse(refused),
        };
        let id = target.parameter("uploadId").unwrap_or("");
        let now = Second::now();
        if !self.objects().uploads.put_part(id, number, part, now) {
            return missing("NoSuchUpload");
        }
        let mut headers = vec![("etag", etag(number)), ("date", now.http())];
        let checksum = part.crc64.map(crc64_text);
        headers.extend(checksum.map(|checksum| (CRC64_HEADER, checksum)));
        with(ok(""), headers)
    }

    pub(crate) async fn complete(&self, target: &Target, body: Incoming) -> Answer {
        if let Err(answer) = self.document(body).await {
            return answer;
        }
        let now = Second::now();
        let id = target.parameter("uploadId").unwrap_or("");
        let Some(object) = self.objects().complete(id, now) else {
            return missing("NoSuchUpload");
        };
        let checksum = object.crc64.map(crc64_text).map(|checksum| {
            format!(
                "<ChecksumCRC64NVME>{checksum}</ChecksumCRC64NVME>\
                 <ChecksumType>FULL_OBJECT</ChecksumType>"
            )
        });
        let document = format!(
            "<CompleteMultipartUploadResult>{}<ETag>{}</ETag>{}</CompleteMultipartUploadResult>",
            place(target),
            escape(&object.etag),
            checksum.unwrap_or_default(),
        );
        with(ok(document), [("date", now.http())])
    }

    pub(crate) fn abort(&self, target: &Target) -> Answer {
        let id = target.parameter("uploadId").unwrap_or("");
        self.objects().uploads.abort(id);
        reply(StatusCode::NO_CONTENT, "")
    }

    pub(crate) fn parts(&self, target: &Target) -> Answer {
        let objects = self.objects();
        match objects
            .uploads
            .get(target.parameter("uploadId").unwrap_or(""))
        {
            Some(upload) => ok(parts_listed(upload, target)),
            None => missing("NoSuchUpload"),
        }
    }

    pub(crate) fn open_uploads(&self, target: &Target) -> Answer {
        let objects = self.objects();
        let prefix = target.parameter("prefix").unwrap_or("");
        let open = objects.uploads.of(&target.bucket, prefix);
        let listed = open.take(LISTED_MAX).map(|(id, upload)| {
            format!(
                "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated></Upload>",
                escape(&upload.key),
                upload.begun.xml(),
            )
        });
        ok(format!(
            "<ListMultipartUploadsResult><Bucket>{}</Bucket><IsTruncated>false</IsTruncated>{}\
             </ListMultipartUploadsResult>",
            target.bucket,
            listed.collect::<String>()
        ))
    }
}

fn place(target: &Target) -> String {
    let key = escape(&target.key);
    format!("<Bucket>{}</Bucket><Key>{key}</Key>", target.bucket)
}

/// No MD5, and never compared with one: 16 bytes that are none would be.
fn etag(number: u32) -> String {
    format!("\"part-{number}\"")
}

fn parts_listed(upload: &Upload, target: &Target) -> String {
    let number = |name| target.parameter(name).and_then(|text| text.parse().ok());
    let marker = number("part-number-marker").unwrap_or(0);
    let max = number("max-parts").map_or(LISTED_MAX, |max| LISTED_MAX.min(max as usize));
    let mut listed: Vec<_> = upload.parts_after(marker).take(max + 1).collect();
    let truncated = listed.len() > max;
    listed.truncate(max);
    let last = listed.last().map_or(marker, |part| part.0);
    let mut xml = format!(
        "<ListPartsResult>{}<IsTruncated>{}</IsTruncated>\
         <NextPartNumberMarker>{last}</NextPartNumberMarker>",
        place(target),
        truncated,
    );
    for (number, part, modified) in listed {
        let checksum = part
            .crc64
            .map(crc64_text)
            .map(|checksum| format!("<ChecksumCRC64NVME>{checksum}</ChecksumCRC64NVME>"));
        // Writing to a String cannot fail.
        write!(
            xml,
            "<Part><PartNumber>{number}</PartNumber><LastModified>{}</LastModified>\
             <ETag>{}</ETag><Size>{}</Size>{}</Part>",
            modified.xml(),
            escape(&etag(number)),
            part.size,
            checksum.unwrap_or_default(),
        )
        .ok();
    }
    xml.push_str("</ListPartsResult>");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uploads::{Part, Uploads};

    #[test]
    fn parts_are_listed_in_pages_with_size_and_checksum() {
        let mut uploads = Uploads::default();
        let id = uploads.create("b", "k", Metadata::default());
        for number in 1..=3 {
            let part = Part {
                size: u64::from(number),
                crc64: Some(0),
            };
            uploads.put_part(&id, number, part, Second::now());
        }
        let upload = uploads.get(&id).unwrap();
        let listed = |uri: &str| parts_listed(upload, &Target::of(&uri.parse().unwrap()));
        let first = listed("/b/k?uploadId=u&max-parts=2");
        assert!(first.contains("<IsTruncated>true</IsTruncated>"), "{first}");
        assert!(first.contains("<NextPartNumberMarker>2<"), "{first}");
        let second = listed("/b/k?uploadId=u&max-parts=2&part-number-marker=2");
        assert!(second.contains("<IsTruncated>false<"), "{second}");
        assert!(second.contains("<PartNumber>3</PartNumber>"), "{second}");
        assert!(!second.contains("<PartNumber>2</PartNumber>"), "{second}");
        assert!(
            second.contains("<Size>3</Size><ChecksumCRC64NVME>AAAAAAAAAAA="),
            "{second}"
        );
    }
}
