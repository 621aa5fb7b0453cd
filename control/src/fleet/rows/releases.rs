//! Releases for agents, and what agents say of their updates.

use datasync_model::{AgentArn, UpdateState};
use datasync_proto::UpdateStatus;
use jiff::Timestamp;

use super::Rows;
use crate::records::{Agent, AgentUpdate, Release, ReleasePart};
use crate::store::{StoreError, Versioned};

/// Texts of agents are kept up to these lengths, in bytes.
const WORD_BYTES_MAX: usize = 64;
const DETAIL_BYTES_MAX: usize = 1024;

fn cut(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    text.get(..end).unwrap_or_default().to_owned()
}

impl Rows {
    /// The release with this id, if it is complete.
    pub(in crate::fleet) async fn release(
        &self,
        id: String,
    ) -> Result<Option<Release>, StoreError> {
        let read = self.store.read(move |rows| rows.get::<Release>(&id));
        let row: Option<Versioned<Release>> = read.await?;
        Ok(row
            .map(|row| row.record)
            .filter(|release| release.is_complete))
    }

    /// A part of the release `id`; `None` once the release was removed.
    pub(in crate::fleet) async fn release_part(
        &self,
        id: &str,
        number: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let id = ReleasePart::id_of(id, number);
        let read = self.store.read(move |rows| rows.get::<ReleasePart>(&id));
        let row: Option<Versioned<ReleasePart>> = read.await?;
        row.map(|row| row.record.bytes()).transpose()
    }

    /// Writes down what the agent says of its updates, if it is news.
    pub(in crate::fleet) async fn note_update(
        &self,
        agent: &AgentArn,
        said: &UpdateStatus,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = AgentUpdate {
            agent: agent.clone(),
            state: cut(&said.state, WORD_BYTES_MAX),
            version: cut(&said.version, WORD_BYTES_MAX),
            request: cut(&said.request_id, WORD_BYTES_MAX),
            detail: cut(&said.detail, DETAIL_BYTES_MAX),
            noted_at_ms: now.as_millisecond(),
        };
        let id = agent.id().to_owned();
        let known: Option<Versioned<AgentUpdate>> = {
            let id = id.clone();
            self.store.read(move |rows| rows.get(&id)).await?
        };
        let is_known = known
            .as_ref()
            .is_some_and(|row| says_the_same(&row.record, &update));
        let is_nothing = known.is_none() && update.state == UpdateState::None.as_str();
        if is_known || is_nothing {
            return Ok(());
        }
        let news = update.clone();
        let written: Result<(), StoreError> = self
            .store
            .commit(move |rows| {
                if rows.get::<Agent>(&id)?.is_none() {
                    return Ok(());
                }
                match rows.get::<AgentUpdate>(&id)? {
                    Some(mut row) => {
                        row.record = news;
                        rows.update(&row)
                    }
                    None => rows.insert(&news),
                }
            })
            .await;
        written?;
        tracing::info!(%agent, state = update.state, version = update.version,
            detail = update.detail, event = "agent.updated", "an agent says where its update stands");
        Ok(())
    }
}

fn says_the_same(one: &AgentUpdate, other: &AgentUpdate) -> bool {
    let other = AgentUpdate {
        noted_at_ms: one.noted_at_ms,
        ..other.clone()
    };
    *one == other
}
