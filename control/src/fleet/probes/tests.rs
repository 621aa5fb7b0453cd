use super::super::fixture;
use super::*;

fn failure() -> Failure {
    Failure::new(
        ErrorCode::SourcePathNotFound,
        "nfs.example: export /x not found",
    )
}

/// `second` on both clocks.
fn now(second: u64) -> Now {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    Now {
        instant: *START.get_or_init(Instant::now) + Duration::from_secs(second),
        wall: fixture::at(i64::try_from(second).unwrap()),
    }
}

/// What a session does with the questions.
fn send_all(probes: &mut Probes, agent: u8, second: u64) {
    for asked in questions(probes, agent) {
        probes.sent(&fixture::agent(agent), &asked.id, now(second).instant);
    }
}

fn with_task(status: TaskStatus) -> Snapshot {
    let mut snapshot = fixture::snapshot(2);
    let mut task = fixture::task(1);
    task.status = status;
    task.eligible = vec![fixture::agent(0), fixture::agent(1)];
    snapshot.tasks.push(task);
    snapshot
}

fn questions(probes: &Probes, agent: u8) -> Vec<Asked> {
    probes
        .asked()
        .remove(&fixture::agent(agent).to_string())
        .unwrap_or_default()
}

fn answer_all(probes: &mut Probes, agent: u8, result: &Result<(), Failure>) {
    for asked in questions(probes, agent) {
        assert!(probes.answer(&fixture::agent(agent), &asked.id, result.clone()));
    }
}

#[test]
fn a_new_task_is_tried_on_both_sides_and_becomes_available() {
    let snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    assert_eq!(probes.step(&snapshot, now(0)), []);
    let asked = questions(&probes, 0);
    assert_eq!(asked.len(), 2);
    assert!(!asked[0].as_destination && asked[1].as_destination);
    assert!(probes.answer(&fixture::agent(0), &asked[0].id, Ok(())));
    assert_eq!(questions(&probes, 0), [asked[1].clone()]);
    assert_eq!(probes.step(&snapshot, now(1)), []);
    assert!(probes.answer(&fixture::agent(0), &asked[1].id, Ok(())));
    let verdicts = probes.step(&snapshot, now(2));
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].result, Ok(()));
    assert!(probes.asked().is_empty());
}

#[test]
fn a_failure_makes_it_unavailable_and_it_is_tried_again_with_growing_pauses() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    let mut at = 0;
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        probes.step(&snapshot, now(at));
        answer_all(&mut probes, 0, &Err(failure()));
        assert_eq!(probes.step(&snapshot, now(at)), [], "another agent may");
        answer_all(&mut probes, 1, &Err(failure()));
        let verdicts = probes.step(&snapshot, now(at));
        if snapshot.tasks[0].status == TaskStatus::Creating {
            let failure = verdicts[0].result.clone().unwrap_err();
            assert_eq!(failure.code, ErrorCode::SourcePathNotFound);
            for agent in [0, 1] {
                let says = format!("agent {}: nfs.example: export", fixture::agent(agent));
                assert!(failure.detail.contains(&says), "{failure}");
            }
            assert_eq!(verdicts[0].unable, [fixture::agent(0), fixture::agent(1)]);
            snapshot.tasks[0].status = TaskStatus::Unavailable;
            snapshot.tasks[0].failure = Some(failure);
        } else {
            assert_eq!(verdicts, [], "the row says so already");
        }
        probes.step(&snapshot, now(at + pause - 1));
        assert!(probes.asked().is_empty(), "not before {pause} s");
        at += pause;
    }
    probes.step(&snapshot, now(at));
    answer_all(&mut probes, 0, &Ok(()));
    assert_eq!(probes.step(&snapshot, now(at))[0].result, Ok(()));
}

#[test]
fn one_agent_that_can_use_the_locations_is_enough() {
    let snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    answer_all(&mut probes, 0, &Err(failure()));
    assert_eq!(probes.step(&snapshot, now(1)), []);
    answer_all(&mut probes, 1, &Ok(()));
    let verdicts = probes.step(&snapshot, now(2));
    assert_eq!(verdicts[0].result, Ok(()));
    assert_eq!(verdicts[0].unable, [fixture::agent(0)]);
    assert_eq!(verdicts[0].able, Some(fixture::agent(1)));
}

