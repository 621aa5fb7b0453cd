//! Whole objects in the embedded store.

use datasync_endpoint::{Crc64, Destination, ErrorKind, Integrity, Key};
use quickstart_store::StoreIntegrity;

use crate::setup::{delete, header, key, payload};
use crate::world::{STORES, World};

#[tokio::test]
async fn objects_of_every_size_arrive_with_their_metadata() {
    for store in STORES {
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
        delete(&destination, "k", &receipt.etag).await.unwrap();
        delete(&destination, "k", &receipt.etag).await.unwrap();
        assert_eq!(destination.stat(&key("k")).await.unwrap(), None);
    }
}
