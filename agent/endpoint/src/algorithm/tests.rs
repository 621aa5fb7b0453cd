use proptest::prelude::*;

use super::*;

#[test]
fn the_check_values_of_the_standards() {
    for (algorithm, text) in [
        (Algorithm::Crc32c, "CRC32C:e3069283"),
        (
            Algorithm::Sha256,
            "SHA256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ),
    ] {
        let checksum = Checksum::of(algorithm, b"123456789");
        assert_eq!(String::from(checksum), text);
        assert_eq!(text.parse(), Ok(checksum));
    }
}

#[test]
fn what_is_no_checksum_is_refused() {
    for text in [
        "",
        "CRC32C",
        "CRC32C:",
        "CRC32C:e30692",
        "CRC32C:e306928",
        "CRC32C:e306928\u{e9}",
        "CRC32C:+3069283",
        "SHA256:e3069283",
        "MD5:e3069283",
    ] {
        assert_eq!(text.parse::<Checksum>(), Err(NotAChecksum), "{text}");
    }
}

#[test]
fn parts_of_several_algorithms_have_no_checksum() {
    let of = |algorithm| Checksum::of(algorithm, b"1");
    let mixed = [of(Algorithm::Sha256), of(Algorithm::Crc32c)];
    assert_eq!(ObjectChecksum::of_parts(mixed), None);
    assert_eq!(ObjectChecksum::of_parts([]), None);
}

proptest! {
    #[test]
    fn a_content_is_hashed_in_parts_whatever_the_slices(
        content in prop::collection::vec(any::<u8>(), 0..200),
        part in 1usize..70,
        slice in 1usize..70,
    ) {
        for algorithm in [Algorithm::Crc32c, Algorithm::Sha256] {
            let mut whole = ObjectHasher::new(algorithm, None);
            let mut parts = ObjectHasher::new(algorithm, Some(part as u64));
            for slice in content.chunks(slice) {
                whole.update(slice);
                parts.update(slice);
            }
            let of_all = Checksum::of(algorithm, &content);
            prop_assert_eq!(whole.finish(), ObjectChecksum::whole(of_all));
            let each = content.chunks(part).map(|part| Checksum::of(algorithm, part));
            let expected = ObjectChecksum::of_parts(each)
                .or_else(|| ObjectChecksum::of_parts([of_all]));
            prop_assert_eq!(Some(parts.finish()), expected);
        }
    }
}
