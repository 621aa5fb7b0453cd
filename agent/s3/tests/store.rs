//! Against the embedded store, with its three levels of integrity.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use datasync_endpoint::{
    BrokenOff, Crc64, Destination, ErrorKind, Integrity, Key, ObjectHeader, PartStream, Payload,
    PosixMetadata, Timestamp, Unpaced,
};
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::{Fault, Faults, Rule, StoreConfig, StoreIntegrity};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct World {
    endpoint: String,
    root: tempfile::TempDir,
    integrity: StoreIntegrity,
    faults: Arc<Faults>,
    _server: JoinSet<std::io::Result<()>>,
}

impl World {
    async fn start(integrity: StoreIntegrity) -> Self {
        let world = Self::serve(tempfile::tempdir().unwrap(), integrity).await;
        let sdk = world.sdk();
        sdk.create_bucket().bucket("bucket").send().await.unwrap();
        world
    }

    async fn serve(root: tempfile::TempDir, integrity: StoreIntegrity) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut config = StoreConfig::new(root.path()).with_access_key("AKID", "SECRET");
        config.integrity = integrity;
        let faults = Arc::new(Faults::default());
        config.faults = Some(Arc::clone(&faults));
        config.region = "eu-west-7".to_owned();
        let mut server = JoinSet::new();
        let shutdown = CancellationToken::new();
        server.spawn(quickstart_store::serve(listener, config, None, shutdown));
        Self {
            endpoint,
            root,
            integrity,
            faults,
            _server: server,
        }
    }

    /// The same objects, as if all had been written `earlier`.
    async fn aged(self, earlier: Duration) -> Self {
        let seconds = i64::try_from(earlier.as_secs()).unwrap();
        let records = self.root.path().join("bucket/records");
        for shard in std::fs::read_dir(records).unwrap() {
            for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let (before, rest) = text.split_once("\"modified\":").unwrap();
                let (modified, after) = rest.split_once(',').unwrap();
                let modified = modified.parse::<i64>().unwrap() - seconds;
                let text = format!("{before}\"modified\":{modified},{after}");
                std::fs::write(&path, text).unwrap();
            }
        }
        Self::serve(self.root, self.integrity).await
    }

    async fn put_plainly(&self, key: &str) {
        let put = self.sdk().put_object().bucket("bucket").key(key);
        put.send().await.unwrap();
    }

    fn sdk(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("eu-west-7"))
            .credentials_provider(Credentials::new("AKID", "SECRET", None, None, "test"))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    fn config(&self, prefix: &str) -> S3Config {
        config(&self.endpoint, prefix)
    }

    async fn open(&self, prefix: &str) -> S3Destination {
        S3Destination::open(self.config(prefix)).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self
            .sdk()
            .list_objects_v2()
            .bucket("bucket")
            .send()
            .await
            .unwrap();
        listed
            .contents()
            .iter()
            .map(|o| o.key().unwrap().to_owned())
            .collect()
    }
}

fn config(endpoint: &str, prefix: &str) -> S3Config {
    S3Config {
        location: S3Location {
            arn: "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0"
                .parse()
                .unwrap(),
            bucket: "bucket".to_owned(),
            prefix: prefix.to_owned(),
            region: None,
            endpoint: Some(endpoint.to_owned()),
            server_certificate: None,
            storage_class: StorageClass::Standard,
        },
        credentials: SharedCredentialsProvider::new(Credentials::new(
            "AKID", "SECRET", None, None, "test",
        )),
        object_max: None,
        request_timeout: Duration::from_secs(20),
        requests_max: 8,
    }
}

fn payload(content: &[u8]) -> Payload {
    Payload {
        chunks: content
            .chunks(1 << 20)
            .map(Bytes::copy_from_slice)
            .collect(),
        length: content.len() as u64,
        crc64: Crc64::of(content),
        pace: Arc::new(Unpaced),
    }
}

fn header() -> ObjectHeader {
    ObjectHeader {
        metadata: PosixMetadata {
            owner: Some(7),
            group: Some(8),
            permissions: Some(0o100_640),
            mtime: Timestamp::from_nanoseconds(-1),
            atime: Timestamp::from_nanoseconds(5),
        },
        storage_class: None,
        only_if_absent: false,
    }
}

fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

