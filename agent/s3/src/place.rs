//! Where in the bucket the location lies, and the limits that follow from it.

use crate::object::USER_METADATA_MAX;
use datasync_endpoint::{Abilities, Integrity, Key};
use datasync_model::{S3Location, StorageClass};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// "Amazon S3 multipart upload limits": 10,000 parts of 5 MiB to 5 GiB; a single put takes 5 GiB.
pub(crate) const PARTS_MAX: u32 = 10_000;
pub(crate) const PUT_MAX: u64 = 5 * GIB;
const PART_MIN: u64 = 5 * MIB;
const PART_MAX: u64 = 5 * GIB;
/// The largest object of AWS, and of any store that multipart uploads can make, in bytes: 10,000
/// parts of 5 GiB (the same page: 48.8 TiB, announced as 50 TB).
pub const OBJECT_MAX: u64 = PARTS_MAX as u64 * PART_MAX;
const OBJECT_MAX_ELSEWHERE: u64 = 5 << 40;
/// "Naming Amazon S3 objects": bytes of UTF-8.
const KEY_MAX: usize = 1024;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// A key as it is written in the path of a URL; what SigV4 does not sign otherwise.
pub(crate) fn in_path(object_key: &str) -> PercentEncode<'_> {
    utf8_percent_encode(object_key, PATH)
}

/// Text as it is written in the query of a URL.
pub(crate) fn in_query(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, QUERY)
}

/// The class of an object that exists: S3 names every class but STANDARD ("HeadObject"), and
/// stores without classes name none.
pub(crate) fn class_of(named: Option<&str>) -> String {
    named.unwrap_or(StorageClass::Standard.s3_word()).to_owned()
}

/// Bucket, prefix and class of new objects.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    storage_class: StorageClass,
    /// The store's base URL; `None` means AWS.
    pub(crate) endpoint: Option<String>,
}

impl Place {
    pub(crate) fn new(location: &S3Location) -> Self {
        Self {
            bucket: location.bucket.clone(),
            prefix: location.prefix.clone(),
            storage_class: location.storage_class,
            endpoint: location.endpoint.clone(),
        }
    }

    /// The object's key in the bucket.
    pub(crate) fn object_key(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, key.as_str())
    }

    /// How errors name an object.
    pub(crate) fn target(&self, object_key: &str) -> String {
        format!("s3://{}/{}", self.bucket, object_key.escape_debug())
    }

    /// S3's word for the class of an object that is written: `kept` where it replaces one, else the
    /// location's. `None` for the default class, so that stores which know no classes are not
    /// asked for one.
    pub(crate) fn class_for(&self, kept: Option<&str>, size: u64) -> Option<String> {
        let word = kept.unwrap_or_else(|| self.storage_class.for_new_object(size).s3_word());
        (word != StorageClass::Standard.s3_word()).then(|| word.to_owned())
    }

    pub(crate) fn abilities(&self, integrity: Integrity, object_max: Option<u64>) -> Abilities {
        let default_max = if self.endpoint.is_some() {
            OBJECT_MAX_ELSEWHERE
        } else {
            OBJECT_MAX
        };
        Abilities {
            integrity,
            object_max: object_max.unwrap_or(default_max),
            put_max: PUT_MAX,
            part_min: PART_MIN,
            part_max: PART_MAX,
            parts_max: PARTS_MAX,
            key_max: KEY_MAX.saturating_sub(self.prefix.len()),
            has_root: !self.prefix.is_empty(),
            keeps_link_times: true,
            user_metadata_max: Some(USER_METADATA_MAX),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn place(class: StorageClass) -> Place {
        Place {
            bucket: "b".to_owned(),
            prefix: "p/".to_owned(),
            storage_class: class,
            endpoint: Some("http://store:9000".to_owned()),
        }
    }

    #[test]
    fn classes_have_floors_and_standard_is_not_named() {
        let ia = place(StorageClass::StandardIa);
        assert_eq!(ia.class_for(None, 10), None);
        assert_eq!(ia.class_for(None, 1 << 20).as_deref(), Some("STANDARD_IA"));
        assert_eq!(
            ia.class_for(Some("GLACIER_IR"), 1).as_deref(),
            Some("GLACIER_IR")
        );
        assert_eq!(ia.class_for(Some("STANDARD"), 1 << 20), None);
        let instant = place(StorageClass::GlacierInstantRetrieval);
        assert_eq!(
            instant.class_for(None, 1 << 20).as_deref(),
            Some("GLACIER_IR")
        );
    }

    #[test]
    fn keys_lie_below_the_prefix_and_the_root_is_the_prefix() {
        let place = place(StorageClass::Standard);
        assert_eq!(place.object_key(&Key::default()), "p/");
        assert_eq!(
            place.object_key(&Key::from_listing("a/b".to_owned())),
            "p/a/b"
        );
        let abilities = place.abilities(Integrity::Crc64, None);
        assert_eq!((abilities.key_max, abilities.has_root), (1022, true));
        assert_eq!(abilities.object_max, 5 << 40);
        assert_eq!(place.abilities(Integrity::Crc64, Some(7)).object_max, 7);
    }
}
