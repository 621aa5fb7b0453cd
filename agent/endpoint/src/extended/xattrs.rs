//! Extended attributes of the namespace `user` (RFC 8276), as values and as text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::NotExtended;
use super::escape::{escaped, unescaped};

/// The most attributes of an entry that are taken.
pub const XATTRS_MAX: usize = 256;
/// The longest name, in bytes (Linux, XATTR_NAME_MAX).
pub const XATTR_NAME_MAX: usize = 255;
/// All names and values of an entry together, in bytes.
pub const XATTRS_SIZE_MAX: usize = 64 << 10;

/// Names without `user.`, and values; bounded by [`XATTRS_MAX`] and [`XATTRS_SIZE_MAX`].
///
/// As text: `name=value` with the value in base64 (RFC 4648 §4), joined by commas, in the order of the
/// names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xattrs(BTreeMap<Vec<u8>, Vec<u8>>);

impl Xattrs {
    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names and values together, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let sizes = self.0.iter();
        sizes.map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Adds one, if it is new, has a name, and the bounds hold.
    #[must_use]
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        let is_name = !name.is_empty() && name.len() <= XATTR_NAME_MAX;
        let size = self.size() + name.len() + value.len();
        let fits = self.0.len() < XATTRS_MAX && size <= XATTRS_SIZE_MAX;
        let is_added = is_name && fits && !self.0.contains_key(name);
        if is_added {
            self.0.insert(name.to_vec(), value.to_vec());
        }
        is_added
    }
}

impl fmt::Display for Xattrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", escaped(name), BASE64.encode(value))?;
        }
        Ok(())
    }
}

impl FromStr for Xattrs {
    type Err = NotExtended;

    fn from_str(text: &str) -> Result<Self, NotExtended> {
        let mut found = Self::default();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let pair = part.split_once('=').and_then(|(name, value)| {
                let value = BASE64.decode(value).ok()?;
                Some((unescaped(name)?, value))
            });
            let is_added = pair.is_some_and(|(name, value)| found.add(&name, &value));
            if !is_added {
                let shown: String = part.chars().take(64).collect();
                return Err(NotExtended {
                    what: "extended attributes",
                    detail: format!("{shown:?} is no attribute, or one too many"),
                });
            }
        }
        Ok(found)
    }
}
