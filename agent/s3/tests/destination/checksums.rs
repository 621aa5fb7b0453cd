//! Objects that are proven by another checksum than CRC-64/NVME: SHA-256 because it is asked for, or
//! CRC-32C because the store knows nothing better.

use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use datasync_endpoint::{
    Algorithm, Checksum, Crc64, Destination, ErrorKind, Integrity, ObjectChecksum, PartReceipt,
};
use datasync_s3::{S3Config, S3Destination};
use quickstart_store::{Fault, Rule, StoreIntegrity};

use crate::setup::{header, key, payload, streamed};
use crate::world::World;

/// A store, what is asked of it, and what it proves by.
const CASES: [(StoreIntegrity, Option<Algorithm>, Algorithm); 3] = [
    (
        StoreIntegrity::Full,
        Some(Algorithm::Sha256),
        Algorithm::Sha256,
    ),
    (
        StoreIntegrity::NoCrc64Nvme,
        Some(Algorithm::Sha256),
        Algorithm::Sha256,
    ),
    (StoreIntegrity::NoCrc64Nvme, None, Algorithm::Crc32c),
];

fn asking(world: &World, checksum: Option<Algorithm>) -> S3Config {
    S3Config {
        checksum,
        ..world.config("p/")
    }
}

async fn opened(case: (StoreIntegrity, Option<Algorithm>, Algorithm)) -> (World, S3Destination) {
    let (store, asked, proves) = case;
    let world = World::start(store).await;
    let destination = S3Destination::open(asking(&world, asked)).await.unwrap();
    let integrity = destination.abilities().integrity;
    assert_eq!(integrity, Integrity::Checksum(proves));
    (world, destination)
}

fn whole(algorithm: Algorithm, content: &[u8]) -> Option<ObjectChecksum> {
    Some(ObjectChecksum::whole(Checksum::of(algorithm, content)))
}

#[tokio::test]
async fn nothing_weaker_than_what_is_asked_for_is_taken() {
    for store in [StoreIntegrity::Md5Only, StoreIntegrity::None] {
        let world = World::start(store).await;
        let config = asking(&world, Some(Algorithm::Sha256));
        let error = S3Destination::open(config).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
        let text = error.to_string();
        assert!(text.contains("x-amz-checksum-sha256 of objects"), "{text}");
        assert_eq!(world.keys().await, [""; 0], "the probe's object");
    }
}

#[tokio::test]
async fn a_store_that_fails_in_the_probe_has_not_refused_a_checksum() {
    let world = World::start(StoreIntegrity::Full).await;
    let fault = || Rule::new("UploadPart", Fault::InternalError);
    world.faults.add(fault());
    let config = asking(&world, Some(Algorithm::Sha256));
    let error = S3Destination::open(config).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ServerFault, "{error}");
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test]
async fn objects_of_every_size_carry_it_and_nothing_else() {
    for case in CASES {
        let (world, destination) = opened(case).await;
        let algorithm = case.2;
        for (name, size) in [("empty", 0), ("small", 1000), ("large", 3 << 20)] {
            let content: Vec<u8> = (0..size).map(|i: u32| i.to_le_bytes()[1]).collect();
            let receipt = destination
                .put(&key(name), &header(), payload(&content))
                .await
                .unwrap();
            let expected = whole(algorithm, &content);
            assert_eq!((receipt.vouched, receipt.checksum), (true, expected));
            let found = destination.stat(&key(name)).await.unwrap().unwrap();
            assert_eq!((found.crc64, found.checksum), (None, expected), "{name}");
            let mut flipped = payload(&content);
            flipped.crc64.0 ^= 1;
            let error = destination
                .put(&key("flipped"), &header(), flipped)
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::ChecksumRefused, "{error}");
            assert_eq!(destination.stat(&key("flipped")).await.unwrap(), None);
        }
        let head = world.sdk().head_object().bucket("bucket").key("p/small");
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        let head = head.unwrap();
        assert_eq!(
            head.checksum_sha256().is_some(),
            algorithm == Algorithm::Sha256
        );
        assert_eq!(
            head.checksum_crc32_c().is_some(),
            algorithm == Algorithm::Crc32c
        );
    }
}

async fn put(destination: &S3Destination, name: &str) {
    let (key, header) = (key(name), header());
    let put = destination.put(&key, &header, payload(b"content"));
    put.await.unwrap();
}