#[test]
fn the_reason_of_a_single_agent_is_told_as_it_is() {
    let mut snapshot = with_task(TaskStatus::Creating);
    fixture::set_online(&mut snapshot, 1, false);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    answer_all(&mut probes, 0, &Err(failure()));
    let verdicts = probes.step(&snapshot, now(1));
    assert_eq!(verdicts[0].result, Err(failure()));
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    let id = questions(&probes, 0)[0].id.clone();
    assert!(!probes.answer(&fixture::agent(1), &id, Ok(())));
    assert!(!probes.answer(&fixture::agent(0), "q-1-source", Ok(())));
    assert!(probes.answer(&fixture::agent(0), &id, Ok(())));
    assert!(!probes.answer(&fixture::agent(0), &id, Err(failure())));
}

#[test]
fn a_task_whose_agents_are_all_offline_becomes_unavailable_and_comes_back() {
    let mut snapshot = with_task(TaskStatus::Available);
    let mut probes = Probes::new("p".to_owned());
    assert_eq!(probes.step(&snapshot, now(0)), []);
    assert!(probes.asked().is_empty());
    fixture::set_online(&mut snapshot, 0, false);
    assert_eq!(probes.step(&snapshot, now(0)), []);
    fixture::set_online(&mut snapshot, 1, false);
    assert_eq!(
        probes.step(&snapshot, now(59)),
        [],
        "agents may be about to return"
    );
    let verdicts = probes.step(&snapshot, now(60));
    let lost = verdicts[0].result.clone().unwrap_err();
    assert_eq!(lost.code, ErrorCode::AgentUnavailable);
    assert!(lost.detail.contains("OFFLINE"), "{}", lost.detail);
    snapshot.tasks[0].status = TaskStatus::Unavailable;
    snapshot.tasks[0].failure = Some(lost);
    assert_eq!(probes.step(&snapshot, now(61)), []);
    fixture::set_online(&mut snapshot, 1, true);
    probes.step(&snapshot, now(62));
    answer_all(&mut probes, 1, &Ok(()));
    assert_eq!(probes.step(&snapshot, now(63))[0].result, Ok(()));
}

#[test]
fn a_task_stays_available_while_its_agent_restarts() {
    let mut snapshot = with_task(TaskStatus::Available);
    let mut probes = Probes::new("p".to_owned());
    assert_eq!(probes.step(&snapshot, now(0)), []);
    fixture::set_online(&mut snapshot, 0, false);
    fixture::set_left(&mut snapshot, 1);
    assert_eq!(probes.step(&snapshot, now(1000)), []);
    fixture::set_online(&mut snapshot, 1, true);
    assert_eq!(probes.step(&snapshot, now(1001)), []);
    assert!(probes.asked().is_empty(), "its trial was good");
    fixture::set_online(&mut snapshot, 1, false);
    assert_eq!(probes.step(&snapshot, now(1002)).len(), 1);
    // One that was found not to work has no such grace.
    snapshot.tasks[0].status = TaskStatus::Unavailable;
    fixture::set_left(&mut snapshot, 1);
    assert_eq!(probes.step(&snapshot, now(1003)).len(), 1);
}

#[test]
fn a_new_task_waits_a_while_for_its_agent() {
    let mut snapshot = with_task(TaskStatus::Creating);
    fixture::set_online(&mut snapshot, 0, false);
    fixture::set_online(&mut snapshot, 1, false);
    let mut probes = Probes::new("p".to_owned());
    assert_eq!(probes.step(&snapshot, now(59)), []);
    assert_eq!(probes.step(&snapshot, now(60)).len(), 1);
}

#[test]
fn a_trial_moves_on_when_its_agent_is_lost_or_silent() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    assert_eq!(questions(&probes, 0).len(), 2);
    fixture::set_online(&mut snapshot, 0, false);
    probes.step(&snapshot, now(1));
    assert_eq!(questions(&probes, 0), []);
    assert_eq!(questions(&probes, 1).len(), 2);
    // The question waits for its credentials: the agent's clock does not run yet.
    assert_eq!(probes.step(&snapshot, now(500)), []);
    send_all(&mut probes, 1, 500);
    assert_eq!(probes.step(&snapshot, now(799)), []);
    // Only one that is here is asked in its place.
    let verdicts = probes.step(&snapshot, now(800));
    let silent = verdicts[0].result.clone().unwrap_err();
    assert_eq!(silent.code, ErrorCode::AgentUnavailable);
}

