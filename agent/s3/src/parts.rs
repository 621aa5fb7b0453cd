//! The parts that the store holds of an open upload.

use aws_sdk_s3::operation::list_parts::ListPartsOutput;
use aws_sdk_s3::types::Part;
use datasync_endpoint::{EndpointError, ErrorKind, StoredPart, UploadId};

use crate::calls::Operation;
use crate::destination::Store;
use crate::object::crc64_of;
use crate::requests::Wait;

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
            let more = append(&output, self.full_object(), &mut found).map_err(|wrong| {
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
    tells_crc64: bool,
    found: &mut Vec<StoredPart>,
) -> Result<bool, String> {
    for part in page.parts() {
        let part = stored(part, tells_crc64).ok_or("a part without a number, a size or an ETag")?;
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

fn stored(part: &Part, tells_crc64: bool) -> Option<StoredPart> {
    Some(StoredPart {
        number: u32::try_from(part.part_number()?).ok()?,
        etag: part.e_tag()?.to_owned(),
        length: u64::try_from(part.size()?).ok()?,
        crc64: crc64_of(part.checksum_crc64_nvme(), None).filter(|_| tells_crc64),
    })
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::Crc64;

    use super::*;
    use crate::object::crc64_text;

    fn page(numbers: &[i32], more: Option<bool>) -> ListPartsOutput {
        let part = |number: &i32| {
            Part::builder()
                .part_number(*number)
                .e_tag("\"e\"")
                .size(5)
                .checksum_crc64_nvme(crc64_text(Crc64(9)))
                .build()
        };
        ListPartsOutput::builder()
            .set_parts(Some(numbers.iter().map(part).collect()))
            .set_is_truncated(more)
            .build()
    }

    #[test]
    fn pages_add_up_and_checksums_count_only_where_the_store_computes_them() {
        for (tells_crc64, crc64) in [(true, Some(Crc64(9))), (false, None)] {
            let mut found = Vec::new();
            assert_eq!(
                append(&page(&[1, 4], Some(true)), tells_crc64, &mut found),
                Ok(true)
            );
            assert_eq!(
                append(&page(&[5], Some(false)), tells_crc64, &mut found),
                Ok(false)
            );
            let seen: Vec<_> = found.iter().map(|part| (part.number, part.crc64)).collect();
            assert_eq!(seen, [(1, crc64), (4, crc64), (5, crc64)]);
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
            let wrong = append(&page(numbers, more), true, &mut Vec::new()).unwrap_err();
            assert!(wrong.contains(says), "{wrong}");
        }
    }
}
