//! What the benchmark is told: what was asked for, and what came.

use std::collections::BTreeMap;
use std::time::Instant;

use http::HeaderMap;
use http::request::Parts;
use serde_json::{Value, json};

use crate::operation::{Operation, is_probe};
use crate::query::Target;
use crate::traffic::Traffic;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    named: BTreeMap<String, u64>,
    pub(crate) traffic: Traffic,
}

impl Counts {
    pub(crate) fn add(&mut self, name: String) {
        *self.named.entry(name).or_default() += 1;
    }

    /// One request, under its method and its operation; those of a probe under a name of their own.
    pub(crate) fn request(&mut self, operation: Operation, head: &Parts, target: &Target) {
        self.add(format!("requests {}", head.method));
        if is_probe(target) {
            self.add(format!("probe {operation:?}"));
            return;
        }
        self.add(format!("operation {operation:?}"));
        if operation.sends_payload() {
            let signing = signing(target, &head.headers);
            self.add(match checksum(&head.headers) {
                Some(checksum) => format!("payload {signing} + {checksum}"),
                None => format!("payload {signing}"),
            });
        }
    }

    pub(crate) fn part_begins(&mut self, upload: &str) {
        self.traffic.part_begins(Instant::now(), upload);
    }

    pub(crate) fn shown(&self, (objects, bytes): (usize, u64), arrived: u64) -> Value {
        json!({
            "objects": objects,
            "bytes": bytes,
            "counts": self.named,
            "arrived": arrived,
            "received": self.traffic.bytes(),
            "largest_body": self.traffic.body_bytes_max(),
            "resumed_seconds": self.traffic.resumed_after().map(|after| after.as_secs_f64()),
        })
    }
}

/// How the payload was signed.
fn signing<'a>(target: &Target, headers: &'a HeaderMap) -> &'a str {
    let value = headers.get("x-amz-content-sha256");
    match value.and_then(|value| value.to_str().ok()).unwrap_or("") {
        digest if digest.len() == 64 => "SHA-256",
        "" if target.parameter("X-Amz-Signature").is_some() => "UNSIGNED-PAYLOAD",
        other => other,
    }
}

/// The algorithm of the checksum that goes with the payload, ahead of it or behind.
fn checksum(headers: &HeaderMap) -> Option<String> {
    let of_header = |name: &str| {
        let algorithm = name.strip_prefix("x-amz-checksum-")?;
        algorithm
            .contains(char::is_numeric)
            .then(|| algorithm.to_uppercase())
    };
    let trailer = headers.get("x-amz-trailer");
    let trailer = trailer.and_then(|name| of_header(name.to_str().ok()?));
    let ahead = || headers.keys().find_map(|name| of_header(name.as_str()));
    let md5 = || {
        headers
            .contains_key("content-md5")
            .then(|| "MD5".to_owned())
    };
    trailer.or_else(ahead).or_else(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, digest: Option<&str>) -> Parts {
        let request = http::Request::builder().method(method);
        let request = match digest {
            Some(digest) => request.header("x-amz-content-sha256", digest),
            None => request,
        };
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_checksum_is_named_wherever_it_stands() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            checksum(&headers)
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(of("x-amz-checksum-crc64nvme", "AAAA"), named("CRC64NVME"));
        assert_eq!(of("x-amz-trailer", "x-amz-checksum-crc32"), named("CRC32"));
        assert_eq!(of("content-md5", "AAAA"), named("MD5"));
        assert_eq!(of("x-amz-checksum-type", "FULL_OBJECT"), None);
    }

    #[test]
    fn requests_are_counted_by_operation_and_payloads_by_how_they_are_signed() {
        let mut counts = Counts::default();
        let target = |uri: &str| Target::of(&uri.parse().unwrap());
        let digest = "0".repeat(64);
        let signed = head("PUT", Some(&digest));
        let by_query = target("/b/k?X-Amz-Signature=s");
        let probe = target("/b/.aws-datasync/p");
        counts.request(Operation::PutObject, &signed, &target("/b/k"));
        counts.request(Operation::PutObject, &head("PUT", None), &by_query);
        counts.request(Operation::HeadObject, &head("HEAD", None), &target("/b/k"));
        counts.request(Operation::PutObject, &signed, &probe);
        let shown = counts.shown((1, 2), 3);
        assert_eq!(
            shown["counts"],
            json!({
                "operation HeadObject": 1,
                "operation PutObject": 2,
                "payload SHA-256": 1,
                "payload UNSIGNED-PAYLOAD": 1,
                "probe PutObject": 1,
                "requests HEAD": 1,
                "requests PUT": 3,
            })
        );
    }
}
