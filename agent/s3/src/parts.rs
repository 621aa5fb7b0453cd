//! The parts that the store holds of an open upload.

use aws_sdk_s3::operation::list_parts::ListPartsOutput;
use aws_sdk_s3::types::Part;
use datasync_endpoint::{EndpointError, ErrorKind, StoredPart, UploadId};

use crate::calls::Operation;
use crate::destination::Store;
use crate::requests::Wait;
use crate::sums::{Proof, Sum, told};

/// The most parts of one answer ("ListParts").
const PAGE: i32 = 1000;
/// Parts are numbered from 1 to this ("Amazon S3 multipart upload limits").
const NUMBER_MAX: u32 = 10_000;

impl Store {
    pub(crate) async fn parts_of(
        &self,
        object_key: &str,
        upload: &UploadId,
    ) -> Result<Vec<StoredPart>, EndpointError> {
        let operation = Operation::ListParts;
        let target = self.place.target(object_key);
        let mut found: Vec<StoredPart> = Vec::new();
        loop {
            let last = found.last().map(|part| part.number);
            let request = self
                .client
                .list_parts()
                .bucket(&self.place.bucket)
                .key(object_key)
                .upload_id(&upload.0)
                .max_parts(PAGE)
                .set_part_number_marker(last.map(|number| number.to_string()))
                .send();
            let output = self
                .requests
                .send(Wait::Answer, operation, &target, request)
                .await?;
            let more = append(&output, self.part_proof(), &mut found).map_err(|wrong| {
                let detail = format!("the store lists {wrong}");
                EndpointError::new(ErrorKind::Protocol, operation.name(), &target, detail)
            })?;
            if !more {
                return Ok(found);
            }
        }
    }
}

/// Takes a page in; says whether another follows, or what is wrong with this one. Numbers rise and
/// are bounded, so that no store can keep us listing.
fn append(
    page: &ListPartsOutput,
    proof: Option<Proof>,
    found: &mut Vec<StoredPart>,
) -> Result<bool, String> {
    for part in page.parts() {
        let part = stored(part, proof).ok_or("a part without a number, a size or an ETag")?;
        let last = found.last().map_or(0, |last| last.number);
        if part.number <= last || part.number > NUMBER_MAX {
            return Err(format!("part {} after part {last}", part.number));
        }
        found.push(part);
    }
    match page.is_truncated() {
        Some(true) if page.parts().is_empty() => {
            Err("an empty page that says that more follow".to_owned())
        }
        Some(more) => Ok(more),
        None => Err("a page that does not say whether it is the last".to_owned()),
    }
}

/// Only of the checksum that was probed it is known that the store computes it.
fn stored(part: &Part, proof: Option<Proof>) -> Option<StoredPart> {
    let sum = proof.and_then(|proof| told!(part, None).sum(proof));
    let (crc64, other) = match sum {
        Some(Sum::Crc64(crc64)) => (Some(crc64), None),
        Some(Sum::Other(other)) => (None, Some(other.checksum)),
        None => (None, None),
    };
    Some(StoredPart {
        number: u32::try_from(part.part_number()?).ok()?,
        etag: part.e_tag()?.to_owned(),
        length: u64::try_from(part.size()?).ok()?,
        crc64,
        checksum: other,
    })
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::{Algorithm, Crc64};

    use super::*;

    const SHA256: Proof = Proof::Other(Algorithm::Sha256);

    fn page(numbers: &[i32], more: Option<bool>) -> ListPartsOutput {
        let part = |number: &i32| {
            Part::builder()
                .part_number(*number)
                .e_tag("\"e\"")
                .size(5)
                .checksum_crc64_nvme(Sum::Crc64(Crc64(9)).text())
                .checksum_sha256(Sum::of(SHA256, b"9").text())
                .build()
        };
        ListPartsOutput::builder()
            .set_parts(Some(numbers.iter().map(part).collect()))
            .set_is_truncated(more)
            .build()
    }

    #[test]
    fn pages_add_up_and_checksums_count_only_where_the_store_computes_them() {
        let sha256 = Sum::of(SHA256, b"9").other().map(|sum| sum.checksum);
        for (proof, crc64, checksum) in [
            (Some(Proof::Crc64), Some(Crc64(9)), None),
            (Some(SHA256), None, sha256),
            (None, None, None),
        ] {
            let mut found = Vec::new();
            assert_eq!(
                append(&page(&[1, 4], Some(true)), proof, &mut found),
                Ok(true)
            );
            assert_eq!(
                append(&page(&[5], Some(false)), proof, &mut found),
                Ok(false)
            );
            let numbers: Vec<_> = found.iter().map(|part| part.number).collect();
            assert_eq!(numbers, [1, 4, 5]);
            for part in found {
                assert_eq!((part.crc64, part.checksum), (crc64, checksum));
            }
        }
    }

    #[test]
    fn listings_that_lead_nowhere_are_refused() {
        for (numbers, more, says) in [
            (&[3, 3][..], Some(false), "part 3 after part 3"),
            (&[3, 2], Some(false), "part 2 after part 3"),
            (&[10_001], Some(true), "part 10001 after part 0"),
            (&[0], Some(true), "part 0 after part 0"),
            (&[-1], Some(true), "without a number"),
            (&[], Some(true), "empty page"),
            (&[1], None, "whether it is the last"),
        ] {
            let wrong = append(&page(numbers, more), None, &mut Vec::new()).unwrap_err();
            assert!(wrong.contains(says), "{wrong}");
        }
    }
}
