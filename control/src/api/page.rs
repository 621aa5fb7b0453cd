//! Pages of lists. A token says after which id to go on; nothing else is taken from it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use crate::store::{Record, StoreError, Versioned};

const PAGE_DEFAULT: usize = 100;
/// Rows that one call looks at, where filters leave most of them out: the page is short then, and
/// its token goes on.
const LOOKED_AT_MAX: usize = 1000;

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
    /// Gathers one page of what `fetch` lists and `keep` keeps, as `show` shows it; the last page has
    /// no token.
    pub(super) fn answer<R: Record>(
        &self,
        member: &str,
        fetch: impl Fn(Option<&str>, usize) -> Result<Vec<Versioned<R>>, StoreError>,
        keep: impl Fn(&R) -> bool,
        show: impl FnOnce(&[R]) -> Result<Vec<Value>, StoreError>,
    ) -> Result<Value, ApiError> {
        let (rows, goes_on_after) = self.gather(fetch, keep)?;
        Ok(page(member, show(&rows)?, goes_on_after))
    }

    /// The rows of one page, and after which id the next one begins.
    fn gather<R: Record>(
        &self,
        fetch: impl Fn(Option<&str>, usize) -> Result<Vec<Versioned<R>>, StoreError>,
        keep: impl Fn(&R) -> bool,
    ) -> Result<(Vec<R>, Option<String>), StoreError> {
        let mut kept: Vec<R> = Vec::new();
        let mut after = self.after.clone();
        let mut looked_at = 0;
        // One more than is shown tells whether there is more.
        let mut batch = self.limit + 1;
        while looked_at < LOOKED_AT_MAX {
            let rows = fetch(after.as_deref(), batch)?;
            let ended = rows.len() < batch;
            looked_at += rows.len();
            after = rows.last().map(|row| row.record.id());
            for row in rows.into_iter().filter(|row| keep(&row.record)) {
                if kept.len() == self.limit {
                    let last = kept.last().map(Record::id);
                    return Ok((kept, last));
                }
                kept.push(row.record);
            }
            if ended {
                return Ok((kept, None));
            }
            batch = PAGE_DEFAULT;
        }
        Ok((kept, after))
    }

    /// The same for what is at hand, in the order of `id`.
    pub(super) fn of_values(&self, member: &str, values: Vec<(String, Value)>) -> Value {
        let after = self.after.as_deref().unwrap_or("");
        let mut rest = values.into_iter().filter(|(id, _)| id.as_str() > after);
        let shown: Vec<(String, Value)> = rest.by_ref().take(self.limit).collect();
        let more = rest.next().is_some();
        let last = shown.last().map(|(id, _)| id.clone());
        let values = shown.into_iter().map(|(_, value)| value).collect();
        page(member, values, last.filter(|_| more))
    }
}

fn page(member: &str, shown: Vec<Value>, goes_on_after: Option<String>) -> Value {
    match goes_on_after {
        Some(id) => json!({member: shown, "NextToken": URL_SAFE_NO_PAD.encode(id)}),
        None => json!({member: shown}),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::records::{Access, AccessKey};

    /// As many rows as an index has; what was looked at is counted.
    struct Rows {
        count: usize,
        looked_at: Cell<usize>,
    }

    impl Rows {
        fn new(count: usize) -> Self {
            Self {
                count,
                looked_at: Cell::new(0),
            }
        }

        fn fetch(&self, after: Option<&str>, limit: usize) -> Vec<Versioned<AccessKey>> {
            let first = after.map_or(0, |id| id.parse::<usize>().unwrap() + 1);
            let rows = (first..self.count).take(limit).map(|number| Versioned {
                version: 1,
                record: AccessKey {
                    access_key_id: format!("{number:06}"),
                    secret: serde_json::from_str("\"sealed\"").unwrap(),
                    name: None,
                    access: Access::Full,
                    disabled: false,
                    created_at_ms: 1,
                },
            });
            let rows: Vec<_> = rows.collect();
            self.looked_at.set(self.looked_at.get() + rows.len());
            rows
        }

        /// What a page shows of the rows that `keep` keeps, and its token.
        fn page(
            &self,
            size: usize,
            token: Option<String>,
            keep: impl Fn(usize) -> bool,
        ) -> (Vec<usize>, Option<String>) {
            let input = PageInput {
                max_results: Some(size),
                next_token: token,
            };
            let page = input.check().unwrap();
            let fetch = |after: Option<&str>, limit| Ok(self.fetch(after, limit));
            let number = |key: &AccessKey| key.access_key_id.parse::<usize>().unwrap();
            let show = |keys: &[AccessKey]| Ok(keys.iter().map(|key| json!(number(key))).collect());
            let answer = page.answer("Keys", fetch, |key| keep(number(key)), show);
            let answer = answer.unwrap();
            let shown = serde_json::from_value(answer["Keys"].clone()).unwrap();
            (shown, answer["NextToken"].as_str().map(str::to_owned))
        }
    }

    #[test]
    fn a_page_looks_at_one_row_more_than_it_shows() {
        let rows = Rows::new(100_000);
        let (shown, token) = rows.page(7, None, |_| true);
        assert_eq!((shown.len(), rows.looked_at.take()), (7, 8));
        let (shown, _) = rows.page(100, token, |_| true);
        assert_eq!(
            (shown[0], shown.len(), rows.looked_at.take()),
            (7, 100, 101)
        );
    }

    #[test]
    fn a_filter_that_keeps_little_gives_short_pages_that_miss_nothing() {
        let rows = Rows::new(100_000);
        let keep = |number| number % 700 == 3 || number > 99_900;
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let (shown, next) = rows.page(100, token, keep);
            let looked_at = rows.looked_at.take();
            assert!(looked_at <= LOOKED_AT_MAX + PAGE_DEFAULT, "{looked_at}");
            found.extend(shown);
            token = next;
            if token.is_none() {
                break;
            }
        }
        let wanted: Vec<usize> = (0..100_000).filter(|number| keep(*number)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_last_page_has_no_token() {
        for count in [0, 1, 99, 100, 1000] {
            let rows = Rows::new(count);
            let (mut found, mut token) = (0, None);
            loop {
                let (shown, next) = rows.page(100, token, |_| true);
                found += shown.len();
                assert!(!shown.is_empty() || count == 0, "no empty page at the end");
                token = next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(found, count);
        }
    }
}
