use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn starts(expression: &str, after: &str, count: usize) -> Vec<String> {
    let schedule: Schedule = expression.parse().unwrap();
    let mut now = at(after);
    let anchor = now;
    let mut found = Vec::new();
    while found.len() < count {
        match schedule.next_after(now, anchor) {
            Some(next) => now = next,
            None => break,
        }
        found.push(now.to_string());
    }
    found
}

/// An expression, a moment, and the starts that follow it.
const EXAMPLES: &[(&str, &str, &[&str])] = &[
    (
        "cron(0 12 ? * SUN,WED *)",
        "2026-11-26T00:00:00Z",
        &["2026-11-29T12:00:00Z", "2026-12-02T12:00:00Z"],
    ),
    (
        "cron(15 10 * * ? *)",
        "2026-12-31T10:14:59Z",
        &["2026-12-31T10:15:00Z", "2027-01-01T10:15:00Z"],
    ),
    (
        "cron(0 18 ? * MON-FRI *)",
        "2026-11-27T18:00:00Z",
        &["2026-11-30T18:00:00Z"],
    ),
    (
        "cron(0 8 1 * ? *)",
        "2026-11-26T00:00:00Z",
        &["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"],
    ),
    (
        "cron(0 9 ? * 2#1 *)",
        "2026-11-26T00:00:00Z",
        &["2026-12-07T09:00:00Z", "2027-01-04T09:00:00Z"],
    ),
    // The DataSync guide's own, with five fields.
    (
        "cron(0 8 * * 3#1)",
        "2026-11-26T00:00:00Z",
        &["2026-12-01T08:00:00Z"],
    ),
    (
        "cron(0 0 L * ? *)",
        "2027-12-31T00:00:00Z",
        &["2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"],
    ),
    (
        "cron(0 0 3W * ? *)",
        "2026-09-01T00:00:00Z",
        // The 3rd of October is a Saturday.
        &["2026-09-03T00:00:00Z", "2026-10-02T00:00:00Z"],
    ),
    (
        "cron(0 0 1W * ? *)",
        "2026-07-30T00:00:00Z",
        // A Saturday: the Friday would be in July.
        &["2026-08-03T00:00:00Z"],
    ),
    (
        "cron(0 0 LW * ? *)",
        "2027-01-01T00:00:00Z",
        // The 31st is a Sunday.
        &["2027-01-29T00:00:00Z"],
    ),
    (
        "cron(0 0 ? * 6L *)",
        "2026-11-26T00:00:00Z",
        &["2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z"],
    ),
    (
        "cron(0 6 ? * L *)",
        "2026-11-26T00:00:00Z",
        &["2026-11-28T06:00:00Z"],
    ),
    (
        "cron(0 22/1 ? JAN FRI-MON 2027)",
        "2026-11-26T00:00:00Z",
        &[
            "2027-01-01T22:00:00Z",
            "2027-01-01T23:00:00Z",
            "2027-01-02T22:00:00Z",
        ],
    ),
    (
        "cron(0 0 29 2 ? *)",
        "2026-01-01T00:00:00Z",
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    ),
    (
        "cron(59 23 31 12 ? 2026-2027)",
        "2026-01-01T00:00:00Z",
        &["2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"],
    ),
    (
        "rate(1 hour)",
        "2026-12-31T23:30:00Z",
        &["2027-01-01T00:30:00Z", "2027-01-01T01:30:00Z"],
    ),
    (
        "rate(2 days)",
        "2028-02-28T05:00:00Z",
        &["2028-03-01T05:00:00Z"],
    ),
];

#[test]
fn examples_of_the_books() {
    for (expression, after, expected) in EXAMPLES {
        let found = starts(expression, after, expected.len());
        assert_eq!(found, *expected, "{expression}");
    }
}

#[test]
fn a_schedule_may_have_an_end() {
    for expression in [
        "cron(0 0 1 1 ? 2026)",
        "cron(0 0 30 2 ? *)",
        "cron(0 0 31W 2 ? *)",
    ] {
        let none: [&str; 0] = [];
        assert_eq!(starts(expression, "2026-01-01T00:00:00Z", 1), none);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("", "it must be cron("),
        ("0 12 * * ? *", "it must be cron("),
        ("at(2026-01-01T00:00:00)", "it must be cron("),
        ("cron(0 12 * * ?", "it must be cron("),
        ("cron(0 12 * ?)", "this one has 4"),
        ("cron(0 12 * * * *)", "both given"),
        ("cron(0 12 1 * SUN *)", "both given"),
        ("cron(0 12 ? * ? *)", "both ?"),
        ("cron(60 12 * * ? *)", "minutes is \"60\": it takes 0 to 59"),
        ("cron(0 24 * * ? *)", "hours is \"24\""),
        ("cron(0 -1 * * ? *)", "hours is \"-1\""),
        ("cron(0 0 0 * ? *)", "day-of-month is \"0\""),
        ("cron(0 0 32W * ? *)", "day-of-month is \"32W\""),
        ("cron(0 0 * 13 ? *)", "1 to 12 or JAN to DEC"),
        ("cron(0 0 ? * 8 *)", "1 to 7 or SUN to SAT"),
        ("cron(0 0 ? * 2#6 *)", "1 to 5"),
        ("cron(0 0 ? * MONDAY *)", "\"MONDAY\""),
        ("cron(0 0 * * ? 1969)", "year is \"1969\""),
        ("cron(0/0 0 * * ? *)", "\"0/0\""),
        ("cron(1,,2 0 * * ? *)", "\"\""),
        ("cron(+1 0 * * ? *)", "\"+1\""),
        ("rate(1 hours)", "hour or day after 1"),
        ("rate(2 hour)", "hour or day after 1"),
        ("rate(0 hours)", "must be a whole number"),
        ("rate(1.5 hours)", "must be a whole number"),
        ("rate(12 weeks)", "must be a whole number"),
        ("rate(hours)", "must be a whole number"),
        ("rate(99999999999999999999 days)", "must be a whole number"),
        ("rate(36526 days)", "a century"),
    ];
    for (expression, wanted) in cases {
        let error = expression.parse::<Schedule>().unwrap_err();
        assert!(error.to_string().contains(wanted), "{expression}: {error}");
    }
    let long = format!("cron({}0 0 * * ? *)", "0,".repeat(200));
    assert!(long.parse::<Schedule>().is_err());
}

