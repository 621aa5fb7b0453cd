//! The choice of what starts, by examples and by whatever may happen.

use proptest::prelude::*;

use super::*;

fn version(number: u32) -> ReleaseVersion {
    format!("1.{number}.0").parse().unwrap()
}

fn release(number: u32) -> Release {
    Release {
        version: version(number),
        older_than: None,
    }
}

fn good(_: &ReleaseVersion) -> Result<(), String> {
    Ok(())
}

/// As a machine with the packaged version 1.0.0 goes through it.
#[derive(Debug, Clone)]
enum Event {
    Stage(u32),
    /// The process starts, however the one before ended.
    Start,
    Reach,
    GiveUp,
    Withdraw,
    /// The files of a version are damaged.
    Damage(u32),
    /// The package is upgraded.
    Upgrade(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..6_u32).prop_map(Event::Stage),
        Just(Event::Start),
        Just(Event::Start),
        Just(Event::Reach),
        Just(Event::GiveUp),
        Just(Event::Withdraw),
        (1..6_u32).prop_map(Event::Damage),
        (0..6_u32).prop_map(Event::Upgrade),
    ]
}

proptest! {
    /// Whatever happens: what is damaged, or was started three times in vain, is never started;
    /// what has reached control stays until something newer does; the packaged program never runs
    /// in place of a good release that has reached control, unless it is newer.
    #[test]
    fn a_start_always_finds_something_good(events in prop::collection::vec(event(), 1..60)) {
        let mut standing = Standing::default();
        let mut packaged = 0;
        let mut running = version(0);
        let mut damaged = std::collections::BTreeSet::new();
        let mut starts_in_vain = 0;
        for event in events {
            match event {
                Event::Stage(number) if standing.tried().is_none() => {
                    damaged.remove(&version(number));
                    standing.stage(release(number), None);
                }
                Event::Stage(_) => {}
                Event::Start => {
                    let before = standing.clone();
                    let verify = |version: &ReleaseVersion| {
                        if damaged.contains(version) { Err("damaged".to_owned()) } else { Ok(()) }
                    };
                    let (next, choice) = standing.choose(&version(packaged), verify);
                    standing = next;
                    running = match &choice {
                        Choice::Packaged => version(packaged),
                        Choice::Release(version) => version.clone(),
                    };
                    prop_assert!(!damaged.contains(&running) || choice == Choice::Packaged);
                    if standing.tried() == Some(&running) {
                        starts_in_vain += 1;
                        prop_assert!(standing.candidate.as_ref().unwrap().starts <= STARTS_MAX);
                    } else {
                        starts_in_vain = 0;
                    }
                    prop_assert!(starts_in_vain <= STARTS_MAX);
                    if choice == Choice::Packaged
                        && let Some(kept) = before.confirmed
                    {
                        let gone = damaged.contains(&kept.version) || version(packaged) >= kept.version;
                        prop_assert!(gone, "{kept:?}");
                    }
                    // The same start again comes to the same end, but for the count.
                    let again = standing.choose(&version(packaged), |_| Ok(()));
                    if standing.tried().is_none() {
                        prop_assert_eq!(again.1, choice);
                    }
                }
                Event::Reach => {
                    if standing.confirm(&running) {
                        starts_in_vain = 0;
                        prop_assert_eq!(&standing.confirmed.as_ref().unwrap().version, &running);
                    }
                }
                Event::GiveUp => {
                    let kept = standing.confirmed.clone();
                    starts_in_vain = 0;
                    standing.roll_back("given up".to_owned());
                    prop_assert_eq!(standing.confirmed.clone(), kept);
                }
                Event::Withdraw => standing.withdraw(),
                Event::Damage(number) => {
                    damaged.insert(version(number));
                }
                Event::Upgrade(number) => packaged = number,
            }
            let text = serde_json::to_string(&standing).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Standing>(&text).unwrap(), &standing);
        }
    }
}

#[test]
fn an_update_has_three_starts() {
    let mut standing = Standing::default();
    standing.stage(release(1), Some("wish".to_owned()));
    for start in 1..=STARTS_MAX {
        let (next, choice) = standing.choose(&version(0), good);
        assert_eq!(choice, Choice::Release(version(1)), "{start}");
        standing = next;
    }
    let (standing, choice) = standing.choose(&version(0), good);
    assert_eq!(choice, Choice::Packaged);
    let last = standing.last.as_ref().unwrap();
    assert!(last.rolled_back.as_ref().unwrap().contains("3 times"));
    assert!(standing.knows("wish") && standing.needed().next().is_none());
}

#[test]
fn what_reached_control_before_is_fallen_back_on() {
    let mut standing = Standing::default();
    for number in [1, 2] {
        standing.stage(release(number), None);
        standing = standing.choose(&version(0), good).0;
        if number == 1 {
            assert!(standing.confirm(&version(1)));
        }
    }
    assert!(!standing.confirm(&version(1)), "it is not what is tried");
    standing.roll_back("it hangs".to_owned());
    let (standing, choice) = standing.choose(&version(0), good);
    assert_eq!(choice, Choice::Release(version(1)));
    assert_eq!(standing.last.unwrap().version, version(2));
}

#[test]
fn a_newer_package_wins_and_an_older_update_only_where_it_was_allowed() {
    let mut standing = Standing {
        confirmed: Some(release(3)),
        ..Standing::default()
    };
    assert_eq!(
        standing.choose(&version(2), good).1,
        Choice::Release(version(3))
    );
    for packaged in [3, 4] {
        let (next, choice) = standing.choose(&version(packaged), good);
        assert_eq!((choice, next), (Choice::Packaged, Standing::default()));
    }
    let older = Release {
        older_than: Some(version(5)),
        ..release(3)
    };
    standing.confirmed = Some(older);
    assert_eq!(
        standing.choose(&version(5), good).1,
        Choice::Release(version(3))
    );
    assert_eq!(standing.choose(&version(6), good).1, Choice::Packaged);
}

#[test]
fn what_the_system_will_not_start_is_left() {
    let mut standing = Standing {
        confirmed: Some(release(1)),
        ..Standing::default()
    };
    standing.stage(release(2), None);
    let (mut standing, _) = standing.choose(&version(0), good);
    standing.not_started(&version(2), "noexec".to_owned());
    let (mut standing, choice) = standing.choose(&version(0), good);
    assert_eq!(choice, Choice::Release(version(1)));
    standing.not_started(&version(1), "noexec".to_owned());
    assert_eq!(standing.choose(&version(0), good).1, Choice::Packaged);
}
