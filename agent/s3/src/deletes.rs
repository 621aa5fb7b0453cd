//! Deletes: one by one, and as many as a request takes.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier as S3Identifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{DELETE_MAX, EndpointError, ErrorKind, Integrity, ObjectIdentifier};
use futures::{StreamExt, stream};
use md5::{Digest as _, Md5};

use crate::calls::Operation;
use crate::destination::Store;
use crate::error::Refusal;
use crate::requests::Wait;

/// Objects that are deleted one by one at the same time.
const SINGLE_MAX: usize = 16;
/// The longest document of a batch, in bytes: Ceph takes 1 MiB (`rgw_max_put_param_size`).
const DOCUMENT_MAX: usize = 768 << 10;
/// What an object adds to it besides its key and ETag, in bytes.
const MARKUP: usize = 64;

/// An object of the bucket, and the ETag that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doomed {
    pub(crate) object_key: String,
    pub(crate) etag: Option<String>,
}

impl Doomed {
    /// Whether the key comes back as it was from any reader of XML 1.0: it may hold neither control
    /// characters ("Characters", XML 1.0, section 2.2, and ends of lines, 2.11) nor blanks at its
    /// ends, which some readers cut off.
    fn fits_xml(&self) -> bool {
        let odd = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
        self.object_key.trim() == self.object_key && !self.object_key.contains(odd)
    }

    /// At most what the object takes in a document, in bytes: `&` becomes five.
    fn xml_bytes(&self) -> usize {
        let escaped =
            |text: &str| text.len() + 5 * text.matches(['&', '<', '>', '"', '\'']).count();
        MARKUP + escaped(&self.object_key) + self.etag.as_deref().map_or(0, escaped)
    }
}

/// The indexes of those that go in one request each, and of those that go in batches.
fn layout(doomed: &[Doomed]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut single, mut batches) = (Vec::new(), Vec::<Vec<usize>>::new());
    let mut bytes = 0;
    for (index, object) in doomed.iter().enumerate() {
        if !object.fits_xml() {
            single.push(index);
            continue;
        }
        bytes += object.xml_bytes();
        match batches.last_mut() {
            Some(batch) if batch.len() < DELETE_MAX && bytes <= DOCUMENT_MAX => batch.push(index),
            _ => {
                batches.push(vec![index]);
                bytes = object.xml_bytes();
            }
        }
    }
    (single, batches)
}

/// `Content-MD5`: stores that know no other checksum ask for it ("DeleteObjects").
#[derive(Debug)]
struct ContentMd5;

impl Intercept for ContentMd5 {
    fn name(&self) -> &'static str {
        "ContentMd5"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let body = request.body().bytes().unwrap_or_default();
        let digest = BASE64.encode(Md5::digest(body));
        request.headers_mut().try_insert("content-md5", digest)?;
        Ok(())
    }
}

/// Outcomes by key. A key that the store did not speak of is not among them.
type Outcomes = HashMap<String, Result<(), EndpointError>>;

/// The same error for another object.
fn for_object(error: &EndpointError, target: String) -> EndpointError {
    EndpointError {
        kind: error.kind,
        effect: error.effect,
        operation: error.operation,
        target,
        detail: error.detail.clone(),
        held: error.held,
        retry_after: error.retry_after,
        source: None,
    }
}

/// What a batch told of an object; `None`: to be asked again for it alone. That an ETag is not the
/// right one is a single request's to say: the probe shows that batches refuse wrong ones, not
/// that they take right ones.
fn decided(outcome: Result<(), EndpointError>) -> Option<Result<(), EndpointError>> {
    match outcome {
        Err(error) if error.kind == ErrorKind::NotFound => Some(Ok(())),
        Err(error) if error.kind == ErrorKind::Precondition => None,
        outcome => Some(outcome),
    }
}

impl Store {
    /// One outcome for each object, in order.
    pub(crate) async fn remove_all(
        &self,
        objects: &[ObjectIdentifier],
    ) -> Vec<Result<(), EndpointError>> {
        let doomed: Vec<Doomed> = objects
            .iter()
            .map(|object| Doomed {
                object_key: self.place.object_key(&object.key),
                etag: self.traits.if_match.then(|| object.etag.clone()),
            })
            .collect();
        let mut outcomes: Vec<Option<Result<(), EndpointError>>> = Vec::new();
        outcomes.resize_with(doomed.len(), || None);
        let (mut single, batches) = layout(&doomed);
        for batch in batches {
            let objects: Vec<&Doomed> = batch.iter().map(|index| &doomed[*index]).collect();
            match self.remove_batch(&objects).await {
                Some(found) => {
                    for (index, outcome) in batch.into_iter().zip(found) {
                        match outcome {
                            Some(outcome) => outcomes[index] = Some(outcome),
                            None => single.push(index),
                        }
                    }
                }
                None => single.extend(batch),
            }
        }
        let removals = single.into_iter().map(|index| {
            let object = &doomed[index];
            async move {
                let removed = self.remove(&object.object_key, object.etag.as_deref());
                (index, removed.await)
            }
        });
        let mut removals = stream::iter(removals).buffer_unordered(SINGLE_MAX);
        while let Some((index, removed)) = removals.next().await {
            outcomes[index] = Some(removed);
        }
        outcomes.into_iter().flatten().collect()
    }

