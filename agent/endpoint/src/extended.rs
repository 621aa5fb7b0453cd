//! Metadata beyond POSIX's: access control lists and extended attributes, and the user metadata that
//! objects carry them in.

mod acl;
mod escape;
mod xattrs;

use datasync_model::{Acls, Extensions, Xattrs as KeepsXattrs};
use serde::{Deserialize, Serialize};

use crate::{EndpointError, Receipt};

pub use acl::{ACES_MAX, Ace, AceKind, Acl, WHO_MAX};
pub use xattrs::{XATTR_NAME_MAX, XATTRS_MAX, XATTRS_SIZE_MAX, Xattrs};

/// Names after `x-amz-meta-`. DataSync has none for them.
const ACL: &str = "file-acl";
const XATTRS: &str = "file-xattrs";
/// The names of user metadata that [`ExtendedMetadata`] is kept in.
pub const EXTENDED_NAMES: [&str; 2] = [ACL, XATTRS];

/// How the headers of user metadata begin: counted with every name, as some stores do.
const PREFIX: usize = "x-amz-meta-".len();

/// What of it an execution keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtendedKinds {
    /// Access control lists of NFS version 4.
    pub acls: bool,
    /// Extended attributes of the namespace `user`.
    pub xattrs: bool,
}

impl ExtendedKinds {
    /// What an execution is asked to keep.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        Self {
            acls: extensions.acls == Acls::Preserve,
            xattrs: extensions.xattrs == KeepsXattrs::Preserve,
        }
    }

    /// Nothing is kept.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// A text that is no metadata of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {detail}")]
pub struct NotExtended {
    what: &'static str,
    detail: String,
}

/// The access control list and the extended attributes of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Texts", into = "Texts")]
pub struct ExtendedMetadata {
    /// `None` for an entry that has none, and where it is not kept.
    pub acl: Option<Acl>,
    /// Empty where they are not kept.
    pub xattrs: Xattrs,
}

/// The source of the error of a write that put content and POSIX metadata in their place, but not what
/// it should have had besides; with the receipt of what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content and other metadata are in place")]
pub struct WithoutExtended(pub Receipt);

impl WithoutExtended {
    /// The receipt of such a write.
    #[must_use]
    pub fn receipt(error: &EndpointError) -> Option<&Receipt> {
        let source = error.source.as_ref()?.downcast_ref::<Self>()?;
        Some(&source.0)
    }
}

#[derive(Serialize, Deserialize)]
struct Texts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acl: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xattrs: Option<String>,
}

impl From<ExtendedMetadata> for Texts {
    fn from(extended: ExtendedMetadata) -> Self {
        Self {
            acl: extended.acl.map(|acl| acl.to_string()),
            xattrs: (!extended.xattrs.is_empty()).then(|| extended.xattrs.to_string()),
        }
    }
}

impl TryFrom<Texts> for ExtendedMetadata {
    type Error = NotExtended;

    fn try_from(texts: Texts) -> Result<Self, NotExtended> {
        let xattrs = texts.xattrs.map(|text| text.parse()).transpose()?;
        Ok(Self {
            acl: texts.acl.map(|text| text.parse()).transpose()?,
            xattrs: xattrs.unwrap_or_default(),
        })
    }
}

impl ExtendedMetadata {
    /// Neither of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of it is of these kinds.
    #[must_use]
    pub fn only(self, kinds: ExtendedKinds) -> Self {
        Self {
            acl: self.acl.filter(|_| kinds.acls),
            xattrs: if kinds.xattrs {
                self.xattrs
            } else {
                Xattrs::default()
            },
        }
    }

    /// Names (without `x-amz-meta-`) and values.
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let texts = Texts::from(self.clone());
        let acl = texts.acl.map(|text| (ACL, text));
        let xattrs = texts.xattrs.map(|text| (XATTRS, text));
        acl.into_iter().chain(xattrs).collect()
    }

    /// Reads what [`ExtendedMetadata::to_pairs`] writes, among other user metadata. Names are compared
    /// without regard to case.
    ///
    /// # Errors
    /// For a value that is neither ours nor follows our syntax.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, NotExtended> {
        let mut found = Self::default();
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case(ACL) {
                found.acl = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case(XATTRS) {
                found.xattrs = value.parse()?;
            }
        }
        Ok(found)
    }

    /// What of it fits into user metadata of at most `max` bytes beside `others`, the list before the
    /// attributes, and the bytes that all would have taken, if that is less than everything.
    #[must_use]
    pub fn fitted(self, others: &[(&str, String)], max: usize) -> (Self, Option<usize>) {
        let size = |pairs: &[(&str, String)]| -> usize {
            let sizes = pairs.iter();
            sizes
                .map(|(name, value)| PREFIX + name.len() + value.len())
                .sum()
        };
        let taken = size(others);
        let whole = taken + size(&self.to_pairs());
        if whole <= max {
            return (self, None);
        }
        let acl_alone = Self {
            xattrs: Xattrs::default(),
            ..self.clone()
        };
        let xattrs_alone = Self { acl: None, ..self };
        let fits = |some: &Self| taken + size(&some.to_pairs()) <= max;
        let kept = [acl_alone, xattrs_alone].into_iter().find(fits);
        (kept.unwrap_or_default(), Some(whole))
    }
}

#[cfg(test)]
mod tests;
