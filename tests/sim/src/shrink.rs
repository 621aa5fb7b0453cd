//! A failing scenario cut down to what it needs to fail.

use crate::history::simulate;
use crate::scenario::{CatalogFate, Execution, Scenario};

/// How often a smaller scenario is tried.
const TRIES: u32 = 400;

/// The smallest scenario that still fails, as far as taking single things away leads.
#[must_use]
pub fn shrunk(scenario: Scenario) -> Scenario {
    let mut smallest = scenario;
    let mut tries = 0;
    loop {
        let smaller = candidates(&smallest).into_iter().find(|candidate| {
            tries += 1;
            tries <= TRIES && !simulate(candidate, false).wrong.is_empty()
        });
        match smaller {
            Some(smaller) => smallest = smaller,
            None => return smallest,
        }
    }
}

/// Every scenario with one thing less.
fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    for index in 0..scenario.executions.len() {
        let mut less = scenario.clone();
        less.executions.remove(index);
        found.push(less);
    }
    for (index, execution) in scenario.executions.iter().enumerate() {
        for smaller in with_less(execution) {
            let mut less = scenario.clone();
            less.executions[index] = smaller;
            found.push(less);
        }
    }
    found
}

fn with_less(execution: &Execution) -> Vec<Execution> {
    let mut found = Vec::new();
    macro_rules! without_one {
        ($($list:ident),+) => {$(
            for index in 0..execution.$list.len() {
                let mut less = execution.clone();
                less.$list.remove(index);
                found.push(less);
            }
        )+};
    }
    without_one!(
        faults,
        interruptions,
        refusals,
        foreign,
        latencies,
        rates,
        changes
    );
    let plain = Execution {
        includes: "",
        excludes: "",
        catalog: CatalogFate::Kept,
        rate: None,
        ..execution.clone()
    };
    let is_plain = execution.includes.is_empty()
        && execution.excludes.is_empty()
        && execution.rate.is_none()
        && execution.catalog == CatalogFate::Kept;
    if !is_plain {
        found.push(plain);
    }
    found
}
