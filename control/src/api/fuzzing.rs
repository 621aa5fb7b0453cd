//! What the fuzz targets `api_input` and `page_token` of `tests/fuzz` call.

use std::time::Duration;

use serde_json::{Value, json};

use super::call::decode;
use super::check::{self, TagInput};
use super::error::ApiError;
use super::locations::{ListFilterInput, ListFilters};
use super::page::{Page, PageInput};
use super::request;
use super::shapes::{self, OPERATIONS};
use super::tasks::input::Common;

const HOUR: Duration = Duration::from_secs(3600);
/// An answer repeats little of what was wrong.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;
const LISTED: usize = 250;

/// The first byte chooses the operation, what follows is the body: it is refused in the API's
/// words, or has the shape of the operation's input and can be decoded.
pub fn api_input(data: &[u8]) {
    let Some((operation, body)) = data.split_first() else {
        return;
    };
    let (operation, input) = OPERATIONS[usize::from(*operation) % OPERATIONS.len()];
    let mut members = match request::object(body) {
        Ok(members) => members,
        Err(error) => return refused(&error, &["SerializationException"]),
    };
    let kinds = ["SerializationException", "InvalidRequestException"];
    if let Err(error) = shapes::check(&members, input) {
        return refused(&error, &kinds);
    }
    shapes::retain_known(&mut members, input);
    if let Err(error) = decoded(operation, &members) {
        // What has the model's shape can be read: what is refused now is the values.
        refused(&error, &["InvalidRequestException", "ValidationException"]);
    }
}

fn decoded(operation: &str, members: &Value) -> Result<(), ApiError> {
    let part = |name: &str| members.get(name).cloned().unwrap_or(Value::Null);
    match operation {
        "CreateTask" | "UpdateTask" | "StartTaskExecution" | "UpdateTaskExecution" => {
            Common::read(operation, members, HOUR)?;
            check::tags(decode(operation, &part("Tags"))?)?;
        }
        "TagResource" => {
            check::tags(decode::<Option<Vec<TagInput>>>(operation, &part("Tags"))?)?;
        }
        "ListLocations" | "ListTasks" => {
            let filters: Option<Vec<ListFilterInput>> = decode(operation, &part("Filters"))?;
            ListFilters::of(filters.unwrap_or_default())?;
            decode::<PageInput>(operation, members)?.check()?;
        }
        _ => {}
    }
    Ok(())
}

fn refused(error: &ApiError, kinds: &[&str]) {
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.status == 400, "{error:?}");
    let body = error.body().to_string();
    assert!(
        body.len() <= REFUSAL_BYTES_MAX,
        "{} bytes of refusal",
        body.len()
    );
}

/// A `NextToken`, behind a byte of `MaxResults`: it is refused, or leads through the rest of a list
/// to its end, each entry once.
pub fn page_token(data: &[u8]) {
    let Some((size, token)) = data.split_first() else {
        return;
    };
    let Ok(mut token) = String::from_utf8(token.to_vec()) else {
        return;
    };
    let mut seen: Vec<String> = Vec::new();
    for pages in 0.. {
        assert!(pages <= LISTED, "the list does not end");
        let Some(page) = page_of(*size, token) else {
            assert!(pages == 0, "a token that the list gave out is refused");
            return;
        };
        let mut answer = page.of_values("Listed", listed());
        let ids = answer["Listed"].as_array().into_iter().flatten();
        let ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
        assert!(ids.len() <= 100);
        seen.extend(ids);
        match answer["NextToken"].take() {
            Value::String(next) => token = next,
            _ => break,
        }
    }
    assert!(seen.is_sorted_by(|one, next| one < next));
    let last = listed().pop().map(|(id, _)| id);
    assert!(seen.is_empty() || seen.last() == last.as_ref());
}

fn page_of(size: u8, token: String) -> Option<Page> {
    let members = json!({"MaxResults": size, "NextToken": token});
    let refusal = match decode::<PageInput>("ListTasks", &members).map(PageInput::check) {
        Ok(Ok(page)) => return Some(page),
        Ok(Err(error)) | Err(error) => error,
    };
    refused(&refusal, &["InvalidRequestException"]);
    None
}

fn listed() -> Vec<(String, Value)> {
    let ids = (0..LISTED).map(|number| format!("task-{number:017x}"));
    ids.map(|id| (id.clone(), Value::from(id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Target = fn(&[u8]);

    #[test]
    fn seeds_are_no_findings() {
        let targets: [(&str, Target); 2] = [("api_input", api_input), ("page_token", page_token)];
        for (target, run) in targets {
            let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/seeds/");
            let seeds: Vec<_> = std::fs::read_dir(format!("{seeds}{target}"))
                .unwrap()
                .collect();
            assert!(!seeds.is_empty());
            for seed in seeds {
                run(&std::fs::read(seed.unwrap().path()).unwrap());
            }
        }
    }
}
