//! Properties that came with another answer, until a copy asks for them: one HEAD less for each.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use datasync_endpoint::ObjectProperties;

use super::facts::Facts;
use super::handle::Item;

/// The most objects; more are under way only where others wait.
const KEPT_MAX: usize = 256;

/// What HEAD would tell for a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Without tags.
    pub(super) properties: ObjectProperties,
    /// Entries of user metadata that no header can carry.
    pub(super) lost_metadata: u64,
}

impl From<Facts> for Known {
    fn from(facts: Facts) -> Self {
        Self {
            properties: facts.properties,
            lost_metadata: facts.lost_metadata,
        }
    }
}

/// The last objects that were told of, by their keys and ETags.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<(String, String, Known)>>);

impl Recent {
    pub(super) fn note(&self, item: &Item, facts: Facts) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(key, _, _)| *key != item.key);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((item.key.clone(), facts.etag.clone(), facts.into()));
    }

    pub(super) fn take(&self, item: &Item) -> Option<Known> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |(key, etag, _): &(String, String, Known)| *key == item.key && *etag == item.etag;
        let place = kept.iter().position(is_it)?;
        kept.remove(place).map(|(_, _, known)| known)
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::Headers;

    use super::*;

    fn facts(etag: &'static str) -> Facts {
        let mut headers = Headers::new();
        headers.insert("etag", etag);
        headers.insert("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
        headers.insert("content-length", "3");
        headers.insert("content-type", "text/plain");
        Facts::read(&headers).unwrap()
    }

    #[test]
    fn a_version_is_known_once_and_few_are_kept() {
        let recent = Recent::default();
        let item = |key: usize, etag: &str| Item {
            etag: etag.to_owned(),
            ..Item::prefix(key.to_string())
        };
        recent.note(&item(1, "a"), facts("a"));
        assert_eq!(recent.take(&item(1, "b")), None);
        assert!(recent.take(&item(1, "a")).is_some());
        assert_eq!(recent.take(&item(1, "a")), None);
        for key in 0..2 * KEPT_MAX {
            recent.note(&item(key, "a"), facts("a"));
        }
        assert_eq!(recent.take(&item(0, "a")), None);
        assert_eq!(recent.0.lock().unwrap().len(), KEPT_MAX);
    }
}