    /// Outcomes in the order of `objects`, of those that the store spoke of; `None`: it takes no
    /// batches, or not this one.
    async fn remove_batch(
        &self,
        objects: &[&Doomed],
    ) -> Option<Vec<Option<Result<(), EndpointError>>>> {
        if !self.traits.batches || self.single_deletes.load(Ordering::Relaxed) || objects.len() < 2
        {
            return None;
        }
        match self.delete_objects(objects).await {
            Ok(mut outcomes) => {
                let found = objects
                    .iter()
                    .map(|o| outcomes.remove(&o.object_key).and_then(decided));
                Some(found.collect())
            }
            Err(error) if matches!(error.kind, ErrorKind::NotSupported | ErrorKind::Invalid) => {
                tracing::info!(%error, "the store takes no batches of deletes: one by one from now on");
                self.single_deletes.store(true, Ordering::Relaxed);
                None
            }
            Err(error) if error.kind == ErrorKind::TooLarge => None,
            Err(error) => {
                let failed = objects.iter().map(|object| {
                    let target = self.place.target(&object.object_key);
                    Some(Err(for_object(&error, target)))
                });
                Some(failed.collect())
            }
        }
    }

    /// One DeleteObjects request.
    pub(crate) async fn delete_objects(
        &self,
        objects: &[&Doomed],
    ) -> Result<Outcomes, EndpointError> {
        let operation = Operation::DeleteObjects;
        let target = format!(
            "{} and {} more",
            self.place
                .target(objects.first().map_or("", |object| &object.object_key)),
            objects.len().saturating_sub(1)
        );
        let identifiers = objects
            .iter()
            .map(|object| {
                S3Identifier::builder()
                    .key(&object.object_key)
                    .set_e_tag(object.etag.clone())
                    .build()
            })
            .collect::<Result<Vec<_>, _>>();
        let delete = identifiers.and_then(|all| Delete::builder().set_objects(Some(all)).build());
        let delete = delete.map_err(|error| {
            EndpointError::new(
                ErrorKind::Invalid,
                operation.name(),
                &target,
                error.to_string(),
            )
        })?;
        let crc64 = self.traits.integrity == Integrity::Crc64;
        let request = self
            .client
            .delete_objects()
            .bucket(&self.place.bucket)
            .delete(delete)
            .set_checksum_algorithm(crc64.then_some(ChecksumAlgorithm::Crc64Nvme))
            .customize()
            .interceptor(ContentMd5)
            .send();
        let output = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request)
            .await?;
        let deleted = output.deleted.into_iter().flatten();
        let mut outcomes: Outcomes = deleted
            .filter_map(|object| Some((object.key?, Ok(()))))
            .collect();
        for error in output.errors.into_iter().flatten() {
            let Some(key) = error.key() else { continue };
            let refusal = Refusal {
                status: 200,
                code: error.code(),
                message: error.message(),
                ..Refusal::default()
            };
            let target = self.place.target(key);
            let failed = refusal.into_error(operation, &target, &self.requests.clock);
            outcomes.insert(key.to_owned(), Err(failed));
        }
        Ok(outcomes)
    }

    pub(crate) async fn remove(
        &self,
        object_key: &str,
        etag: Option<&str>,
    ) -> Result<(), EndpointError> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.place.bucket)
            .key(object_key)
            .set_if_match(etag.map(str::to_owned))
            .send();
        let target = self.place.target(object_key);
        let removed = self
            .requests
            .send(Wait::Answer, Operation::DeleteObject, &target, request)
            .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // A try whose reply was lost may have deleted it: no object has no ETag.
            Err(error) if error.kind == ErrorKind::Precondition && etag.is_some() => {
                match self.head(object_key).await {
                    Ok(None) => Ok(()),
                    Ok(Some(_)) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doomed(key: &str) -> Doomed {
        Doomed {
            object_key: key.to_owned(),
            etag: Some("\"e\"".to_owned()),
        }
    }

    #[test]
    fn keys_that_xml_may_change_go_alone() {
        for key in ["a b", "a/", "é", "\u{10f7ff}", "a&<>\"'", "\u{1fffe}"] {
            assert!(doomed(key).fits_xml(), "{key:?}");
        }
        for key in [
            "a\n",
            "a\tb",
            "\r",
            "\u{1}",
            "a\u{fffe}b",
            "\u{ffff}",
            " a",
            "a ",
            "\u{85}",
        ] {
            assert!(!doomed(key).fits_xml(), "{key:?}");
        }
        let (single, batches) = layout(&["a", "b\n", "c"].map(doomed));
        assert_eq!((single, batches), (vec![1], vec![vec![0, 2]]));
    }

    #[test]
    fn batches_are_bounded_in_objects_and_in_bytes() {
        let sizes = |keys: Vec<Doomed>| {
            let batches = layout(&keys).1;
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        };
        let short = (0..2_500).map(|number| doomed(&number.to_string()));
        assert_eq!(sizes(short.collect()), [1_000, 1_000, 500]);
        let long = |number: u32| doomed(&format!("{number:0>1024}"));
        assert_eq!(sizes((0..1_000).map(long).collect()), [714, 286]);
        let escaped = |number: u32| doomed(&format!("{number:&>1024}"));
        assert!(sizes((0..1_000).map(escaped).collect())[0] < 150);
    }
}
