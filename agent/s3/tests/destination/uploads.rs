//! Objects in parts in the embedded store.

use bytes::Bytes;
use datasync_endpoint::{BrokenOff, Crc64, Destination, ErrorKind};
use quickstart_store::StoreIntegrity;

use crate::setup::{header, key, payload, streamed};
use crate::world::{STORES, World};

#[tokio::test]
async fn uploads_in_parts_are_vouched_for_as_a_whole() {
    for store in STORES {
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
async fn parts_that_are_read_while_they_are_sent_are_proven_too() {
    let plain = STORES.map(|store| (store, false));
    for (store, checksum_required) in plain.into_iter().chain([(StoreIntegrity::Full, true)]) {
        let world = World::start_with(store, |config| config.checksum_required = checksum_required);
        let world = world.await;
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
async fn parts_are_listed_beyond_the_first_page() {
    let world = World::start(StoreIntegrity::Full).await;
    let destination = world.open("p/").await;
    let upload = destination
        .create_upload(&key("k"), &header(), 0)
        .await
        .unwrap();
    for number in 1..=1001 {
        destination
            .upload_part(&key("k"), &upload, number, payload(b"1"))
            .await
            .unwrap();
    }
    let parts = destination.parts(&key("k"), &upload).await.unwrap();
    let numbers: Vec<_> = parts.iter().map(|part| part.number).collect();
    assert_eq!(numbers, (1..=1001).collect::<Vec<_>>());
    let crc64 = Some(Crc64::of(b"1"));
    assert!(parts.iter().all(|part| part.crc64 == crc64));
}
