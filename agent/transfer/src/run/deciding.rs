//! What a dry run finds out about one item.

use std::sync::Arc;

use datasync_endpoint::{Destination, EntryKind, ListedObject, Source};
use datasync_model::{Failure, PlannedRequests};

use crate::catalog::Entry;
use crate::forecast::Prices;
use crate::mover::{Mover, skip_failure};
use crate::outcome::ItemFailure;
use crate::plan::{self, Action, Content, Next};
use crate::planned::PlannedAction;
use crate::walk::SourceEntry;

/// An entry of the merge, with the object of its key and what is remembered of it.
pub(super) type Work = (SourceEntry, Option<ListedObject>, Option<Box<Entry>>);

/// What would be done about an item.
#[derive(Debug)]
pub(super) enum Planned {
    Do {
        /// `None`: nothing.
        action: Option<PlannedAction>,
        bytes: u64,
        requests: PlannedRequests,
        /// A server answered for it, now.
        was_answered: bool,
    },
    Skip(Failure),
    Failed(ItemFailure),
}

pub(super) async fn planned<S: Source, D: Destination>(
    mover: Arc<Mover<S, D>>,
    (entry, listed, known): Work,
    verify_deep: bool,
) -> Planned {
    let source = &entry.node.attributes;
    let abilities = mover.destination.abilities();
    let decided = decided(&mover, &entry, listed.as_ref(), known.as_deref()).await;
    let (action, was_answered) = match decided {
        Ok(decided) => decided,
        Err(failed) => return Planned::Failed(failed),
    };
    let is_file = plan::content_of(source.kind, &mover.options) == Some(Content::File);
    let told = match &action {
        Action::Skip(reason) => return Planned::Skip(skip_failure(*reason)),
        Action::Copy(_) if is_file && source.size > abilities.object_max => {
            return Planned::Failed(ItemFailure::too_large(source.size, abilities.object_max));
        }
        Action::Copy(_) => Some(PlannedAction::Transfer),
        Action::Metadata(_) => Some(PlannedAction::Metadata),
        Action::Keep(_) => None,
    };
    let prices = Prices {
        options: &mover.options,
        abilities,
        read_max: mover.source.read_max(),
    };
    let is_proven = !verify_deep && known.is_some_and(|known| known.is_proven);
    let moves = told == Some(PlannedAction::Transfer) && source.kind == EntryKind::File;
    Planned::Do {
        action: told,
        bytes: if moves { source.size } else { 0 },
        requests: prices.of(source, &action, is_proven),
        was_answered,
    }
}

/// What a run would do, and whether the source was read or the destination asked for it.
async fn decided<S: Source, D: Destination>(
    mover: &Mover<S, D>,
    entry: &SourceEntry,
    listed: Option<&ListedObject>,
    known: Option<&Entry>,
) -> Result<(Action, bool), ItemFailure> {
    let facts = mover.facts(entry, listed, known);
    match facts.next() {
        Next::Do(action) => Ok((action, false)),
        Next::Read(content) => {
            let read = mover.verifier.source_content(entry).await?;
            if read == content && facts.keeps_extended {
                return Ok((mover.ask(&facts, entry).await?.0, true));
            }
            Ok((facts.after_reading(read == content), true))
        }
        Next::Ask => Ok((mover.ask(&facts, entry).await?.0, true)),
    }
}
