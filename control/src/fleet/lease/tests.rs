use super::*;

fn agent() -> AgentArn {
    "arn:aws:datasync:us-east-1:000000000000:agent/agent-0123456789abcdef0"
        .parse()
        .unwrap()
}

fn leases(started: Instant) -> Leases {
    Leases::new(Duration::from_secs(60), Duration::from_secs(120), started)
}

#[test]
fn silence_ends_a_lease_and_a_word_renews_it() {
    let start = Instant::now();
    let mut leases = leases(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    let heard = |leases: &mut Leases, second| {
        let now = (at(second), Timestamp::UNIX_EPOCH);
        leases.heard(&agent(), Facts::default(), None, now)
    };
    assert!(!leases.is_online(&agent(), start));
    assert!(heard(&mut leases, 0));
    assert!(leases.is_online(&agent(), at(59)));
    assert!(!heard(&mut leases, 59));
    assert!(leases.is_online(&agent(), at(118)));
    assert!(!leases.is_online(&agent(), at(119)));
    leases.forget_ended(at(178));
    assert_eq!(leases.silent_for(&agent(), at(178)).as_secs(), 119);
    leases.forget_ended(at(179));
    assert!(leases.by_agent.is_empty());
    assert!(heard(&mut leases, 200));
}

#[test]
fn goodbye_ends_a_lease_at_once() {
    let now = Instant::now();
    let mut leases = leases(now);
    let at = (now, Timestamp::UNIX_EPOCH);
    leases.heard(&agent(), Facts::default(), None, at);
    assert!(leases.unnoted(&agent()).is_none(), "it is there");
    leases.left(&agent(), now);
    assert!(!leases.is_online(&agent(), now));
    // It left before its row was written, which is to say that it came at all.
    let contact = leases.unnoted(&agent()).unwrap().contact();
    leases.noted(&agent(), contact);
    assert!(leases.unnoted(&agent()).is_none());
}

#[test]
fn an_agent_is_lost_after_the_length_of_a_lease_and_never_right_after_a_start() {
    let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut leases = leases(start);
    assert!(!leases.is_lost(&agent(), at(59)));
    assert!(leases.is_lost(&agent(), at(60)));
    leases.heard(&agent(), Facts::default(), None, (at(100), wall));
    assert!(!leases.is_lost(&agent(), at(159)));
    leases.left(&agent(), at(150));
    assert!(!leases.is_lost(&agent(), at(209)), "it may be restarting");
    assert!(leases.is_lost(&agent(), at(210)));
    leases.forget_ended(at(270));
    assert!(leases.is_lost(&agent(), at(270)));
}

#[test]
fn a_heartbeat_counts_once_the_row_shows_it() {
    let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut leases = leases(start);
    let beat = |leases: &mut Leases, second: u64| {
        let now = start + Duration::from_secs(second);
        leases.heard(&agent(), Facts::default(), Some(second), (now, wall));
        leases.by_agent[&agent()].contact()
    };
    let first = beat(&mut leases, 1);
    for alone in [true, false] {
        leases.grant(&agent(), alone);
        assert_eq!(leases.granted(&agent()), None, "no row says how long");
    }
    leases.noted(&agent(), first);
    beat(&mut leases, 2);
    leases.grant(&agent(), false);
    assert_eq!(leases.granted(&agent()), Some(1));
    leases.grant(&agent(), true);
    assert_eq!(leases.granted(&agent()), Some(2));
    beat(&mut leases, 3);
    assert_eq!(leases.granted(&agent()), Some(2), "until the next round");
    assert_eq!(leases.length().as_secs(), 105);
}

#[test]
fn an_agent_with_a_longer_lease_is_waited_for_and_not_forgotten() {
    let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut leases = leases(start);
    assert_eq!(leases.over_after(0), Duration::from_secs(120));
    assert_eq!(leases.over_after(105_000), Duration::from_secs(120));
    // Of a control with ten minutes.
    let row_ms = 525_000;
    assert_eq!(leases.over_after(row_ms), Duration::from_secs(600));
    // It comes to this control, which has run for an hour, and falls silent.
    leases.heard(&agent(), Facts::default(), None, (at(3600), wall));
    assert_eq!(leases.shown_ms(&agent(), row_ms, at(3600)), row_ms);
    leases.forget_ended(at(4199));
    let silence = leases.silent_for(&agent(), at(4199));
    assert!(silence < leases.over_after(row_ms), "{silence:?}");
    assert_eq!(leases.shown_ms(&agent(), row_ms, at(4200)), 105_000);
    leases.forget_ended(at(4200));
    assert!(leases.by_agent.is_empty());
}

#[test]
fn the_row_is_stale_by_the_monotonic_clock() {
    let start = Instant::now();
    let mut leases = leases(start);
    let fresh = Duration::from_secs(15);
    let hear = |leases: &mut Leases, second: u64, wall: i64| {
        let now = start + Duration::from_secs(second);
        let wall = Timestamp::from_second(wall).unwrap();
        leases.heard(&agent(), Facts::default(), None, (now, wall));
        leases.by_agent[&agent()].clone()
    };
    let lease = hear(&mut leases, 0, 1_000_000);
    assert!(lease.is_stale(fresh), "never written");
    leases.noted(&agent(), lease.contact());
    // The wall clock is set back by a week.
    assert!(!hear(&mut leases, 14, 395_214).is_stale(fresh));
    assert!(hear(&mut leases, 15, 395_215).is_stale(fresh));
}
