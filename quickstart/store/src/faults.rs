//! Failures on demand, for tests of clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// What happens to a request instead of, or beside, its normal answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503 `SlowDown`, before the operation takes effect.
    SlowDown,
    /// 500 `InternalError`, before the operation takes effect.
    InternalError,
    /// No answer for as long as the client keeps the connection.
    Hang,
    /// The connection is closed without an answer and without effect.
    Drop,
    /// The operation takes effect, then the connection is closed without an answer.
    LoseReply,
    /// One bit of the stored content is flipped after its checksum was verified
    /// (`PutObject`, `UploadPart`).
    FlipBit,
    /// The operation starts late.
    Delay(Duration),
}

type KeyPredicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Which requests meet a fault: by operation, by key, by count.
pub struct Rule {
    operation: String,
    key: Option<KeyPredicate>,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// The next request of `operation` (its API name, such as `PutObject`) meets `fault`.
    pub fn new(operation: impl Into<String>, fault: Fault) -> Self {
        Self {
            operation: operation.into(),
            key: None,
            skip: 0,
            times: 1,
            fault,
        }
    }

    /// Only requests whose key satisfies `predicate` count.
    #[must_use]
    pub fn on_key(mut self, predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.key = Some(Box::new(predicate));
        self
    }

    /// The first `skip` matching requests are spared.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// How many matching requests meet the fault; `u64::MAX` for all.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Counts a request; true when it is one of those to fail.
    fn strikes(&mut self, operation: &str, key: &str) -> bool {
        let matches = self.operation == operation && self.key.as_ref().is_none_or(|p| p(key));
        if !matches {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let strikes = self.times > 0;
        self.times = self.times.saturating_sub(1);
        strikes
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("operation", &self.operation)
            .field("keyed", &self.key.is_some())
            .field("skip", &self.skip)
            .field("times", &self.times)
            .field("fault", &self.fault)
            .finish()
    }
}

/// A script of faults and a count of the requests that were admitted (signature checked).
#[derive(Debug, Default)]
pub struct Faults {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    calls: BTreeMap<String, u64>,
}

impl Faults {
    /// Adds a rule; of several that match a request the oldest decides.
    pub fn add(&self, rule: Rule) {
        self.script().rules.push(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.script().rules.clear();
    }

    /// Requests so far, per operation.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.script().calls.clone()
    }

    /// Counts a request and says what happens to it.
    pub(crate) fn meet(&self, operation: &str, key: &str) -> Option<Fault> {
        let mut script = self.script();
        *script.calls.entry(operation.to_owned()).or_default() += 1;
        script
            .rules
            .iter_mut()
            .find_map(|r| r.strikes(operation, key).then_some(r.fault))
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strikes_the_nth_matching_request_only() {
        let faults = Faults::default();
        faults.add(
            Rule::new("PutObject", Fault::SlowDown)
                .on_key(|k| k == "a")
                .after(1)
                .times(2),
        );
        let met: Vec<_> = ["a", "b", "a", "a", "a"]
            .into_iter()
            .map(|key| faults.meet("PutObject", key).is_some())
            .collect();
        assert_eq!(met, [false, false, true, true, false]);
        assert_eq!(faults.meet("GetObject", "a"), None);
        assert_eq!(faults.calls()["PutObject"], 5);
    }
}
