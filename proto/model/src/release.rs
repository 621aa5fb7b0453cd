//! Releases of the agent: their versions, and where an update stands.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::word::words;

/// The longest text of a version, in bytes.
const VERSION_BYTES_MAX: usize = 64;

/// A version in the form of Semantic Versioning without build metadata: `1.2.3`, `1.2.3-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseVersion {
    numbers: [u32; 3],
    /// What comes after the hyphen; empty for a release proper.
    label: String,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a version: it must look like 1.2.3 or 1.2.3-rc.1, with at most 64 characters")]
pub struct NotAVersion;

/// A number without leading zeros, as Semantic Versioning asks for.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let minimal = text == "0" || !text.starts_with('0');
    (plain && minimal).then(|| text.parse().ok()).flatten()
}

fn is_label(text: &str) -> bool {
    text.split('.').all(|part| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty() && part.bytes().all(known) && (!digits || number(part).is_some())
    })
}

impl FromStr for ReleaseVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if text.len() > VERSION_BYTES_MAX {
            return Err(NotAVersion);
        }
        let (core, label) = match text.split_once('-') {
            Some((core, label)) if is_label(label) => (core, label),
            Some(_) => return Err(NotAVersion),
            None => (text, ""),
        };
        let numbers: Option<Vec<u32>> = core.split('.').map(number).collect();
        let numbers = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok());
        Ok(Self {
            numbers: numbers.ok_or(NotAVersion)?,
            label: label.to_owned(),
        })
    }
}

impl TryFrom<String> for ReleaseVersion {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<ReleaseVersion> for String {
    fn from(version: ReleaseVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if self.label.is_empty() {
            return Ok(());
        }
        write!(f, "-{}", self.label)
    }
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By the rules of Semantic Versioning: a version with a label comes before the one without.
impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let labels = || match (self.label.is_empty(), other.label.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => by_parts(&self.label, &other.label),
        };
        self.numbers.cmp(&other.numbers).then_with(labels)
    }
}

fn by_parts(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        let order = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(other)) => match (number(one), number(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => one.cmp(other),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

words! {
    /// Where an agent's last update stands.
    UpdateState {
        /// There was none: the packaged program runs.
        None = "NONE",
        /// Its bundle is being fetched from control.
        Fetching = "FETCHING",
        /// It could not be fetched or was refused; it is tried again while it is wished for.
        Refused = "REFUSED",
        /// It is installed and waits until nothing runs.
        Waiting = "WAITING",
        /// It runs and has not reached control yet.
        Trying = "TRYING",
        /// It runs and has reached control.
        Confirmed = "CONFIRMED",
        /// It did not reach control: what ran before runs again.
        RolledBack = "ROLLED_BACK",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        let ordered = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.10",
            "1.2.0",
        ];
        for (index, one) in ordered.iter().enumerate() {
            for (other_index, other) in ordered.iter().enumerate() {
                let order = version(one).cmp(&version(other));
                assert_eq!(order, index.cmp(&other_index), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = format!("1.2.3-{}", "a".repeat(VERSION_BYTES_MAX));
        for wrong in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.x",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3+build",
            "1.2.3-a/b",
            "../1.2.3",
            "4294967296.0.0",
            " 1.2.3",
            "+1.2.3",
            &long,
        ] {
            assert_eq!(wrong.parse::<ReleaseVersion>(), Err(NotAVersion), "{wrong}");
        }
    }

    proptest! {
        /// It becomes the name of a directory: nothing in it may lead elsewhere.
        #[test]
        fn a_version_is_shown_as_it_was_read(text in "[0-9]{1,3}(\\.[0-9]{1,3}){2}(-[0-9a-z.-]{1,8})?") {
            if let Ok(read) = text.parse::<ReleaseVersion>() {
                prop_assert_eq!(read.to_string(), text);
                prop_assert!(!read.to_string().contains(['/', '\0']));
            }
        }
    }
}