#[test]
fn a_changed_location_is_tried_at_once() {
    let mut snapshot = with_task(TaskStatus::Unavailable);
    let mut probes = Probes::new("p".to_owned());
    for agent in [0, 1] {
        probes.step(&snapshot, now(0));
        answer_all(&mut probes, agent, &Err(failure()));
    }
    probes.step(&snapshot, now(1));
    assert!(probes.asked().is_empty());
    // Its keys may be others: the place is the same, the row is not.
    snapshot.tasks[0].sides.as_mut().unwrap()[1]
        .revision
        .location += 1;
    probes.step(&snapshot, now(2));
    let old = questions(&probes, 0);
    assert_eq!(old.len(), 2);
    // Once more while it is tried: answers about the old state do not count.
    snapshot.tasks[0].sides.as_mut().unwrap()[1]
        .revision
        .location += 1;
    probes.step(&snapshot, now(3));
    assert_eq!(questions(&probes, 0).len(), 2);
    assert!(!probes.answer(&fixture::agent(0), &old[0].id, Err(failure())));
}

#[test]
fn an_agent_has_eight_trials_at_a_time() {
    let mut snapshot = fixture::snapshot(2);
    for number in 0..17 {
        let mut task = fixture::task(number);
        task.status = TaskStatus::Creating;
        task.eligible = vec![fixture::agent(0), fixture::agent(1)];
        if number == 16 {
            task.eligible.pop();
        }
        snapshot.tasks.push(task);
    }
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    for agent in [0, 1] {
        assert_eq!(questions(&probes, agent).len(), 16);
    }
    answer_all(&mut probes, 0, &Ok(()));
    let verdicts = probes.step(&snapshot, now(1));
    assert_eq!(verdicts.len(), 8);
    for verdict in verdicts {
        let mut tasks = snapshot.tasks.iter_mut();
        let task = tasks.find(|task| task.arn == verdict.task).unwrap();
        task.status = TaskStatus::Available;
    }
    probes.step(&snapshot, now(2));
    assert_eq!(questions(&probes, 0).len(), 2, "the last task's");
}

#[test]
fn tasks_that_fail_again_and_again_hold_up_no_new_one() {
    let mut snapshot = fixture::snapshot(1);
    for number in 0..20 {
        let mut task = fixture::task(number);
        task.status = TaskStatus::Creating;
        task.eligible = vec![fixture::agent(0)];
        snapshot.tasks.push(task);
    }
    let mut new = snapshot.tasks.pop().unwrap();
    let mut probes = Probes::new("p".to_owned());
    for _ in 0..3 {
        probes.step(&snapshot, now(0));
        answer_all(&mut probes, 0, &Err(failure()));
    }
    let failed = probes.step(&snapshot, now(0));
    for task in &mut snapshot.tasks {
        task.status = TaskStatus::Unavailable;
        task.failure = Some(failure());
    }
    assert!(!failed.is_empty());
    assert!(probes.asked().is_empty());
    // All are due again, and their server still does not answer.
    probes.step(&snapshot, now(30));
    assert_eq!(questions(&probes, 0).len(), 2 * RETRIES_PER_AGENT);
    new.status = TaskStatus::Creating;
    snapshot.tasks.push(new);
    probes.step(&snapshot, now(31));
    assert_eq!(questions(&probes, 0).len(), 2 * RETRIES_PER_AGENT + 2);
}

#[test]
fn a_trial_by_an_agent_that_may_not_run_the_task_any_more_is_dropped() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    assert_eq!(questions(&probes, 0).len(), 2);
    snapshot.tasks[0].eligible.remove(0);
    probes.step(&snapshot, now(1));
    assert_eq!(questions(&probes, 0), []);
    assert_eq!(questions(&probes, 1).len(), 2);
}

#[test]
fn a_location_is_not_tried_where_it_is_in_use_at_another_place() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut running = fixture::execution(2, 1);
    running.status = datasync_model::ExecutionStatus::Transferring;
    running.agent = Some(fixture::agent(0));
    let datasync_model::Location::S3(s3) = &mut running.spec.destination else {
        panic!("the fixture writes to S3");
    };
    s3.prefix = "old/".to_owned();
    snapshot.executions.push(running);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, now(0));
    assert_eq!(questions(&probes, 0), []);
    assert_eq!(questions(&probes, 1).len(), 2);
    fixture::set_online(&mut snapshot, 1, false);
    probes.step(&snapshot, now(1));
    assert!(probes.asked().is_empty());
    snapshot.executions.clear();
    probes.step(&snapshot, now(2));
    assert_eq!(questions(&probes, 0).len(), 2);
}

#[test]
fn a_location_that_no_agent_can_use_makes_its_task_unavailable_at_once() {
    let mut snapshot = with_task(TaskStatus::Creating);
    snapshot.tasks[0].sides = Err(failure());
    let mut probes = Probes::new("p".to_owned());
    let verdicts = probes.step(&snapshot, now(0));
    assert_eq!(verdicts[0].result, Err(failure()));
    assert!(probes.asked().is_empty());
}
