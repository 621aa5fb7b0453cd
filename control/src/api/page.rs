//! Pages of lists. A token says after which id to go on; nothing else is taken from it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::store::{Record, StoreError, Versioned};

const PAGE_DEFAULT: usize = 100;

/// `MaxResults` and `NextToken`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PageInput {
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Where a page begins and how much it holds.
#[derive(Debug, Clone)]
pub(super) struct Page {
    limit: usize,
    after: Option<String>,
}

impl PageInput {
    /// 0 means the default.
    ///
    /// # Errors
    /// A token that no list gave out.
    pub(super) fn check(self) -> Result<Page, ApiError> {
        let limit = match self.max_results {
            None | Some(0) => PAGE_DEFAULT,
            Some(size) => size.min(PAGE_DEFAULT),
        };
        let after = self.next_token.map(|token| decode(&token)).transpose()?;
        Ok(Page { limit, after })
    }
}

fn decode(token: &str) -> Result<String, ApiError> {
    let known = || ApiError::invalid("NextToken is not a token that this list gave out.");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| known())?;
    String::from_utf8(bytes)
        .ok()
        .filter(|id| !id.is_empty() && !id.contains('\0'))
        .ok_or_else(known)
}

impl Page {
    /// Gathers one page of what `fetch` lists and `keep` keeps; the last page has no token.
    pub(super) fn answer<R: Record>(
        &self,
        member: &str,
        fetch: impl Fn(Option<&str>, usize) -> Result<Vec<Versioned<R>>, StoreError>,
        show: impl Fn(&R) -> Result<Option<Value>, StoreError>,
    ) -> Result<Value, ApiError> {
        let mut shown = Vec::new();
        let mut after = self.after.clone();
        let mut last_shown = None;
        loop {
            let rows = fetch(after.as_deref(), PAGE_DEFAULT)?;
            let ended = rows.len() < PAGE_DEFAULT;
            for row in rows {
                let id = row.record.id();
                if let Some(entry) = show(&row.record)? {
                    if shown.len() == self.limit {
                        let token = last_shown.map(|id: String| URL_SAFE_NO_PAD.encode(id));
                        return Ok(json!({member: shown, "NextToken": token}));
                    }
                    shown.push(entry);
                    last_shown = Some(id.clone());
                }
                after = Some(id);
            }
            if ended {
                return Ok(json!({member: shown}));
            }
        }
    }

    /// The same for what is at hand, in the order of `id`.
    pub(super) fn of_values(&self, member: &str, values: Vec<(String, Value)>) -> Value {
        let after = self.after.as_deref().unwrap_or("");
        let mut rest = values.into_iter().filter(|(id, _)| id.as_str() > after);
        let page: Vec<(String, Value)> = rest.by_ref().take(self.limit).collect();
        let more = rest.next().is_some();
        let last = page.last().map(|(id, _)| URL_SAFE_NO_PAD.encode(id));
        let values: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
        match last.filter(|_| more) {
            Some(token) => json!({member: values, "NextToken": token}),
            None => json!({member: values}),
        }
    }
}
