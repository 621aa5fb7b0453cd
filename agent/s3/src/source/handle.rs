//! Handles: an item's form, version and key as bytes.

use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind, Handle, Timestamp};

/// ETags of S3 have 34 to 40 bytes; longer ones than this are refused.
pub(super) const ETAG_MAX: usize = 256;

/// How an item is held by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By an object.
    Object,
    /// A directory, by an object whose key ends in `/`.
    Marker,
    /// A directory that only keys below it tell of.
    Prefix,
    /// A directory whose object has content, which no directory can have.
    Burdened,
}

const FORMS: [Form; 4] = [Form::Object, Form::Marker, Form::Prefix, Form::Burdened];

/// An item in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) form: Form,
    /// Of the object in bytes; 0 without one.
    pub(super) size: u64,
    /// When the store says that the object was written; 1970 without one.
    pub(super) modified: Timestamp,
    /// As the store writes it; empty without an object.
    pub(super) etag: String,
    /// In the bucket; that of a directory is empty or ends in `/`.
    pub(super) key: String,
}

impl Item {
    /// A directory that only keys below it tell of.
    pub(super) fn prefix(key: String) -> Self {
        Self {
            form: Form::Prefix,
            size: 0,
            modified: Timestamp::default(),
            etag: String::new(),
            key,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.form != Form::Object
    }

    pub(super) fn handle(&self) -> Handle {
        let form = FORMS.iter().position(|form| *form == self.form);
        let mut bytes = Vec::with_capacity(32 + self.etag.len() + self.key.len());
        bytes.extend(form.and_then(|form| u8::try_from(form).ok()));
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(self.modified.seconds.to_be_bytes());
        bytes.extend(self.modified.nanoseconds.to_be_bytes());
        let etag = self.etag.len().min(ETAG_MAX);
        bytes.extend(u16::try_from(etag).unwrap_or_default().to_be_bytes());
        bytes.extend(self.etag.as_bytes().iter().take(etag));
        bytes.extend(self.key.as_bytes());
        Handle(bytes.into())
    }

    /// The item of a handle that [`Item::handle`] made.
    pub(super) fn of(handle: &Handle) -> Result<Self, EndpointError> {
        read(&handle.0).ok_or_else(|| {
            let detail = "the handle is none of this source";
            EndpointError::new(ErrorKind::Stale, "HeadObject", "", detail)
        })
    }
}

fn read(bytes: &Bytes) -> Option<Item> {
    let (form, rest) = bytes.split_first()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (seconds, rest) = rest.split_first_chunk()?;
    let (nanoseconds, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (etag, key) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some(Item {
        form: *FORMS.get(usize::from(*form))?,
        size: u64::from_be_bytes(*size),
        modified: Timestamp {
            seconds: i64::from_be_bytes(*seconds),
            nanoseconds: u32::from_be_bytes(*nanoseconds),
        },
        etag: std::str::from_utf8(etag).ok()?.to_owned(),
        key: std::str::from_utf8(key).ok()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_back_and_others_are_stale() {
        for form in FORMS {
            let item = Item {
                form,
                size: 1 << 40,
                modified: Timestamp {
                    seconds: -1,
                    nanoseconds: 999_999_999,
                },
                etag: "\"e\"".to_owned(),
                key: "p/é/".to_owned(),
            };
            assert_eq!(Item::of(&item.handle()).unwrap(), item);
        }
        for bytes in [&b""[..], b"\x09", &[0; 20], &[0xff; 40]] {
            let error = Item::of(&Handle(Bytes::copy_from_slice(bytes))).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Stale);
        }
    }
}
