//! What an agent tells of an execution beyond what the API's answers have room for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Plan;
use crate::word::words;

/// Requests by kind, in the words of their protocol (`READ`, `PutObject`); kinds of which there
/// were none are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestCounts(BTreeMap<String, u64>);

impl RequestCounts {
    /// Requests of this kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// Kinds and counts, in the order of kinds.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }
}

impl<'a> FromIterator<(&'a str, u64)> for RequestCounts {
    fn from_iter<T: IntoIterator<Item = (&'a str, u64)>>(counts: T) -> Self {
        let mut all = BTreeMap::new();
        for (kind, count) in counts {
            if count > 0 {
                *all.entry(kind.to_owned()).or_insert(0) += count;
            }
        }
        Self(all)
    }
}

impl std::fmt::Display for RequestCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (kind, count)) in self.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {kind}")?;
        }
        Ok(())
    }
}

words! {
    /// What holds an execution up at present.
    Bottleneck {
        /// Answers of the source about single items.
        SourceLatency = "source latency",
        /// Answers of the destination about single items.
        UploadLatency = "upload latency",
        /// The processor.
        Cpu = "CPU",
        /// `BytesPerSecond`.
        Limiter = "limiter",
        /// A side that asks to come again later.
        Throttling = "throttling",
        /// `memory_target`.
        Memory = "memory",
        /// Directories of the source.
        SourceScan = "scan of source",
        /// Pages of the destination's listing.
        DestinationListing = "listing of destination",
    }
}

/// When the present stage ends, in milliseconds from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLeft {
    /// Hardly sooner.
    pub low_ms: u64,
    /// Most likely.
    pub likely_ms: u64,
    /// Hardly later; `None` where nobody knows how much there is.
    pub high_ms: Option<u64>,
}

/// How an execution does what it does: for the agent's log, `copy` and control's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// Requests to the source since the agent took the execution up, retries included.
    pub source_requests: RequestCounts,
    /// The same to the destination, those of opening it included.
    pub destination_requests: RequestCounts,
    /// Bytes of content that were read of the source since the agent took the execution up.
    pub bytes_read: u64,
    /// Calls that were made again since then, after an error that may pass.
    pub retries: u64,
    /// Answers since then that asked to come again later.
    pub throttles: u64,
    /// Bytes written per second, over the last ten seconds.
    pub bytes_per_second: u64,
    /// Items found or, in the end check, verified per second, over the last ten seconds.
    pub items_per_second: u64,
    /// Until the end of the transfer or, after it, of the end check; `None` if too little was done
    /// to tell.
    pub time_left: Option<TimeLeft>,
    /// What held it up most in the last ten seconds; `None` if nothing did.
    pub bottleneck: Option<Bottleneck>,
    /// What a dry run found, at its end.
    pub plan: Option<Plan>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_kind_and_only_those_that_were_made() {
        let counts: RequestCounts = [("READ", 2), ("LOOKUP", 0), ("GETATTR", 1), ("READ", 3)]
            .into_iter()
            .collect();
        assert_eq!(counts.to_string(), "1 GETATTR, 5 READ");
        assert_eq!(
            (counts.of("READ"), counts.of("LOOKUP"), counts.total()),
            (5, 0, 6)
        );
    }
}