#[test]
fn the_shortest_interval_is_known() {
    let cases = [
        ("cron(0 * * * ? *)", 60),
        ("cron(30 12 * * ? *)", 60),
        ("cron(0,30 * * * ? *)", 30),
        ("cron(0,50 * * * ? *)", 10),
        ("cron(5/20 3 * * ? *)", 20),
        ("cron(* * * * ? *)", 1),
        ("rate(15 minutes)", 15),
        ("rate(1 hour)", 60),
        ("rate(2 days)", 2880),
    ];
    for (expression, minutes) in cases {
        let schedule: Schedule = expression.parse().unwrap();
        let expected = Duration::from_secs(minutes * 60);
        assert_eq!(schedule.interval_min(), expected, "{expression}");
    }
}

#[test]
fn a_rate_counts_from_its_anchor_also_before_it() {
    let schedule: Schedule = "rate(3 hours)".parse().unwrap();
    let anchor = at("2026-11-26T10:20:30Z");
    for (after, next) in [
        ("2026-11-25T00:00:00Z", "2026-11-26T13:20:30Z"),
        ("2026-11-26T10:20:30Z", "2026-11-26T13:20:30Z"),
        ("2026-11-26T13:20:29Z", "2026-11-26T13:20:30Z"),
        ("2026-11-26T13:20:30Z", "2026-11-26T16:20:30Z"),
        ("2026-11-27T01:00:00Z", "2026-11-27T01:20:30Z"),
    ] {
        assert_eq!(
            schedule.next_after(at(after), anchor),
            Some(at(next)),
            "{after}"
        );
    }
}

fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    let one = first..=last;
    prop_oneof![
        2 => Just("*".to_owned()),
        2 => one.clone().prop_map(|n| n.to_string()),
        1 => (one.clone(), one.clone()).prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (one.clone(), 1..=last).prop_map(|(a, n)| format!("{a}/{n}")),
        1 => (one.clone(), one).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

/// Whether `text` takes `n`, by the letter of the field's grammar and without a set.
fn takes(text: &str, n: u32, first: u32, last: u32) -> bool {
    text.split(',').any(|item| {
        let (range, step) = item
            .split_once('/')
            .map_or((item, 1), |(r, s)| (r, s.parse().unwrap()));
        let (from, to) = match range.split_once('-') {
            Some((a, b)) => (a.parse().unwrap(), b.parse().unwrap()),
            None if range == "*" => (first, last),
            None if item.contains('/') => (range.parse().unwrap(), last),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        let within = if from <= to {
            from <= n && n <= to
        } else {
            n >= from || n <= to
        };
        let span = last - first + 1;
        within && ((n + span - from) % span).is_multiple_of(step)
    })
}

proptest! {
    /// Between two starts no minute fits, and each start fits: found minute by minute.
    #[test]
    fn the_next_start_is_the_first_minute_that_fits(
        minutes in field(0, 59), hours in field(0, 23), month in field(1, 12), of_week in field(1, 7),
        second in 1_700_000_000_i64..2_000_000_000,
    ) {
        let expression = format!("cron({minutes} {hours} ? {month} {of_week} *)");
        let schedule: Schedule = expression.parse().unwrap();
        let after = Timestamp::from_second(second).unwrap();
        let found = schedule.next_after(after, after).unwrap();
        let mut minute = (second / 60 + 1) * 60;
        for _ in 0..3 * 24 * 60 {
            let now = Timestamp::from_second(minute).unwrap();
            let civil = now.to_zoned(jiff::tz::TimeZone::UTC).datetime();
            let number = |n: i8| u32::try_from(n).unwrap();
            let fits = takes(&minutes, number(civil.minute()), 0, 59)
                && takes(&hours, number(civil.hour()), 0, 23)
                && takes(&month, number(civil.month()), 1, 12)
                && takes(&of_week, number(civil.weekday().to_sunday_one_offset()), 1, 7);
            prop_assert_eq!(fits, found == now, "{} at {}, found {}", expression, now, found);
            if fits {
                break;
            }
            minute += 60;
        }
        prop_assert!(found > after);
    }

    #[test]
    fn no_text_does_harm(text in "(cron|rate)?\\(?[-0-9*?/#,LW A-Z]{0,40}\\)?") {
        if let Ok(schedule) = text.parse::<Schedule>() {
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            if let Some(next) = schedule.next_after(now, now) {
                prop_assert!(next > now);
            }
        }
    }
}
