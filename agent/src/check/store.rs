//! A bucket: the way to it, credentials, and each right that a transfer needs.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Algorithm, Crc64, Destination, EndpointError, ExtendedKinds, Integrity, Key, ObjectHeader,
    ObjectIdentifier, ObjectProperties, Payload, PosixMetadata, Source, Unpaced,
};
use datasync_model::{ChecksumAlgorithm, S3Location};
use datasync_s3::Shape;

use super::reach::{Answer, Reached, reach};
use super::{CheckRequest, sample};
use crate::copy::{Access, Way};
use crate::endpoints::{AnyDestination, DestinationLocation, Endpoints, SourceLocation};
use crate::link::{Hop, Trail};

/// Where AWS is, for a bucket whose region is not known.
const REGION: &str = "us-east-1";
/// Stores refuse signatures that are 15 minutes off ("RequestTimeTooSkewed").
const SKEW_MAX: u64 = 900;
const ADVICE: &str =
    "allow the key or role s3:GetObject, and kms:Decrypt where the bucket is encrypted so";
const TAGS_ADVICE: &str = "ObjectTags=PRESERVE needs it; NONE copies no tags";
const CONTENT: &[u8] = b"Written and deleted by datasync-agent check.\n";
/// Below the location; the engine leaves everything there alone.
const DIRECTORY: &str = ".aws-datasync/";

fn words(error: EndpointError) -> String {
    error.to_string()
}

pub(super) async fn check(
    request: &CheckRequest,
    endpoints: &Endpoints,
    location: &S3Location,
) -> Vec<Hop> {
    let egress = &request.process.egress;
    let endpoint = endpoint(location);
    let certificate = location.server_certificate.as_deref();
    let reached = reach(&endpoint, &location.bucket, egress, certificate).await;
    let mut trail = Trail::default();
    let Some(Reached { trail: way, answer }) = reached else {
        trail.refuse("Endpoint", format!("{endpoint} is no URL"));
        return trail.into_hops();
    };
    trail = way;
    match answer {
        Some(Ok(answer)) => note_answer(&mut trail, &answer),
        Some(Err(reason)) => {
            trail.refuse("HEAD", reason);
            return trail.into_hops();
        }
        None => return trail.into_hops(),
    }
    let Some(found) = credentials(&mut trail, request, endpoints).await else {
        return trail.into_hops();
    };
    let mut location = location.clone();
    location.region = location.region.or(found);
    rights(&mut trail, request, endpoints, &location).await;
    trail.into_hops()
}

/// Where the location's store is asked.
pub(super) fn endpoint(location: &S3Location) -> String {
    let region = location.region.as_deref().unwrap_or(REGION);
    let amazon = || format!("https://s3.{region}.amazonaws.com");
    location.endpoint.clone().unwrap_or_else(amazon)
}

fn note_answer(trail: &mut Trail, answer: &Answer) {
    let server = answer
        .server
        .as_deref()
        .unwrap_or("a server without a name");
    trail.note(
        "HEAD",
        format!("{server} answers with status {}", answer.status),
    );
    match answer.ahead_seconds {
        Some(ahead) if ahead.unsigned_abs() >= SKEW_MAX => trail.refuse(
            "Clock",
            format!("this machine's clock is {ahead} s ahead of the store's: set it by NTP"),
        ),
        Some(ahead) => trail.note("Clock", format!("{ahead} s ahead of the store's")),
        None => trail.note("Clock", "the store does not tell its time".to_owned()),
    }
}

/// Puts the credentials that are found where the endpoints look for them; the region that came with
/// them.
pub(super) async fn credentials(
    trail: &mut Trail,
    request: &CheckRequest,
    endpoints: &Endpoints,
) -> Option<Option<String>> {
    let egress = &request.process.egress;
    let way = Way {
        https_proxy: egress.https_proxy.as_ref(),
        ca_bundles: egress.ca_bundle.iter().map(String::as_str).collect(),
    };
    let found = async {
        let access = Access::find(request.profile.as_deref(), request.region(), &way).await?;
        let text = format!("access key {}", access.key_id());
        access.grant(endpoints.credentials(), request.location.arn());
        Ok((access.region, text))
    };
    trail.step("Credentials", Box::pin(found)).await
}