/// Two parts, the first held and the second read while it is sent.
async fn upload(
    destination: &S3Destination,
    contents: &[Vec<u8>; 2],
) -> (datasync_endpoint::UploadId, Vec<PartReceipt>) {
    let name = key("k");
    let upload = destination
        .create_upload(&name, &header(), 0)
        .await
        .unwrap();
    let held = destination.upload_part(&name, &upload, 1, payload(&contents[0]));
    let held = held.await.unwrap();
    let chunks = contents[1].chunks(40_000).map(Bytes::copy_from_slice);
    let stream = streamed(chunks.map(Ok).collect(), contents[1].len());
    let read = destination.stream_part(&name, &upload, 2, stream);
    let parts = vec![held, read.await.unwrap()];
    (upload, parts)
}

#[tokio::test]
async fn an_object_in_parts_has_that_of_its_parts() {
    let contents = [vec![1u8; 5 << 20], vec![2u8; 100_000]];
    for case in CASES {
        let (world, destination) = opened(case).await;
        let algorithm = case.2;
        let (name, header) = (key("k"), header());
        let (upload, parts) = upload(&destination, &contents).await;
        let sums = contents
            .each_ref()
            .map(|part| Checksum::of(algorithm, part));
        for (part, (content, sum)) in parts.iter().zip(contents.iter().zip(sums)) {
            assert_eq!(part.crc64, Crc64::of(content));
            assert_eq!(part.checksum, Some(sum));
        }
        let listed = destination.parts(&name, &upload).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|part| part.checksum).collect();
        assert_eq!(listed, sums.map(Some));

        let swapped = [1, 0].map(|at: usize| PartReceipt {
            checksum: Some(sums[at]),
            ..parts[1 - at].clone()
        });
        let all = Crc64::of(&contents.concat());
        for (wrong, says) in [
            (swapped, "InvalidPart"),
            (
                parts.clone().try_into().map(without_checksum).unwrap(),
                "a part was sent without",
            ),
        ] {
            let completed = destination.complete_upload(&name, &upload, &header, &wrong, all);
            let error = completed.await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }

        let completed = destination.complete_upload(&name, &upload, &header, &parts, all);
        let receipt = completed.await.unwrap();
        let expected = ObjectChecksum::of_parts(sums);
        assert_eq!((receipt.vouched, receipt.checksum), (true, expected));
        let found = destination.stat(&name).await.unwrap().unwrap();
        assert_eq!((found.crc64, found.checksum), (None, expected));
        assert_eq!(destination.read_back(&name).await.unwrap().crc64, all);
        assert_eq!(world.keys().await, ["p/k"]);
    }
}

fn without_checksum(parts: [PartReceipt; 2]) -> [PartReceipt; 2] {
    parts.map(|part| PartReceipt {
        checksum: None,
        ..part
    })
}

#[tokio::test]
async fn new_metadata_is_vouched_for_where_the_checksum_is_of_the_whole() {
    for case in CASES {
        let (_world, destination) = opened(case).await;
        let metadata = header().metadata;
        put(&destination, "whole").await;
        let (name, expected) = (key("whole"), whole(case.2, b"content"));
        let before = destination.stat(&name).await.unwrap().unwrap();
        let receipt = destination.set_metadata(&name, &before, &metadata, None);
        let receipt = receipt.await.unwrap();
        assert_eq!((receipt.vouched, receipt.checksum), (true, expected));
        let after = destination.stat(&name).await.unwrap().unwrap();
        assert_eq!(after.checksum, expected);

        let contents = [vec![1u8; 5 << 20], vec![2u8; 10]];
        let (upload, parts) = upload(&destination, &contents).await;
        let (name, all) = (key("k"), contents.concat());
        let (header, crc64) = (header(), Crc64::of(&all));
        let completed = destination.complete_upload(&name, &upload, &header, &parts, crc64);
        completed.await.unwrap();
        let before = destination.stat(&name).await.unwrap().unwrap();
        let receipt = destination.set_metadata(&name, &before, &metadata, None);
        assert!(!receipt.await.unwrap().vouched, "it must be read back");
        let after = destination.stat(&name).await.unwrap().unwrap();
        assert_eq!(after.checksum, whole(case.2, &all));
    }
}

/// What was written with a CRC-64 before can still be compared by it.
#[tokio::test]
async fn objects_with_a_crc64_are_told_apart() {
    let world = World::start(StoreIntegrity::Full).await;
    let before = world.open("p/").await;
    put(&before, "k").await;
    let config = asking(&world, Some(Algorithm::Sha256));
    let destination = S3Destination::open(config).await.unwrap();
    let found = destination.stat(&key("k")).await.unwrap().unwrap();
    let crc64 = Some(Crc64::of(b"content"));
    assert_eq!((found.crc64, found.checksum), (crc64, None));
    put(&destination, "k").await;
    let seen_as_before = before.stat(&key("k")).await.unwrap().unwrap();
    assert_eq!(
        (seen_as_before.crc64, seen_as_before.checksum),
        (None, None)
    );
}
