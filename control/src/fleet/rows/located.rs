//! The locations that a round needs, each read once.

use std::collections::{BTreeMap, BTreeSet};

use datasync_model::{ErrorCode, Failure, LocationArn};

use super::Surroundings;
use crate::credentials::address;
use crate::fleet::views::{Revision, Side};
use crate::records::{Eligible, Location, NOBODY, StoreAddress, Task};
use crate::store::{StoreError, Transaction, Unreadable, Versioned};

/// A location and the store of its role, as far as they can be read.
enum Located {
    Here(Box<Versioned<Location>>, StoreAddress),
    Unreadable,
}

/// Locations by id, and the stores of roles.
pub(super) struct Locations<'a> {
    rows: &'a Transaction<'a>,
    surroundings: &'a Surroundings,
    by_id: BTreeMap<String, Located>,
    roles: BTreeMap<String, Result<StoreAddress, Unreadable>>,
}

impl<'a> Locations<'a> {
    pub(super) fn new(rows: &'a Transaction<'a>, surroundings: &'a Surroundings) -> Self {
        Self {
            rows,
            surroundings,
            by_id: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }

    /// Reads those of `wanted` that were not read yet, and says which rows cannot be read.
    pub(super) fn read<'b>(
        &mut self,
        wanted: impl Iterator<Item = &'b LocationArn>,
    ) -> Result<Vec<Unreadable>, StoreError> {
        let ids: BTreeSet<String> = wanted.map(|arn| arn.id().to_owned()).collect();
        let ids: Vec<String> = ids
            .into_iter()
            .filter(|id| !self.by_id.contains_key(id))
            .collect();
        let (locations, mut unreadable) = self.rows.several::<Location>(&ids)?;
        for row in &unreadable {
            self.by_id.insert(row.id.clone(), Located::Unreadable);
        }
        for row in locations {
            let id = row.record.arn.id().to_owned();
            let located = match self.store_of(&row.record)? {
                Ok(store) => Located::Here(Box::new(row), store),
                Err(role) => {
                    if !unreadable.contains(&role) {
                        unreadable.push(role);
                    }
                    Located::Unreadable
                }
            };
            self.by_id.insert(id, located);
        }
        Ok(unreadable)
    }

    fn store_of(
        &mut self,
        location: &Location,
    ) -> Result<Result<StoreAddress, Unreadable>, StoreError> {
        match location.role() {
            Some(role) => self.store_of_role(role),
            None => Ok(Ok(StoreAddress::default())),
        }
    }

    /// Where a role has its buckets, or the row that cannot be read.
    pub(super) fn store_of_role(
        &mut self,
        role: &str,
    ) -> Result<Result<StoreAddress, Unreadable>, StoreError> {
        if let Some(known) = self.roles.get(role) {
            return Ok(known.clone());
        }
        let found = match address(&self.surroundings.roles, self.rows, role) {
            Ok(store) => Ok(store),
            Err(StoreError::Broken { kind, id, reason }) => Err(Unreadable::new(kind, id, reason)),
            Err(other) => return Err(other),
        };
        self.roles.insert(role.to_owned(), found.clone());
        Ok(found)
    }

    fn here(&self, arn: &LocationArn) -> Option<&Location> {
        match self.by_id.get(arn.id()) {
            Some(Located::Here(row, _)) => Some(&row.record),
            _ => None,
        }
    }

    /// Which agents may run `task`, as far as its locations are known.
    pub(super) fn allowed(&self, task: &Task) -> Option<Eligible> {
        let source = self.here(&task.source)?;
        let destination = self.here(&task.destination)?;
        let defaults = &self.surroundings.default_agents;
        Some(Eligible::of(source, destination, defaults))
    }

    /// Both locations of `task` as agents take them, or why no agent can.
    pub(super) fn sides(&self, task: &Task) -> Result<[Side; 2], Failure> {
        let sides = [self.usable(&task.source)?, self.usable(&task.destination)?];
        if self
            .allowed(task)
            .is_some_and(|allowed| allowed.is_nobody())
        {
            return Err(Failure::new(ErrorCode::AgentUnavailable, NOBODY));
        }
        Ok(sides)
    }

    fn usable(&self, arn: &LocationArn) -> Result<Side, Failure> {
        let (row, store) = match self.by_id.get(arn.id()) {
            Some(Located::Here(row, store)) => (row, store),
            Some(Located::Unreadable) => {
                return Err(Failure::new(
                    ErrorCode::Internal,
                    format!(
                        "location {arn}, or the key of its role, cannot be read from control's \
                         store: see control's log"
                    ),
                ));
            }
            None => {
                return Err(Failure::new(
                    ErrorCode::InvalidConfiguration,
                    format!("Location {arn} is not found: it was deleted"),
                ));
            }
        };
        Ok(Side {
            location: row.record.to_model(store, &self.surroundings.region),
            revision: self.revision(arn),
        })
    }

    pub(super) fn revision(&self, arn: &LocationArn) -> Revision {
        match self.by_id.get(arn.id()) {
            Some(Located::Here(row, store)) => Revision {
                location: row.version,
                role_key: store.key_version,
            },
            Some(Located::Unreadable) | None => Revision::default(),
        }
    }
}