async fn rights(
    trail: &mut Trail,
    request: &CheckRequest,
    endpoints: &Endpoints,
    location: &S3Location,
) {
    let opened = async {
        endpoints
            .destination_to_look(DestinationLocation::S3(location), ExtendedKinds::default())
            .await
            .map_err(words)?;
        Ok(((), "the location is listed".to_owned()))
    };
    if trail
        .step("s3:ListBucket", Box::pin(opened))
        .await
        .is_none()
    {
        return;
    }
    let read = async {
        let location = SourceLocation::S3(location);
        let shape = Shape::Objects {
            metadata: true,
            tags: true,
        };
        let source = endpoints.source(location, shape, ExtendedKinds::default());
        let source = source.await.map_err(words)?;
        let (first, text) = sample::read(&source, ADVICE).await?;
        Ok((first.map(|file| (source, file)), text))
    };
    if let Some(Some((source, file))) = trail.step("s3:GetObject", Box::pin(read)).await {
        let told = async {
            let told = source.properties(&file).await;
            let told = told.map_err(|error| format!("{error}; {TAGS_ADVICE}"))?;
            let tags = told.map_or(0, |told| told.tags.len());
            Ok(((), format!("{tags} tags of an object read")))
        };
        optional(trail, "s3:GetObjectTagging", Box::pin(told)).await;
    }
    if !request.write {
        return;
    }
    let algorithm = ChecksumAlgorithm::Automatic;
    let opened = async {
        let store = endpoints
            .destination(
                DestinationLocation::S3(location),
                (algorithm, ExtendedKinds::default()),
                Path::new("."),
            )
            .await
            .map_err(words)?;
        let text = format!("written; {}", proof(store.abilities().integrity));
        Ok((store, text))
    };
    if let Some(store) = trail.step("s3:PutObject", Box::pin(opened)).await {
        uploads(trail, &store).await;
        objects(trail, &store).await;
        tags(trail, &store).await;
    }
}

/// A right that not every task needs.
async fn optional(
    trail: &mut Trail,
    name: &'static str,
    tried: impl Future<Output = Result<((), String), String>>,
) {
    if trail.step(name, tried).await.is_none() {
        trail.spare();
    }
}

/// What a write proves at this store.
fn proof(integrity: Integrity) -> String {
    match integrity {
        Integrity::Crc64 => "the store proves content by its own CRC-64/NVME".to_owned(),
        Integrity::Checksum(Algorithm::Sha256) => {
            "the store proves content by its own SHA-256".to_owned()
        }
        Integrity::Checksum(algorithm) => {
            format!("the store proves content by its own {}", algorithm.as_str())
        }
        Integrity::Md5 => "the store proves content by Content-MD5".to_owned(),
        Integrity::ReadBack => {
            "the store proves nothing: every object will be read back".to_owned()
        }
    }
}

fn own_key() -> Result<Key, String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Key::from_listing(format!(
        "{DIRECTORY}check-{}",
        hex::encode(random)
    )))
}

fn header() -> ObjectHeader {
    ObjectHeader {
        metadata: PosixMetadata::default(),
        storage_class: None,
        properties: None,
        only_if_absent: false,
        extended: None,
    }
}

fn payload() -> Payload {
    Payload {
        chunks: vec![Bytes::from_static(CONTENT)],
        length: CONTENT.len() as u64,
        crc64: Crc64::of(CONTENT),
        pace: Arc::new(Unpaced),
    }
}

