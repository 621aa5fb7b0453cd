//! Desired executions against those that are here: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datasync_model::{ExecutionSpec, TaskExecutionArn, Tenure};
use datasync_proto::{DesiredExecution, Generation};

use super::folder::Order;

/// An execution that control wants to exist.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) spec: Arc<ExecutionSpec>,
    pub(super) tenure: Tenure,
    pub(super) order: Order,
}

/// An execution that is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) tenure: Tenure,
    pub(super) ended: bool,
    pub(super) order: Order,
    pub(super) forgotten: bool,
}

/// What to do with one execution. None at all means: leave it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Write it down and run it (an order to cancel ends it at once, with a report).
    Start,
    /// Take over a new rate or the order to cancel.
    Change(Order),
    /// Control forgot it while it runs: cancel it cleanly, then remove it.
    CancelAndForget,
    /// It is another agent's by now, or this one's anew: stop it without a further request to the
    /// store, then remove it.
    Release,
    /// It ended and control has taken note.
    Forget,
}

/// A desired execution that this version cannot read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// If at least its name can be read.
    pub(super) execution: Option<TaskExecutionArn>,
    pub(super) tenure: Tenure,
    pub(super) reason: String,
}

/// Reads one desired execution.
pub(super) fn read(desired: &DesiredExecution) -> Result<Wanted, Box<Unreadable>> {
    let spec = desired.spec().map_err(|error| {
        Box::new(Unreadable {
            execution: name_of(&desired.spec_json),
            tenure: desired.tenure(),
            reason: error.to_string(),
        })
    })?;
    let rate = desired.rate(&spec).map_err(|error| {
        Box::new(Unreadable {
            execution: Some(spec.execution.clone()),
            tenure: desired.tenure(),
            reason: error.to_string(),
        })
    })?;
    Ok(Wanted {
        spec: Arc::new(spec),
        tenure: desired.tenure(),
        order: Order {
            rate,
            cancel: desired.cancel,
        },
    })
}

fn name_of(spec_json: &str) -> Option<TaskExecutionArn> {
    let value: serde_json::Value = serde_json::from_str(spec_json).ok()?;
    value.get("execution")?.as_str()?.parse().ok()
}

/// The actions, by id; what is listed but `unreadable` is left as it is. Doing them and asking again yields none, however often.
pub(super) fn reconcile(
    wanted: &BTreeMap<String, Wanted>,
    unreadable: &BTreeSet<String>,
    here: &BTreeMap<String, Here>,
) -> Vec<(String, Action)> {
    let starts = wanted
        .keys()
        .filter(|id| !here.contains_key(*id))
        .map(|id| (id.clone(), Action::Start));
    let others = here.iter().filter_map(|(id, here)| {
        let action = match wanted.get(id) {
            None if unreadable.contains(id) => return None,
            None if here.ended => Action::Forget,
            None if here.forgotten => return None,
            // Control moves it, or does not know it any more: it does not say which.
            None if here.tenure.leased => Action::Release,
            None => Action::CancelAndForget,
            Some(wanted) if !here.tenure.is_of(wanted.tenure) => match (here.ended, here.forgotten)
            {
                (true, _) => Action::Forget,
                (false, true) => return None,
                (false, false) => Action::Release,
            },
            // A cancel is never taken back, and an end is an end.
            Some(_) if here.ended || here.forgotten => return None,
            Some(wanted) => {
                let order = Order {
                    cancel: wanted.order.cancel || here.order.cancel,
                    ..wanted.order
                };
                if order == here.order {
                    return None;
                }
                Action::Change(order)
            }
        };
        Some((id.clone(), action))
    });
    starts.chain(others).collect()
}

