//! Limits and their changes, by hand.

use super::*;

/// What holds where no entry says anything.
const REST: i64 = 999;

/// The limit at `from` and what follows: moments and limits, `count` of them.
fn changes(text: &str, from: &str, count: usize) -> Vec<(String, i64)> {
    let timetable = timetable(text);
    let mut now = at(from);
    let mut found = Vec::new();
    loop {
        let (limit, next) = timetable.limit_at(rate(REST), now);
        found.push((now.to_string(), limit.into()));
        match next {
            Some(next) if found.len() <= count => now = next,
            _ => return found,
        }
    }
}

fn assert_changes(text: &str, expected: &[(&str, i64)]) {
    let found = changes(text, expected[0].0, expected.len() - 1);
    let found: Vec<_> = found
        .iter()
        .map(|(at, limit)| (at.as_str(), *limit))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_week_goes_round() {
    // 2026-11-27 is a Friday.
    assert_changes(
        "Europe/Berlin Mon-Fri 08:00-18:00 10KiB / Sat+Sun unlimited",
        &[
            ("2026-11-27T06:59:59.5Z", REST),
            ("2026-11-27T07:00:00Z", 10_240),
            ("2026-11-27T17:00:00Z", REST),
            ("2026-11-27T23:00:00Z", -1),
            ("2026-11-29T23:00:00Z", REST),
            ("2026-11-30T07:00:00Z", 10_240),
        ],
    );
}

#[test]
fn an_entry_past_midnight_belongs_to_the_day_on_which_it_begins() {
    assert_changes(
        "UTC Sun 22:00-06:00 1",
        &[
            ("2026-11-29T00:00:00Z", REST),
            ("2026-11-29T22:00:00Z", 1),
            ("2026-11-30T06:00:00Z", REST),
            ("2026-12-06T22:00:00Z", 1),
        ],
    );
    assert_changes(
        "UTC Fri-Mon 22:00-06:00 1 / Sat-Tue 06:00-07:00 2",
        &[
            ("2026-11-30T23:00:00Z", 1),
            ("2026-12-01T06:00:00Z", 2),
            ("2026-12-01T07:00:00Z", REST),
            ("2026-12-04T22:00:00Z", 1),
        ],
    );
}

#[test]
fn a_year_ends_like_any_day() {
    assert_changes(
        "Asia/Kathmandu Thu 18:00-24:00 1 / Fri 00:00-01:30 2",
        &[
            ("2026-12-31T12:15:00Z", 1),
            ("2026-12-31T18:15:00Z", 2),
            ("2026-12-31T19:45:00Z", REST),
            ("2027-01-07T12:15:00Z", 1),
        ],
    );
}

#[test]
fn times_that_the_clocks_skip_do_not_come() {
    // Berlin, 2027-03-28: 02:00 becomes 03:00, at 01:00 UTC.
    assert_changes(
        "Europe/Berlin Sun 02:15-02:45 1",
        &[("2027-03-27T00:00:00Z", REST), ("2027-04-04T00:15:00Z", 1)],
    );
    assert_changes(
        "Europe/Berlin Sun 01:30-02:30 1",
        &[
            ("2027-03-28T00:30:00Z", 1),
            ("2027-03-28T01:00:00Z", REST),
            ("2027-04-03T23:30:00Z", 1),
            ("2027-04-04T00:30:00Z", REST),
        ],
    );
    assert_changes(
        "Europe/Berlin Sun 02:30-03:30 1",
        &[
            ("2027-03-28T00:30:00Z", REST),
            ("2027-03-28T01:00:00Z", 1),
            ("2027-03-28T01:30:00Z", REST),
        ],
    );
}

#[test]
fn times_that_the_clocks_show_twice_count_twice() {
    // Berlin, 2027-10-31: 03:00 becomes 02:00, at 01:00 UTC.
    assert_changes(
        "Europe/Berlin Sun 02:15-02:45 1",
        &[
            ("2027-10-31T00:00:00Z", REST),
            ("2027-10-31T00:15:00Z", 1),
            ("2027-10-31T00:45:00Z", REST),
            ("2027-10-31T01:15:00Z", 1),
            ("2027-10-31T01:45:00Z", REST),
            ("2027-11-07T01:15:00Z", 1),
        ],
    );
    assert_changes(
        "Europe/Berlin Sun 02:30-04:00 1",
        &[
            ("2027-10-31T00:30:00Z", 1),
            ("2027-10-31T01:00:00Z", REST),
            ("2027-10-31T01:30:00Z", 1),
            ("2027-10-31T03:00:00Z", REST),
        ],
    );
}

#[test]
fn the_southern_half_hour_and_the_skipped_day_are_no_exceptions() {
    // Lord Howe, 2027-04-04: 02:00 becomes 01:30, at 15:00 UTC of the day before.
    assert_changes(
        "Australia/Lord_Howe Sun 01:45-02:15 1",
        &[
            ("2027-04-03T14:30:00Z", REST),
            ("2027-04-03T14:45:00Z", 1),
            ("2027-04-03T15:00:00Z", REST),
            ("2027-04-03T15:15:00Z", 1),
            ("2027-04-03T15:45:00Z", REST),
        ],
    );
    // Samoa had no Friday, 2011-12-30.
    assert_changes(
        "Pacific/Apia Fri 1 / Sat 2",
        &[
            ("2011-12-30T09:59:59Z", REST),
            ("2011-12-30T10:00:00Z", 2),
            ("2011-12-31T10:00:00Z", REST),
            ("2012-01-05T10:00:00Z", 1),
        ],
    );
}

#[test]
fn what_never_changes_has_no_next_change() {
    let always = |text: &str| timetable(text).limit_at(rate(REST), at("2026-11-26T00:00:00Z"));
    assert_eq!(always("UTC 5"), (rate(5), None));
    let same = "Europe/Berlin 00:00-12:00 5 / 12:00-24:00 5B";
    assert_eq!(always(same), (rate(5), None));
    assert_eq!(always("Europe/Berlin Mon 999"), (rate(REST), None));
    let end = timetable("UTC Mon 5").limit_at(rate(REST), Timestamp::MAX);
    assert_eq!(end, (rate(REST), None));
}

#[test]
fn units_and_days_are_read_in_any_case() {
    let limit = |text: &str| {
        let (limit, _) = timetable(text).limit_at(rate(REST), at("2026-11-26T12:00:00Z"));
        i64::from(limit)
    };
    assert_eq!(limit("utc THU 10mib"), 10 << 20);
    assert_eq!(
        limit("europe/berlin mon-wed+THU 12:00-14:00 1GB"),
        1_000_000_000
    );
    assert_eq!(limit("Etc/GMT+5 06:00-08:00 7"), 7);
    assert_eq!(
        limit("US/Pacific Mon 7 / Thu 03:00-04:00 8 / Thu 04:00-04:01 9"),
        9
    );
    assert_eq!(limit("UTC Sat-Wed 7"), REST);
}
