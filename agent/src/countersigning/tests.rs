use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use datasync_model::ReportObject;

use super::*;

fn polled<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match future.poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn statement(entries: u64) -> ReportStatement {
    let execution = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/\
                     execution/exec-0123456789abcdef1"
        .parse()
        .unwrap();
    let object = ReportObject {
        name: "summary".to_owned(),
        entries,
        root: Digest::of(b"root"),
        set: Digest::of(b"set"),
    };
    ReportStatement::of(&execution, &[object])
}

fn able(desk: &SigningDesk) {
    let word = ControlAbility::CountersignReports.as_str();
    desk.welcomed(&["another".to_owned(), word.to_owned()]);
}

fn countersigned(asked: &ReportSigned) -> ReportCountersigned {
    ReportCountersigned {
        execution_arn: asked.execution_arn.clone(),
        root: asked.root.clone(),
        agent_signature: asked.signature.clone(),
        key_id: "key".to_owned(),
        signed_at: "2026-01-01T00:00:00Z".to_owned(),
        signature: vec![1, 2],
        error_detail: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_sent_until_it_is_answered_and_then_no_more() {
    let (desk, signer) = (SigningDesk::default(), Signer::for_tests());
    let mut session = desk.session();
    let mut signed = Box::pin(desk.signed(statement(1)));
    assert_eq!(polled(signed.as_mut()), None);
    let now = Instant::now();
    assert_eq!(session.due(&signer, now), [], "no control yet");
    able(&desk);
    session.changed().await;
    let due = session.due(&signer, now);
    assert_eq!(due.len(), 1);
    assert_eq!(session.due(&signer, now), []);
    let repeated = session.due(&signer, now + REPEAT_INTERVAL);
    assert_eq!(repeated.len(), 1, "not answered");
    let mut anew = desk.session();
    assert_eq!(anew.due(&signer, now).len(), 1, "another session");
    session.answered(&countersigned(&repeated[0]));
    let Some(Answer::Signed(signatures)) = polled(signed.as_mut()) else {
        panic!("it is answered");
    };
    assert_eq!(signatures.control.signature, "0102");
    assert_eq!(
        signatures.agent.signature,
        hex::encode(&repeated[0].signature)
    );
    drop(signed);
    assert_eq!(anew.due(&signer, now + REPEAT_INTERVAL), []);
}

#[tokio::test(start_paused = true)]
async fn a_control_that_is_there_and_does_not_answer_is_waited_for_a_while() {
    let (desk, signer) = (SigningDesk::default(), Signer::for_tests());
    able(&desk);
    let mut signed = Box::pin(desk.signed(statement(1)));
    assert_eq!(polled(signed.as_mut()), None);
    let mut now = Instant::now();
    // One session after the other, none for long: control is away.
    for _ in 0..100 {
        assert_eq!(desk.session().due(&signer, now).len(), 1);
        now += REPEAT_INTERVAL;
    }
    let mut session = desk.session();
    let end = now + PATIENCE;
    while now < end {
        assert_eq!(session.due(&signer, now).len(), 1);
        assert_eq!(polled(signed.as_mut()), None);
        now += REPEAT_INTERVAL;
    }
    assert_eq!(session.due(&signer, now), []);
    let Some(Answer::Refused(reason)) = polled(signed.as_mut()) else {
        panic!("it is given up");
    };
    assert!(reason.contains("10 minutes"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_report_is_passed_over() {
    let (desk, signer) = (SigningDesk::default(), Signer::for_tests());
    able(&desk);
    let mut session = desk.session();
    let mut first = Box::pin(desk.signed(statement(1)));
    assert_eq!(polled(first.as_mut()), None);
    let old = session.due(&signer, Instant::now());
    drop(first);
    let mut second = Box::pin(desk.signed(statement(2)));
    assert_eq!(polled(second.as_mut()), None);
    let new = session.due(&signer, Instant::now());
    session.answered(&countersigned(&old[0]));
    session.answered(&ReportCountersigned {
        agent_signature: vec![9],
        ..countersigned(&new[0])
    });
    assert_eq!(polled(second.as_mut()), None);
    session.answered(&ReportCountersigned {
        error_detail: "no".to_owned(),
        ..countersigned(&new[0])
    });
    let refused = Answer::Refused("no".to_owned());
    assert_eq!(polled(second.as_mut()), Some(refused));
}

#[tokio::test(start_paused = true)]
async fn a_control_of_an_older_release_is_not_waited_for() {
    let desk = SigningDesk::default();
    desk.welcomed(&[]);
    let mut session = desk.session();
    assert_eq!(desk.signed(statement(1)).await, Answer::Unable);
    assert_eq!(session.due(&Signer::for_tests(), Instant::now()), []);
}