/// Whether a desired state may replace the one that is worked by. Generations of different
/// incarnations cannot be compared: then the newest message counts.
pub(crate) fn is_current(applied: Option<&Generation>, offered: &Generation) -> bool {
    match applied {
        Some(applied) if applied.incarnation == offered.incarnation => {
            offered.generation >= applied.generation
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executions::tests::spec;
    use datasync_model::{BytesPerSecond, Rate};

    fn order(rate: i64, cancel: bool) -> Order {
        Order {
            rate: Rate::try_from(rate).unwrap(),
            cancel,
        }
    }

    fn wanted(list: &[(&str, Order)]) -> BTreeMap<String, Wanted> {
        list.iter()
            .map(|(id, order)| {
                let spec = Arc::new(spec(0));
                (
                    (*id).to_owned(),
                    Wanted {
                        spec,
                        tenure: Tenure::default(),
                        order: *order,
                    },
                )
            })
            .collect()
    }

    fn here(list: &[(&str, bool, Order)]) -> BTreeMap<String, Here> {
        list.iter()
            .map(|(id, ended, order)| {
                let here = Here {
                    tenure: Tenure::default(),
                    ended: *ended,
                    order: *order,
                    forgotten: false,
                };
                ((*id).to_owned(), here)
            })
            .collect()
    }

    #[test]
    fn every_difference_has_its_action_and_agreement_has_none() {
        let plain = order(-1, false);
        let actions = reconcile(
            &wanted(&[
                ("kept", plain),
                ("new", plain),
                ("slower", order(65_536, false)),
                ("unwanted", order(-1, true)),
                ("reported", order(1, true)),
            ]),
            &BTreeSet::from(["future".to_owned()]),
            &here(&[
                ("kept", false, plain),
                ("slower", false, plain),
                ("unwanted", false, plain),
                ("reported", true, plain),
                ("deleted", false, plain),
                ("seen", true, plain),
                ("future", false, plain),
            ]),
        );
        let expected = [
            ("new", Action::Start),
            ("deleted", Action::CancelAndForget),
            ("seen", Action::Forget),
            ("slower", Action::Change(order(65_536, false))),
            ("unwanted", Action::Change(order(-1, true))),
        ];
        let found: Vec<_> = actions.iter().map(|(id, a)| (id.as_str(), *a)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_may_be_another_agents_is_let_go_and_begun_anew_only_with_another_epoch() {
        let plain = order(-1, false);
        let first = Tenure::default().next(true);
        let at = |tenure: Tenure| {
            let mut wanted = wanted(&[("a", plain)]);
            wanted.get_mut("a").unwrap().tenure = tenure;
            wanted
        };
        let decide = |wanted: &BTreeMap<String, Wanted>, ended, forgotten| {
            let mut here = here(&[("a", ended, plain)]);
            let one = here.get_mut("a").unwrap();
            (one.tenure, one.forgotten) = (first, forgotten);
            let actions = reconcile(wanted, &BTreeSet::new(), &here);
            actions.first().map(|(_, action)| *action)
        };
        let (same, moved_back, gone) = (at(first), at(first.next(true)), BTreeMap::new());
        assert_eq!(decide(&same, false, false), None);
        assert_eq!(decide(&gone, false, false), Some(Action::Release));
        assert_eq!(decide(&gone, false, true), None, "on its way out");
        assert_eq!(decide(&gone, true, false), Some(Action::Forget));
        assert_eq!(decide(&moved_back, false, false), Some(Action::Release));
        assert_eq!(decide(&moved_back, false, true), None, "on its way out");
        assert_eq!(decide(&moved_back, true, false), Some(Action::Forget));
    }

    #[test]
    fn a_cancel_is_not_taken_back() {
        let wanted = wanted(&[("a", order(5, false))]);
        let cancelled = here(&[("a", false, order(-1, true))]);
        let actions = reconcile(&wanted, &BTreeSet::new(), &cancelled);
        assert_eq!(actions, [("a".to_owned(), Action::Change(order(5, true)))]);
        let settled = here(&[("a", false, order(5, true))]);
        assert!(reconcile(&wanted, &BTreeSet::new(), &settled).is_empty());
    }

    #[test]
    fn older_generations_count_only_in_another_incarnation() {
        let generation = |incarnation: &str, generation| Generation {
            incarnation: incarnation.to_owned(),
            generation,
        };
        let applied = generation("a", 5);
        assert!(is_current(None, &generation("a", 0)));
        assert!(is_current(Some(&applied), &generation("a", 5)));
        assert!(is_current(Some(&applied), &generation("a", 6)));
        assert!(!is_current(Some(&applied), &generation("a", 4)));
        assert!(is_current(Some(&applied), &generation("b", 1)));
    }

    #[test]
    fn a_timetable_is_a_rate_of_its_own_that_nobody_takes_for_a_limit() {
        let mut spec = spec(3);
        spec.extensions.bandwidth_timetable = Some("UTC Mon 1MiB".parse().unwrap());
        let mut desired = DesiredExecution::new(&spec, Rate::of(&spec), false);
        assert_eq!(read(&desired).unwrap().order.rate, Rate::Timetable);
        assert!(BytesPerSecond::try_from(desired.bytes_per_second).is_err());
        desired.bytes_per_second = 5;
        assert_eq!(read(&desired).unwrap().order, order(5, false));
        desired.bytes_per_second = 0;
        let unknown = desired.spec_json.replace("UTC Mon", "Mars/Olympus Mon");
        desired.spec_json = unknown;
        let refused = read(&desired).unwrap_err();
        assert_eq!(refused.execution, Some(spec.execution));
        assert!(
            refused.reason.contains("Mars/Olympus"),
            "{}",
            refused.reason
        );
    }

    #[test]
    fn an_unreadable_spec_still_tells_its_name() {
        let mut desired = DesiredExecution::new(&spec(3), BytesPerSecond::UNLIMITED, false);
        assert!(read(&desired).is_ok());
        desired.bytes_per_second = 0;
        assert!(read(&desired).unwrap_err().execution.is_some());
        desired.spec_json = desired
            .spec_json
            .replace("\"task_mode\"", "\"mode_of_the_future\"");
        assert_eq!(
            read(&desired).unwrap_err().execution,
            Some(spec(3).execution)
        );
        desired.spec_json = "{".to_owned();
        assert!(read(&desired).unwrap_err().execution.is_none());
    }
}