#[tokio::test]
async fn the_probe_tells_stores_apart_and_leaves_nothing() {
    for (store, integrity) in [
        (StoreIntegrity::Full, Integrity::Crc64),
        (StoreIntegrity::Md5Only, Integrity::Md5),
        (StoreIntegrity::None, Integrity::ReadBack),
    ] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        assert_eq!(destination.abilities().integrity, integrity);
        assert_eq!(world.keys().await, Vec::<String>::new());
        assert!(destination.calls().of("PutObject") >= 2);
    }
}

#[tokio::test]
async fn objects_of_every_size_arrive_with_their_metadata() {
    for store in [
        StoreIntegrity::Full,
        StoreIntegrity::Md5Only,
        StoreIntegrity::None,
    ] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        let vouches = destination.abilities().integrity != Integrity::ReadBack;
        for (name, size) in [("", 0), ("empty", 0), ("one", 1), ("big", 3 << 20)] {
            let content: Vec<u8> = (0..size).map(|i: u32| i.to_le_bytes()[1]).collect();
            let receipt = destination
                .put(&key(name), &header(), payload(&content))
                .await
                .unwrap();
            assert_eq!(receipt.vouched, vouches, "{name} {store:?}");
            let state = destination.stat(&key(name)).await.unwrap().unwrap();
            assert_eq!(state.metadata, header().metadata);
            assert_eq!((state.size, &state.etag), (u64::from(size), &receipt.etag));
            let expected = (store == StoreIntegrity::Full).then(|| Crc64::of(&content));
            assert_eq!(state.crc64, expected);
            let back = destination.read_back(&key(name)).await.unwrap();
            assert_eq!(
                (back.size, back.crc64),
                (u64::from(size), Crc64::of(&content))
            );
        }
        assert_eq!(destination.stat(&key("nothing")).await.unwrap(), None);
        let head = world
            .sdk()
            .head_object()
            .bucket("bucket")
            .key("p/one")
            .send()
            .await
            .unwrap();
        assert_eq!(head.metadata().unwrap()["user-agent"], "aws-datasync");
        assert_eq!(head.metadata().unwrap()["file-permissions"], "0100640");
    }
}

#[tokio::test]
async fn a_wrong_checksum_stores_nothing() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    let mut wrong = payload(b"content");
    wrong.crc64 = Crc64(1);
    let error = destination
        .put(&key("k"), &header(), wrong)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
    assert_eq!(destination.stat(&key("k")).await.unwrap(), None);
}

