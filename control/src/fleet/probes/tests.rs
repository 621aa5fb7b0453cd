use super::super::fixture;
use super::*;

fn failure() -> Failure {
    Failure::new(
        ErrorCode::SourcePathNotFound,
        "nfs.example: export /x not found",
    )
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
    assert_eq!(probes.step(&snapshot, fixture::at(0)), []);
    let asked = questions(&probes, 0);
    assert_eq!(asked.len(), 2);
    assert!(!asked[0].as_destination && asked[1].as_destination);
    assert!(probes.answer(&fixture::agent(0), &asked[0].id, Ok(())));
    assert_eq!(questions(&probes, 0), [asked[1].clone()]);
    assert_eq!(probes.step(&snapshot, fixture::at(1)), []);
    assert!(probes.answer(&fixture::agent(0), &asked[1].id, Ok(())));
    let verdicts = probes.step(&snapshot, fixture::at(2));
    assert_eq!(verdicts.len(), 1);
    assert_eq!(verdicts[0].result, Ok(()));
    assert!(probes.asked().is_empty());
}

#[test]
fn a_failure_makes_it_unavailable_and_it_is_tried_again_with_growing_pauses() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    let mut now = 0;
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        probes.step(&snapshot, fixture::at(now));
        answer_all(&mut probes, 0, &Err(failure()));
        let verdicts = probes.step(&snapshot, fixture::at(now));
        if snapshot.tasks[0].status == TaskStatus::Creating {
            assert_eq!(verdicts[0].result, Err(failure()));
            snapshot.tasks[0].status = TaskStatus::Unavailable;
            snapshot.tasks[0].failure = Some(failure());
        } else {
            assert_eq!(verdicts, [], "the row says so already");
        }
        probes.step(&snapshot, fixture::at(now + pause - 1));
        assert!(probes.asked().is_empty(), "not before {pause} s");
        now += pause;
    }
    probes.step(&snapshot, fixture::at(now));
    answer_all(&mut probes, 0, &Ok(()));
    assert_eq!(probes.step(&snapshot, fixture::at(now))[0].result, Ok(()));
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, fixture::at(0));
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
    assert_eq!(probes.step(&snapshot, fixture::at(0)), []);
    assert!(probes.asked().is_empty());
    fixture::set_online(&mut snapshot, 0, false);
    assert_eq!(probes.step(&snapshot, fixture::at(0)), []);
    fixture::set_online(&mut snapshot, 1, false);
    assert_eq!(
        probes.step(&snapshot, fixture::at(59)),
        [],
        "agents may be about to return"
    );
    let verdicts = probes.step(&snapshot, fixture::at(60));
    let lost = verdicts[0].result.clone().unwrap_err();
    assert_eq!(lost.code, ErrorCode::AgentUnavailable);
    assert!(lost.detail.contains("OFFLINE"), "{}", lost.detail);
    snapshot.tasks[0].status = TaskStatus::Unavailable;
    snapshot.tasks[0].failure = Some(lost);
    assert_eq!(probes.step(&snapshot, fixture::at(61)), []);
    fixture::set_online(&mut snapshot, 1, true);
    probes.step(&snapshot, fixture::at(62));
    answer_all(&mut probes, 1, &Ok(()));
    assert_eq!(probes.step(&snapshot, fixture::at(63))[0].result, Ok(()));
}

#[test]
fn a_new_task_waits_a_while_for_its_agent() {
    let mut snapshot = with_task(TaskStatus::Creating);
    fixture::set_online(&mut snapshot, 0, false);
    fixture::set_online(&mut snapshot, 1, false);
    let mut probes = Probes::new("p".to_owned());
    assert_eq!(probes.step(&snapshot, fixture::at(59)), []);
    assert_eq!(probes.step(&snapshot, fixture::at(60)).len(), 1);
}

#[test]
fn a_trial_moves_on_when_its_agent_is_lost_or_silent() {
    let mut snapshot = with_task(TaskStatus::Creating);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, fixture::at(0));
    assert_eq!(questions(&probes, 0).len(), 2);
    fixture::set_online(&mut snapshot, 0, false);
    probes.step(&snapshot, fixture::at(1));
    assert_eq!(questions(&probes, 0), []);
    assert_eq!(questions(&probes, 1).len(), 2);
    let verdicts = probes.step(&snapshot, fixture::at(121));
    let silent = verdicts[0].result.clone().unwrap_err();
    assert_eq!(silent.code, ErrorCode::AgentUnavailable);
}

#[test]
fn a_changed_location_is_tried_at_once() {
    let mut snapshot = with_task(TaskStatus::Unavailable);
    let mut probes = Probes::new("p".to_owned());
    probes.step(&snapshot, fixture::at(0));
    answer_all(&mut probes, 0, &Err(failure()));
    probes.step(&snapshot, fixture::at(1));
    assert!(probes.asked().is_empty());
    let Ok([Location::Nfs(nfs), _]) = &mut snapshot.tasks[0].sides else {
        panic!("the fixture reads from NFS");
    };
    nfs.subdirectory = "/other".to_owned();
    probes.step(&snapshot, fixture::at(2));
    assert_eq!(questions(&probes, 0).len(), 2);
}

#[test]
fn a_location_that_no_agent_can_use_makes_its_task_unavailable_at_once() {
    let mut snapshot = with_task(TaskStatus::Creating);
    snapshot.tasks[0].sides = Err(failure());
    let mut probes = Probes::new("p".to_owned());
    let verdicts = probes.step(&snapshot, fixture::at(0));
    assert_eq!(verdicts[0].result, Err(failure()));
    assert!(probes.asked().is_empty());
}
