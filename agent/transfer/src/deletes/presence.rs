//! Whether something is at the source, one LOOKUP per component that changed since the last key.

use datasync_endpoint::{EndpointError, EntryKind, ErrorKind, Key, Node, Source};
use futures::{StreamExt, stream};

use super::Candidate;
use super::feed::Due;
use super::settled::Settled;
use crate::attempts::Attempts;
use crate::lookups::Lookups;
use crate::outcome::ItemFailure;
use crate::silence::Silence;

/// Candidates that are looked up one after the other.
const SLICE: usize = 64;
/// Slices at the same time.
const SLICES: usize = 4;

/// What a look at the source told of each candidate of a slice, in order; fewer if it ended early.
type Answers = Vec<(Due, Result<bool, ItemFailure>)>;

/// Those of a batch that are gone from the source, up to a source that does not answer.
pub(super) async fn gone<S: Source>(
    source: &S,
    attempts: &Attempts,
    silence: &Silence,
    batch: Vec<Due>,
    settled: &mut Settled,
) -> Vec<Candidate> {
    let mut gone = Vec::with_capacity(batch.len());
    let slices: Vec<Vec<Due>> = batch.chunks(SLICE).map(<[_]>::to_vec).collect();
    let looked_up = slices
        .into_iter()
        .map(|slice| look_up(source, attempts, silence, slice));
    let mut looked_up = stream::iter(looked_up).buffered(SLICES);
    while let Some(answers) = looked_up.next().await {
        for (Due { candidate, passed }, answer) in answers {
            settled.last = Some(passed);
            match answer {
                Ok(true) => gone.push(candidate),
                Ok(false) => tracing::info!(key = %candidate.key, "is at the source after all"),
                Err(failure) => settled.fail(candidate.key, failure),
            }
            if settled.broken.is_some() {
                return gone;
            }
        }
    }
    gone
}

/// Directories may be renamed meanwhile: what leads to a key is looked up anew for each slice.
async fn look_up<S: Source>(
    source: &S,
    attempts: &Attempts,
    silence: &Silence,
    slice: Vec<Due>,
) -> Answers {
    let mut presence = Presence {
        source,
        lookups: Lookups::new(source, attempts),
    };
    let mut answers = Vec::with_capacity(slice.len());
    for due in slice {
        let answer = presence.is_gone(&due.candidate.key).await;
        let answer = answer
            .inspect(|_| silence.is_broken())
            .map_err(|error| silence.judge(ItemFailure::of_source(&error)));
        let breaks = answer.as_ref().is_err_and(|failure| failure.endpoint_wide);
        answers.push((due, answer));
        if breaks {
            break;
        }
    }
    answers
}

/// Looks keys up.
struct Presence<'a, S> {
    source: &'a S,
    lookups: Lookups<'a, S>,
}

impl<S: Source> Presence<'_, S> {
    /// Whether the server says that no item of this key's path and kind exists.
    async fn is_gone(&mut self, key: &Key) -> Result<bool, EndpointError> {
        let path = key.path().map_err(|error| {
            EndpointError::new(
                ErrorKind::InvalidName,
                "LOOKUP",
                key.to_string(),
                error.to_string(),
            )
        })?;
        let found = self.lookups.find(&path, key.is_directory()).await?;
        let is_directory = |node: &Node| node.attributes.kind == EntryKind::Directory;
        Ok(found.is_none_or(|node| {
            is_directory(&node) != key.is_directory() || !self.source.is_item(&node)
        }))
    }
}
