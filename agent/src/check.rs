//! A location walked step by step, before a task uses it: the hop, right or ability that is missing
//! is named.

mod broken;
mod file_system;
mod flags;
mod reach;
mod request;
mod rights;
mod sample;
mod store;

use std::fmt;

use datasync_model::Location;
use serde::Serialize;

pub use flags::CheckFlags;
pub use request::CheckRequest;

pub(crate) use broken::located;
pub(crate) use file_system::walk as walk_nfs;
pub(crate) use reach::{Reached, reach};

use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::{Endpoints, place};
use crate::link::Hop;

/// What a check found.
#[derive(Debug, Clone)]
pub struct Checked {
    place: String,
    hops: Vec<Hop>,
}

/// Walks to the location, reads of it, and where that is asked for writes to it what is removed again.
pub async fn check(request: &CheckRequest) -> Checked {
    let credentials = CredentialStore::new(Giver::Environment);
    let endpoints = Endpoints::new(&request.process, credentials);
    let hops = match &request.location {
        Location::Nfs(nfs) => file_system::check_nfs(request, &endpoints, nfs).await,
        Location::Efs(efs) => file_system::check_efs(request, &endpoints, efs).await,
        Location::S3(s3) => store::check(request, &endpoints, s3).await,
    };
    Checked {
        place: place(&request.location),
        hops,
    }
}

impl Checked {
    /// Whether nothing that is needed is missing.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.hops
            .iter()
            .all(|hop| hop.result.is_ok() || hop.is_spare)
    }

    /// One document: `location`, `usable` and `steps`, each with `step`, `result` and `detail`.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let steps = self.hops.iter().map(|hop| Step {
            step: hop.name,
            result: verdict(hop),
            detail: text(hop),
        });
        serde_json::to_string(&Document {
            location: &self.place,
            usable: self.is_usable(),
            steps: steps.collect(),
        })
    }
}

#[derive(Serialize)]
struct Document<'a> {
    location: &'a str,
    usable: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    step: &'a str,
    result: &'static str,
    detail: &'a str,
}

fn verdict(hop: &Hop) -> &'static str {
    match (&hop.result, hop.is_spare) {
        (Ok(_), _) => "OK",
        (Err(_), true) => "WARNING",
        (Err(_), false) => "FAIL",
    }
}

fn text(hop: &Hop) -> &str {
    match &hop.result {
        Ok(text) | Err(text) => text,
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.place)?;
        for hop in &self.hops {
            writeln!(f, "{:<8} {}: {}", verdict(hop), hop.name, text(hop))?;
        }
        let end = if self.is_usable() {
            "The location can be used."
        } else {
            "The location cannot be used."
        };
        f.write_str(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(name: &'static str, result: Result<&str, &str>, is_spare: bool) -> Hop {
        Hop {
            name,
            result: result.map(str::to_owned).map_err(str::to_owned),
            is_spare,
        }
    }

    #[test]
    fn a_failure_that_can_be_spared_is_a_warning() {
        let mut checked = Checked {
            place: "nfs://nas/export/".to_owned(),
            hops: vec![
                hop("DNS", Ok("nas is 192.0.2.1"), false),
                hop("Portmapper", Err("refused"), true),
            ],
        };
        assert!(checked.is_usable());
        assert_eq!(
            checked.to_string(),
            "nfs://nas/export/\nOK       DNS: nas is 192.0.2.1\nWARNING  Portmapper: refused\n\
             The location can be used."
        );
        checked.hops.push(hop("MOUNT", Err("not exported"), false));
        assert!(!checked.is_usable());
        let document: serde_json::Value = serde_json::from_str(&checked.json().unwrap()).unwrap();
        assert_eq!(document["usable"], false);
        assert_eq!(document["steps"][2]["result"], "FAIL");
        assert_eq!(document["steps"][2]["detail"], "not exported");
    }
}
