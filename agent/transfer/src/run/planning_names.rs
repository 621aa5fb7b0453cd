//! A dry run: the names of files that have several.

use datasync_endpoint::{Destination, Source};
use datasync_model::{OverwriteMode, PlannedRequests};

use super::deciding::{Planned, planned};
use super::planning::Planning;
use super::{Ended, Engine};
use crate::lanes::Ticket;
use crate::links::{Name, Names, stays};
use crate::mover::skip_failure;
use crate::plan::SkipReason;
use crate::planned::PlannedAction;
use crate::report::ItemFacts;

impl<S: Source, D: Destination> Engine<S, D> {
    /// The names of files that have several, once all were met: each file's content moves once.
    pub(super) async fn plan_names(&mut self, planning: &mut Planning) -> Result<(), Ended> {
        let Some(sorter) = planning.names.take() else {
            return Ok(());
        };
        let mut names = Names::of(sorter).await?;
        let mut first: Option<Name> = None;
        while let Some(name) = names.next().await? {
            let ticket = Ticket {
                number: 0,
                key: name.key().clone(),
                path: name.entry.path.clone(),
                facts: ItemFacts::default(),
            };
            let planned = match &first {
                Some(first) if first.file() == name.file() => {
                    self.planned_further(&name, stays(&name, first))
                }
                _ => {
                    first = Some(name.clone());
                    let Name {
                        entry,
                        listed,
                        known,
                        ..
                    } = name.clone();
                    let work = (entry, listed, known);
                    let deep = self.spec.extensions.verify_deep;
                    match name.is_current {
                        true => self.planned_further(&name, true),
                        false => planned(self.mover.clone(), work, deep).await,
                    }
                }
            };
            self.note_planned(&ticket, Ok(planned), planning).await?;
        }
        Ok(())
    }

    /// A name that needs nothing, or becomes one of the file that the first name has.
    fn planned_further(&self, name: &Name, stays: bool) -> Planned {
        let is_protected = self.spec.options.overwrite_mode == OverwriteMode::Never;
        if is_protected && name.listed.is_some() {
            return Planned::Skip(skip_failure(SkipReason::OverwriteProtected));
        }
        Planned::Do {
            action: (!stays).then_some(PlannedAction::Transfer),
            bytes: 0,
            requests: PlannedRequests::default(),
            was_answered: false,
        }
    }
}
