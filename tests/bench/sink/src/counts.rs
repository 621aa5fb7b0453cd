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
            self.add(format!("payload {}", signing(target, &head.headers)));
        }
    }

    pub(crate) fn part_begins(&mut self, upload: &str) {
        self.traffic.part_begins(Instant::now(), upload);
    }

    pub(crate) fn shown(&self, (objects, bytes): (usize, u64)) -> Value {
        json!({
            "objects": objects,
            "bytes": bytes,
            "counts": self.named,
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
        let shown = counts.shown((1, 2));
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
