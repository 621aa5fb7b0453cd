//! The stores that one agent needs keys for, and how far its session is with them.

use std::collections::HashMap;

use datasync_model::LocationArn;
use tokio::time::Instant;

use crate::fleet::desired::NeededStore;

#[derive(Debug)]
struct Held {
    store: NeededStore,
    /// Whether the agent was sent keys, or told why there are none.
    told: bool,
    /// When keys are to be looked up; `None` while they are.
    due: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stores {
    by_location: HashMap<LocationArn, Held>,
}

impl Stores {
    /// Takes over what the agent needs from now on. Another place or revision of a location means
    /// other keys.
    pub(super) fn need(&mut self, wanted: Vec<NeededStore>, now: Instant) {
        self.by_location
            .retain(|_, held| wanted.contains(&held.store));
        for store in wanted {
            let arn = store.location.arn().clone();
            self.by_location.entry(arn).or_insert(Held {
                store,
                told: false,
                due: Some(now),
            });
        }
    }

    /// The stores whose keys are to be looked up now; they count as being looked up.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<NeededStore> {
        self.by_location
            .values_mut()
            .filter_map(|held| {
                held.due.take_if(|due| *due <= now)?;
                Some(held.store.clone())
            })
            .collect()
    }

    /// When the next look-up is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_location.values().filter_map(|held| held.due).min()
    }

    /// A look-up ended; the next one is due at `due`. Whether its result is still needed.
    pub(super) fn found(&mut self, store: &NeededStore, due: Instant) -> bool {
        match self.by_location.get_mut(store.location.arn()) {
            Some(held) if held.store == *store => {
                held.told = true;
                held.due = Some(due);
                true
            }
            _ => false,
        }
    }

    /// Whether the agent was told of the keys of `store`.
    pub(super) fn is_ready(&self, store: &NeededStore) -> bool {
        self.by_location
            .get(store.location.arn())
            .is_some_and(|held| held.told && held.store.covers(store))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::credentials::Rights;
    use crate::fleet::desired::KeyUse;
    use crate::fleet::fixture;
    use crate::fleet::views::Revision;

    fn store(revision: i64) -> NeededStore {
        NeededStore {
            location: fixture::bucket(),
            revision: Revision {
                location: revision,
                role_key: 0,
            },
            usage: KeyUse::Location(Rights::Write),
        }
    }

    #[test]
    fn keys_are_looked_up_once_and_again_when_due() {
        let (mut stores, now) = (Stores::default(), Instant::now());
        stores.need(vec![store(1)], now);
        assert_eq!(stores.take_due(now), [store(1)]);
        assert_eq!(stores.take_due(now), [], "under way");
        assert_eq!(stores.next_due(), None);
        assert!(!stores.is_ready(&store(1)));
        let later = now + Duration::from_secs(30);
        assert!(stores.found(&store(1), later));
        assert!(stores.is_ready(&store(1)));
        stores.need(vec![store(1)], now);
        assert_eq!(stores.take_due(now), []);
        assert_eq!(stores.next_due(), Some(later));
        assert_eq!(stores.take_due(later), [store(1)]);
        assert!(stores.is_ready(&store(1)), "the old keys are there");
    }

    #[test]
    fn another_revision_means_other_keys() {
        let (mut stores, now) = (Stores::default(), Instant::now());
        stores.need(vec![store(1)], now);
        stores.take_due(now);
        stores.need(vec![store(2)], now);
        assert_eq!(stores.take_due(now), [store(2)]);
        assert!(!stores.found(&store(1), now), "came too late");
        assert!(stores.found(&store(2), now));
        assert!(stores.is_ready(&store(2)) && !stores.is_ready(&store(1)));
        stores.need(Vec::new(), now);
        assert!(!stores.is_ready(&store(2)));
    }

    #[test]
    fn keys_to_write_do_for_reading_and_not_the_reverse() {
        let (mut stores, now) = (Stores::default(), Instant::now());
        let read = NeededStore {
            usage: KeyUse::Location(Rights::Read),
            ..store(1)
        };
        stores.need(vec![read.clone()], now);
        stores.found(&read, now);
        assert!(stores.is_ready(&read) && !stores.is_ready(&store(1)));
        stores.need(vec![store(1)], now);
        assert_eq!(stores.take_due(now), [store(1)]);
        stores.found(&store(1), now);
        assert!(stores.is_ready(&read) && stores.is_ready(&store(1)));
    }
}
