//! Which parts of an upload of an earlier run count as there: a plain function of values.

use std::collections::BTreeMap;

use datasync_endpoint::{PartReceipt, StoredPart};

use crate::journal::PartMark;
use crate::plan::PartLayout;

/// A part that needs not be sent, or perhaps not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recovered {
    /// Its receipt is kept, and the store still has what it is for.
    Proven(PartReceipt),
    /// The store has it, by its own word with the checksum of the source's bytes; whether those are
    /// ours only the source tells.
    Told(StoredPart),
}

/// What is there of a file of this layout, by the receipts that were kept and by what the store has
/// now. Whatever the two disagree on is sent again.
pub(super) fn recovered(
    layout: PartLayout,
    receipts: &BTreeMap<u32, PartMark>,
    stored: &[StoredPart],
) -> BTreeMap<u32, Recovered> {
    let stored: BTreeMap<u32, &StoredPart> =
        stored.iter().map(|part| (part.number, part)).collect();
    let found = layout.parts().filter_map(|(number, _, length)| {
        let part = stored.get(&number).filter(|part| part.length == length)?;
        let receipt = receipts
            .get(&number)
            .map(|mark| mark.receipt(number, length))
            .filter(|receipt| is_of(receipt, part));
        let recovered = match receipt {
            Some(receipt) => Recovered::Proven(receipt),
            None if part.crc64.is_some() || part.checksum.is_some() => {
                Recovered::Told((*part).clone())
            }
            None => return None,
        };
        Some((number, recovered))
    });
    found.collect()
}

/// Every receipt of a file, if none is missing.
pub(super) fn all_receipts(
    layout: PartLayout,
    receipts: &BTreeMap<u32, PartMark>,
) -> Option<Vec<PartReceipt>> {
    let receipt = |(number, _, length)| Some(receipts.get(&number)?.receipt(number, length));
    layout.parts().map(receipt).collect()
}

/// ETags are compared without their quotes, which some stores leave out of listings.
fn is_of(receipt: &PartReceipt, part: &StoredPart) -> bool {
    receipt.etag.trim_matches('"') == part.etag.trim_matches('"')
        && part.crc64.is_none_or(|crc64| crc64 == receipt.crc64)
        && part.checksum == receipt.checksum
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::{Algorithm, Checksum, Crc64};

    use super::*;

    const LAYOUT: PartLayout = PartLayout { size: 25, part: 10 };

    fn stored(number: u32, etag: &str, length: u64, crc64: Option<u64>) -> StoredPart {
        StoredPart {
            number,
            etag: etag.to_owned(),
            length,
            crc64: crc64.map(Crc64),
            checksum: None,
        }
    }

    fn receipt(number: u32, etag: &str, length: u64, crc64: u64) -> PartReceipt {
        PartReceipt {
            number,
            etag: etag.to_owned(),
            crc64: Crc64(crc64),
            checksum: None,
            length,
        }
    }

    fn marks(receipts: &[PartReceipt]) -> BTreeMap<u32, PartMark> {
        let mark = |receipt: &PartReceipt| (receipt.number, PartMark::of(receipt).unwrap());
        receipts.iter().map(mark).collect()
    }

    #[test]
    fn a_part_counts_only_if_receipt_and_store_agree_or_the_store_tells_its_checksum() {
        let kept = receipt(2, "\"e\"", 10, 7);
        let receipts = marks(std::slice::from_ref(&kept));
        let proven = Some(Recovered::Proven(kept));
        let told = |part: StoredPart| Some(Recovered::Told(part));
        for (part, wanted) in [
            (stored(2, "\"e\"", 10, Some(7)), proven.clone()),
            (stored(2, "e", 10, None), proven),
            (stored(2, "\"e\"", 9, Some(7)), None),
            (stored(2, "\"f\"", 10, None), None),
            (
                stored(2, "\"f\"", 10, Some(7)),
                told(stored(2, "\"f\"", 10, Some(7))),
            ),
            (
                stored(2, "\"e\"", 10, Some(8)),
                told(stored(2, "\"e\"", 10, Some(8))),
            ),
            (stored(4, "\"e\"", 10, Some(7)), None),
        ] {
            let found = recovered(LAYOUT, &receipts, std::slice::from_ref(&part));
            assert_eq!(found.get(&2).cloned(), wanted, "{part:?}");
            assert!(found.len() <= 1);
        }
        assert_eq!(recovered(LAYOUT, &receipts, &[]), BTreeMap::new());
        let last = stored(3, "l", 5, Some(1));
        let found = recovered(LAYOUT, &BTreeMap::new(), std::slice::from_ref(&last));
        assert_eq!(found, BTreeMap::from([(3, Recovered::Told(last))]));
    }

    #[test]
    fn the_checksum_that_proves_a_part_must_be_that_of_the_receipt() {
        let of = |content: &[u8]| Some(Checksum::of(Algorithm::Sha256, content));
        let with = |checksum| PartReceipt {
            checksum,
            ..receipt(2, "\"e\"", 10, 7)
        };
        let listed = |checksum| StoredPart {
            checksum,
            ..stored(2, "\"e\"", 10, None)
        };
        for (kept, found, is_proven) in [
            (of(b"1"), of(b"1"), true),
            (of(b"1"), of(b"2"), false),
            (None, of(b"1"), false),
            (of(b"1"), None, false),
        ] {
            let parts = [listed(found)];
            let recovered = recovered(LAYOUT, &marks(&[with(kept)]), &parts).remove(&2);
            let told = found.map(|_| Recovered::Told(listed(found)));
            let wanted = is_proven.then(|| Recovered::Proven(with(kept))).or(told);
            assert_eq!(recovered, wanted, "{kept:?} {found:?}");
        }
    }

    #[test]
    fn receipts_are_complete_or_not() {
        let mut receipts = vec![receipt(1, "a", 10, 1), receipt(3, "c", 5, 3)];
        assert_eq!(all_receipts(LAYOUT, &marks(&receipts)), None);
        receipts.insert(1, receipt(2, "b", 10, 2));
        assert_eq!(all_receipts(LAYOUT, &marks(&receipts)), Some(receipts));
    }
}
