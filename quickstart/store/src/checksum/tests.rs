use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn sum(algorithm: Algorithm, data: &[u8]) -> Value {
    let mut hasher = Hasher::new(Some(algorithm));
    hasher.update(data);
    hasher.finish().value.unwrap()
}

#[test]
fn check_values_of_the_algorithms() {
    // Of "123456789": https://reveng.sourceforge.io/crc-catalogue/all.htm, FIPS 180-4 tools.
    let expected = [
        (Algorithm::Crc32, "cbf43926"),
        (Algorithm::Crc32c, "e3069283"),
        (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (
            Algorithm::Sha256,
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
        ),
    ];
    for (algorithm, value) in expected {
        let raw = BASE64.decode(sum(algorithm, b"123456789").base64).unwrap();
        assert_eq!(hex::encode(raw), value, "{algorithm:?}");
    }
}

proptest! {
    #[test]
    fn full_object_checksums_combine(parts in vec(vec(any::<u8>(), 0..200), 1..6)) {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let sums: Vec<_> =
                parts.iter().map(|p| (sum(algorithm, p), p.len() as u64)).collect();
            let sums: Vec<_> = sums.iter().map(|(value, size)| (Some(value), *size)).collect();
            let whole = combine(algorithm, ChecksumKind::FullObject, &sums).unwrap();
            prop_assert_eq!(whole.value, sum(algorithm, &parts.concat()));
        }
    }
}

#[test]
fn composite_checksums_are_of_the_raw_sums() {
    let sums = [sum(Algorithm::Sha256, b"a"), sum(Algorithm::Sha256, b"b")];
    let raw: Vec<u8> = sums
        .iter()
        .flat_map(|s| BASE64.decode(&s.base64).unwrap())
        .collect();
    let parts = [(Some(&sums[0]), 1), (Some(&sums[1]), 1)];
    let whole = combine(Algorithm::Sha256, ChecksumKind::Composite, &parts).unwrap();
    assert_eq!(
        whole.value.base64,
        format!("{}-2", sum(Algorithm::Sha256, &raw).base64)
    );
    assert_eq!(
        combine(Algorithm::Sha256, ChecksumKind::FullObject, &parts),
        None
    );
    assert_eq!(
        combine(Algorithm::Sha256, ChecksumKind::Composite, &[(None, 1)]),
        None
    );
}

#[test]
fn ill_formed_values_are_refused() {
    assert!(Value::parse(Algorithm::Crc32, "AAAAAA==", false).is_ok());
    assert!(Value::parse(Algorithm::Crc32, "AAAAAA==-3", true).is_ok());
    for (text, composite) in [
        ("AAAAAA==-3", false),
        ("AAAA", false),
        ("?", true),
        ("", false),
    ] {
        assert!(
            Value::parse(Algorithm::Crc32, text, composite).is_err(),
            "{text}"
        );
    }
}

#[test]
fn kinds_follow_the_algorithm() {
    use ChecksumKind::{Composite, FullObject};
    let kind = |algorithm: Algorithm, asked| algorithm.multipart_kind(asked).ok();
    assert_eq!(kind(Algorithm::Crc64Nvme, None), Some(FullObject));
    assert_eq!(kind(Algorithm::Crc64Nvme, Some("COMPOSITE")), None);
    assert_eq!(kind(Algorithm::Crc32, None), Some(Composite));
    assert_eq!(
        kind(Algorithm::Crc32, Some("FULL_OBJECT")),
        Some(FullObject)
    );
    assert_eq!(kind(Algorithm::Sha256, Some("FULL_OBJECT")), None);
    assert_eq!(kind(Algorithm::Sha1, Some("OTHER")), None);
}