/// The rights that large files and their resumption need.
async fn uploads(trail: &mut Trail, store: &AnyDestination) {
    let key = match own_key() {
        Ok(key) => key,
        Err(reason) => return trail.refuse("Uploads", reason),
    };
    let size = CONTENT.len() as u64;
    let begun = async {
        let upload = store
            .create_upload(&key, &header(), size)
            .await
            .map_err(words)?;
        Ok((upload, "an upload was begun".to_owned()))
    };
    let Some(upload) = trail.step("CreateMultipartUpload", Box::pin(begun)).await else {
        return;
    };
    let sent = async {
        let sent = store.upload_part(&key, &upload, 1, payload()).await;
        sent.map(|_| ((), "a part was sent".to_owned()))
            .map_err(words)
    };
    trail.step("UploadPart", Box::pin(sent)).await;
    let parts = async {
        let parts = store.parts(&key, &upload).await.map_err(words)?;
        Ok(((), format!("{} part listed", parts.len())))
    };
    trail
        .step("s3:ListMultipartUploadParts", Box::pin(parts))
        .await;
    let open = async {
        let open = store.open_uploads(&key).await.map_err(words)?;
        Ok(((), format!("{} open upload listed", open.len())))
    };
    trail
        .step("s3:ListBucketMultipartUploads", Box::pin(open))
        .await;
    let aborted = async {
        store.abort_upload(&key, &upload).await.map_err(words)?;
        Ok(((), "the upload was aborted".to_owned()))
    };
    trail
        .step("s3:AbortMultipartUpload", Box::pin(aborted))
        .await;
}

/// The rights that metadata and deletes need.
async fn objects(trail: &mut Trail, store: &AnyDestination) {
    let key = match own_key() {
        Ok(key) => key,
        Err(reason) => return trail.refuse("Objects", reason),
    };
    let written = async {
        let receipt = store.put(&key, &header(), payload()).await.map_err(words)?;
        Ok((receipt.etag, "an object was written".to_owned()))
    };
    let Some(etag) = trail.step("PutObject", Box::pin(written)).await else {
        return;
    };
    let read = async {
        let read = store.read_back(&key).await.map_err(words)?;
        if read.crc64 == Crc64::of(CONTENT) {
            Ok(((), "it is read back as it was written".to_owned()))
        } else {
            Err("what is read back is not what was written".to_owned())
        }
    };
    trail.step("GetObject", Box::pin(read)).await;
    let copied = async {
        let found = store.stat(&key).await.map_err(words)?;
        let found = found.ok_or("what was just written is not found")?;
        let metadata = PosixMetadata {
            owner: Some(0),
            ..found.metadata
        };
        let set = store
            .set_metadata(&key, &found, &metadata, None)
            .await
            .map_err(words)?;
        Ok((
            set.etag,
            "its metadata was replaced by a copy in place".to_owned(),
        ))
    };
    let etag = trail
        .step("CopyObject", Box::pin(copied))
        .await
        .unwrap_or(etag);
    let deleted = async {
        let doomed = ObjectIdentifier {
            key: key.clone(),
            etag,
        };
        match store.delete(&[doomed]).await.pop() {
            Some(Ok(())) => Ok(((), "it was deleted".to_owned())),
            Some(Err(error)) => Err(format!(
                "{error}; PreserveDeletedFiles=REMOVE needs it; {key} stays"
            )),
            None => Err("the store did not answer".to_owned()),
        }
    };
    optional(trail, "s3:DeleteObject", Box::pin(deleted)).await;
}

/// The right that tags need.
async fn tags(trail: &mut Trail, store: &AnyDestination) {
    let key = match own_key() {
        Ok(key) => key,
        Err(reason) => return trail.refuse("Tags", reason),
    };
    let properties = ObjectProperties {
        tags: vec![("datasync".to_owned(), "check".to_owned())],
        ..ObjectProperties::default()
    };
    let header = ObjectHeader {
        properties: Some(Box::new(properties)),
        ..header()
    };
    let written = async {
        let written = store.put(&key, &header, payload()).await;
        let receipt = written.map_err(|error| format!("{error}; {TAGS_ADVICE}"))?;
        let etag = receipt.etag;
        let doomed = ObjectIdentifier {
            key: key.clone(),
            etag,
        };
        let text = "an object with a tag was written".to_owned();
        match store.delete(&[doomed]).await.pop() {
            Some(Ok(())) => Ok(((), text)),
            _ => Ok(((), format!("{text}; {key} stays"))),
        }
    };
    optional(trail, "s3:PutObjectTagging", Box::pin(written)).await;
}
