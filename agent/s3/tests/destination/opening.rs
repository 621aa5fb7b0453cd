//! Opening a location: region, access, what the probe does and leaves.

use std::time::Duration;

use datasync_endpoint::{Algorithm, Destination, ErrorKind, Integrity};
use datasync_s3::S3Destination;
use quickstart_store::{Fault, Rule, StoreIntegrity};
use tokio::task::JoinSet;

use crate::setup::{config, credentials};
use crate::sink::{Answer, LIST, Sink, error_body};
use crate::world::World;

#[tokio::test]
async fn the_probe_tells_stores_apart_and_leaves_nothing() {
    for (store, integrity) in [
        (StoreIntegrity::Full, Integrity::Crc64),
        (
            StoreIntegrity::NoCrc64Nvme,
            Integrity::Checksum(Algorithm::Crc32c),
        ),
        (StoreIntegrity::Md5Only, Integrity::Md5),
        (StoreIntegrity::None, Integrity::ReadBack),
    ] {
        let world = World::start(store).await;
        let destination = world.open("p/").await;
        assert_eq!(destination.abilities().integrity, integrity);
        assert_eq!(world.keys().await, Vec::<String>::new());
        assert!(destination.calls().of("PutObject") >= 2);
        assert_eq!(destination.calls().of("ListObjectsV2"), 1);
    }
}

#[tokio::test]
async fn to_look_nothing_is_written() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = S3Destination::open_to_look(world.config("p/"))
        .await
        .unwrap();
    assert_eq!(destination.abilities().integrity, Integrity::ReadBack);
    let made = destination.requests();
    assert_eq!(made.of("ListObjectsV2"), made.total(), "{made}");
}

#[tokio::test]
async fn what_keeps_a_location_from_opening_is_told() {
    let world = World::start(StoreIntegrity::Full).await;
    let mut no_bucket = world.config("");
    no_bucket.location.bucket = "nothing-here".to_owned();
    let mut wrong_secret = world.config("");
    wrong_secret.credentials = credentials("AKID", "WRONG");
    let mut unknown_key = world.config("");
    unknown_key.credentials = credentials("OTHER", "SECRET");
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
    // The object is there before; what hangs must be this upload, and none that follows.
    while !world.faults.calls().contains_key("CreateMultipartUpload") {
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

#[tokio::test]
async fn the_bucket_s_region_is_learned_from_refusals() {
    let sink = Sink::start().await;
    sink.answer(Answer::Reply(
        301,
        "x-amz-bucket-region: eu-south-9\r\n",
        error_body("PermanentRedirect"),
    ));
    let malformed = error_body("AuthorizationHeaderMalformed")
        .replace("</Error>", "<Region>eu-north-8</Region></Error>");
    sink.answer(Answer::Reply(400, "", malformed));
    S3Destination::open(sink.config()).await.unwrap();
    let seen = sink.seen();
    let signed_for = |index: usize, region: &str| {
        let header = seen[index].header("authorization").unwrap();
        assert!(header.contains(&format!("/{region}/s3/")), "{header}");
    };
    signed_for(0, "us-east-1");
    signed_for(1, "eu-south-9");
    signed_for(2, "eu-north-8");
    signed_for(5, "eu-north-8");
}

#[tokio::test]
async fn the_probe_s_object_is_deleted_also_after_errors() {
    let sink = Sink::start().await;
    sink.answer(Answer::Reply(200, "", LIST.to_owned()));
    sink.answer(Answer::Reply(403, "", error_body("AccessDenied")));
    let error = S3Destination::open(sink.config()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("s3:PutObject"), "{error}");
    let last = sink.seen().pop().unwrap();
    assert!(
        last.line
            .starts_with("DELETE /bucket/p/.aws-datasync/probe-"),
        "{}",
        last.line
    );
}