#[tokio::test]
async fn uploads_in_parts_are_vouched_for_as_a_whole() {
    for store in [
        StoreIntegrity::Full,
        StoreIntegrity::Md5Only,
        StoreIntegrity::None,
    ] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        let (first, last) = (vec![1u8; 5 << 20], vec![2u8; 100]);
        let upload = destination
            .create_upload(&key("k"), &header(), 0)
            .await
            .unwrap();
        let near = destination
            .create_upload(&key("k2"), &header(), 0)
            .await
            .unwrap();
        let open = destination.open_uploads(&key("k")).await.unwrap();
        assert_eq!(open.iter().map(|u| &u.id).collect::<Vec<_>>(), [&upload]);
        let mut parts = Vec::new();
        for (number, content) in [(1, &first), (2, &last)] {
            let part = destination
                .upload_part(&key("k"), &upload, number, payload(content))
                .await
                .unwrap();
            parts.push(part);
        }
        let whole = Crc64::of(&[first, last].concat());
        if store == StoreIntegrity::Full {
            let error = destination
                .complete_upload(&key("k"), &upload, &header(), &parts, Crc64(3))
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
        }
        let receipt = destination
            .complete_upload(&key("k"), &upload, &header(), &parts, whole)
            .await
            .unwrap();
        assert_eq!(receipt.vouched, store != StoreIntegrity::None, "{store:?}");
        let back = destination.read_back(&key("k")).await.unwrap();
        assert_eq!((back.size, back.crc64), ((5 << 20) + 100, whole));
        destination.abort_upload(&key("k2"), &near).await.unwrap();
        destination.abort_upload(&key("k2"), &near).await.unwrap();
        assert!(
            destination
                .open_uploads(&key("k2"))
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn listings_go_page_by_page_in_key_order_whatever_the_keys() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("p/").await;
    world
        .sdk()
        .put_object()
        .bucket("bucket")
        .key("other")
        .send()
        .await
        .unwrap();
    let odd = [
        "",
        "a b+c",
        "a%2Fb",
        "a&b",
        "a\u{1}\n",
        "d/",
        "d/é",
        "e\u{301}",
        "\u{fffe}",
        "\u{10f7ff}",
    ];
    let mut expected: Vec<Key> = odd.iter().map(|text| key(text)).collect();
    for text in odd {
        destination
            .put(&key(text), &header(), payload(b"x"))
            .await
            .unwrap();
    }
    for index in 0..1100 {
        let name = key(&format!("n{index:05}"));
        destination
            .put(&name, &header(), payload(b""))
            .await
            .unwrap();
        expected.push(name);
    }
    expected.sort();
    let mut found: Vec<Key> = Vec::new();
    loop {
        let page = destination.list(found.last()).await.unwrap();
        found.extend(page.objects.into_iter().map(|object| object.key));
        if !page.more {
            break;
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn metadata_is_replaced_and_all_else_stays() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    world
        .sdk()
        .put_object()
        .bucket("bucket")
        .key("k +%")
        .content_type("text/plain")
        .metadata("colour", "blue")
        .metadata("file-owner", "1")
        .body(aws_sdk_s3::primitives::ByteStream::from_static(b"content"))
        .send()
        .await
        .unwrap();
    let name = key("k +%");
    let state = destination.stat(&name).await.unwrap().unwrap();
    let receipt = destination
        .set_metadata(&name, &state, &header().metadata)
        .await
        .unwrap();
    assert!(receipt.vouched);
    let after = destination.stat(&name).await.unwrap().unwrap();
    assert_eq!(
        (after.metadata, after.crc64),
        (header().metadata, Some(Crc64::of(b"content")))
    );
    let head = world
        .sdk()
        .head_object()
        .bucket("bucket")
        .key("k +%")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.metadata().unwrap()["colour"], "blue");
    destination
        .put(&name, &header(), payload(b"new"))
        .await
        .unwrap();
    let error = destination
        .set_metadata(&name, &state, &header().metadata)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Precondition);
}

#[tokio::test]
async fn absent_means_absent_and_deletes_are_idempotent() {
    for store in [StoreIntegrity::Full, StoreIntegrity::None] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        let mut only = header();
        only.only_if_absent = true;
        let receipt = destination
            .put(&key("k"), &only, payload(b"1"))
            .await
            .unwrap();
        let error = destination
            .put(&key("k"), &only, payload(b"2"))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Precondition, "{error}");
        destination.delete(&key("k"), &receipt.etag).await.unwrap();
        destination.delete(&key("k"), &receipt.etag).await.unwrap();
        assert_eq!(destination.stat(&key("k")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_keeps_a_location_from_opening_is_told() {
    let world = World::start(StoreIntegrity::Full).await;
    let mut no_bucket = world.config("");
    no_bucket.location.bucket = "nothing-here".to_owned();
    let mut wrong_secret = world.config("");
    wrong_secret.credentials =
        SharedCredentialsProvider::new(Credentials::new("AKID", "WRONG", None, None, "test"));
    let mut unknown_key = world.config("");
    unknown_key.credentials =
        SharedCredentialsProvider::new(Credentials::new("OTHER", "SECRET", None, None, "test"));
    let nobody = config("http://127.0.0.1:1", "");
    let mut no_tls = world.config("");
    no_tls.location.endpoint = Some(world.endpoint.replace("http:", "https:"));
    let mut bad_pem = world.config("");
    bad_pem.location.server_certificate = Some("nonsense".to_owned());
    let no_url = config("store.example", "");
    for (config, kind, says) in [
        (
            no_bucket,
            ErrorKind::ContainerNotFound,
            "no bucket nothing-here",
        ),
        (
            wrong_secret,
            ErrorKind::Credentials,
            "credentials were not accepted",
        ),
        (
            unknown_key,
            ErrorKind::Credentials,
            "credentials were not accepted",
        ),
        (nobody, ErrorKind::Unreachable, "cannot be reached"),
        (no_tls, ErrorKind::Unreachable, "TLS"),
        (bad_pem, ErrorKind::Invalid, "no certificate"),
        (no_url, ErrorKind::Invalid, "http://host"),
    ] {
        let error = S3Destination::open(config).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(
            !format!("{error:?}").contains("SECRET") && !format!("{error:?}").contains("WRONG")
        );
    }
}

#[tokio::test]
async fn what_a_cancelled_open_left_is_removed_once_it_is_old() {
    let world = World::start(StoreIntegrity::Full).await;
    world
        .faults
        .add(Rule::new("CreateMultipartUpload", Fault::Hang));
    let mut opening = JoinSet::new();
    opening.spawn(S3Destination::open(world.config("p/")));
    while world.keys().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    opening.shutdown().await;
    let left = world.keys().await;
    assert!(left[0].starts_with("p/.aws-datasync/probe-"), "{left:?}");
    let user_s = "p/.aws-datasync/probe-of-mine";
    world.put_plainly(user_s).await;
    let upload = world
        .sdk()
        .create_multipart_upload()
        .bucket("bucket")
        .key(&left[0])
        .send()
        .await
        .unwrap();
    world.open("p/").await;
    assert!(world.keys().await.contains(&left[0]), "it may still run");

    let world = world.aged(Duration::from_secs(601)).await;
    let destination = world.open("p/").await;
    assert_eq!(world.keys().await, [user_s]);
    assert_eq!(destination.calls().of("DeleteObject"), 3);
    let parts = world
        .sdk()
        .list_parts()
        .bucket("bucket")
        .key(&left[0])
        .upload_id(upload.upload_id().unwrap())
        .send();
    assert!(parts.await.is_err(), "the upload is aborted too");
}

fn streamed(chunks: Vec<Result<Bytes, BrokenOff>>, length: usize) -> PartStream {
    PartStream {
        chunks: Box::pin(futures::stream::iter(chunks)),
        length: length as u64,
        pace: Arc::new(Unpaced),
    }
}

#[tokio::test]
async fn parts_that_are_read_while_they_are_sent_are_proven_too() {
    for store in [
        StoreIntegrity::Full,
        StoreIntegrity::Md5Only,
        StoreIntegrity::None,
    ] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        let (name, header) = (key("k"), header());
        let upload = destination.create_upload(&name, &header, 0).await.unwrap();
        let contents = [vec![1u8; 6 << 20], vec![2u8; 100_000]];
        let mut parts = Vec::new();
        for (number, content) in (1..).zip(&contents) {
            let chunks = content.chunks(1_000_000).map(Bytes::copy_from_slice);
            let (half, _) = content.split_at(content.len() / 2);
            let broken = vec![Ok(Bytes::copy_from_slice(half)), Err(BrokenOff)];
            destination
                .stream_part(&name, &upload, number, streamed(broken, content.len()))
                .await
                .unwrap_err();
            let whole = streamed(chunks.map(Ok).collect(), content.len());
            let part = destination
                .stream_part(&name, &upload, number, whole)
                .await
                .unwrap();
            let expected = (Crc64::of(content), content.len() as u64);
            assert_eq!((part.crc64, part.length), expected);
            parts.push(part);
        }
        let whole = Crc64::of(&contents.concat());
        let receipt = destination
            .complete_upload(&name, &upload, &header, &parts, whole)
            .await
            .unwrap();
        assert_eq!(receipt.vouched, store != StoreIntegrity::None, "{store:?}");
        let back = destination.read_back(&name).await.unwrap();
        assert_eq!(back.crc64, whole);
    }
}

#[tokio::test]
async fn class_and_tags_stay_and_another_object_is_not_deleted() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("").await;
    let put = world.sdk().put_object().bucket("bucket").key("k");
    let put = put.storage_class(aws_sdk_s3::types::StorageClass::StandardIa);
    put.tagging("colour=blue").send().await.unwrap();
    let name = key("k");
    let state = destination.stat(&name).await.unwrap().unwrap();
    let metadata = header().metadata;
    destination
        .set_metadata(&name, &state, &metadata)
        .await
        .unwrap();
    let after = destination.stat(&name).await.unwrap().unwrap();
    assert_eq!(after.storage_class.as_deref(), Some("STANDARD_IA"));
    let tags = world.sdk().get_object_tagging().bucket("bucket").key("k");
    let tags = tags.send().await.unwrap();
    assert_eq!(tags.tag_set()[0].value(), "blue");
    let stale = destination.delete(&name, "\"00000000000000000000000000000000\"");
    assert_eq!(stale.await.unwrap_err().kind, ErrorKind::Precondition);
    assert!(destination.stat(&name).await.unwrap().is_some());
}
