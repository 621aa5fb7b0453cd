//! What is wrong is said with the entry and what is allowed.

use proptest::prelude::*;

use super::*;

const REFUSED: &[(&str, &[&str])] = &[
    ("", &["\"\"", "no time zone", "Europe/Berlin Mon-Fri"]),
    (
        "Mars/Olympus Mon 1MiB",
        &["\"Mars/Olympus\"", "no time zone"],
    ),
    ("Etc/Unknown Mon 1MiB", &["no time zone"]),
    ("Mon 08:00-18:00 1MiB", &["\"Mon\"", "no time zone"]),
    ("UTC", &["entry 1 \"\"", "days, times and a limit"]),
    ("UTC Mon 1 /", &["entry 2 \"\"", "days, times and a limit"]),
    (
        "UTC Mon 1 // Tue 2",
        &["entry 1 \"Mon 1 // Tue 2\"", "a / with blanks"],
    ),
    (
        "UTC Mon 08:00-10:00 1 MiB",
        &["entry 1", "days, times and a limit"],
    ),
    (
        "UTC Mon 1 / Mo-Fr 2",
        &["entry 2 \"Mo-Fr 2\"", "days are \"Mo-Fr\"", "Mon-Thu+Sat"],
    ),
    (
        "UTC Mon-Wed+Tue 1",
        &["days are \"Mon-Wed+Tue\"", "each day once"],
    ),
    ("UTC Mon++Tue 1", &["days are"]),
    ("UTC 08:00-18:00 Mon 1", &["days are \"08:00-18:00\""]),
    ("UTC Mon 8-18 1", &["times are \"8-18\"", "08:00-18:00"]),
    ("UTC 08:00 1", &["times are \"08:00\""]),
    ("UTC 08:60-18:00 1", &["times are"]),
    ("UTC 08:00-24:01 1", &["times are"]),
    ("UTC 24:00-06:00 1", &["times are"]),
    ("UTC 08:00-08:00 1", &["times are", "00:00-24:00"]),
    ("UTC +8:00-18:00 1", &["days are"]),
    (
        "UTC 08:00-18:00 fast",
        &["entry 1", "limit is \"fast\"", "10MiB", "unlimited"],
    ),
    ("UTC 0", &["limit is \"0\"", "more than 0"]),
    ("UTC -1", &["limit is \"-1\"", "unlimited"]),
    ("UTC 1.5MiB", &["limit is"]),
    ("UTC 9223372036854775808", &["limit is"]),
    (
        "UTC Mon-Fri 08:00-18:00 1 / 12:00-13:00 2",
        &[
            "entry 1 \"Mon-Fri 08:00-18:00 1\" and entry 2 \"12:00-13:00 2\"",
            "Mon at 12:00",
        ],
    ),
    (
        "UTC Mon 00:00-08:00 1 / Sun 20:00-08:00 2",
        &["entry 1", "entry 2", "overlap on Mon at 00:00"],
    ),
    (
        "UTC 22:00-06:00 1 / Wed 05:59-06:01 2",
        &["overlap on Wed at 05:59"],
    ),
];

#[test]
fn each_error_names_the_entry_and_what_is_allowed() {
    for (text, words) in REFUSED {
        let error = match text.parse::<BandwidthTimetable>() {
            Err(error) => error.to_string(),
            Ok(timetable) => panic!("{text}: {timetable:?}"),
        };
        for word in *words {
            assert!(error.contains(word), "{text}: {error}: {word}");
        }
    }
    let long = format!("UTC {}Mon 1", " ".repeat(250));
    let error = long.parse::<BandwidthTimetable>().unwrap_err();
    assert!(error.to_string().contains("256 characters"), "{error}");
}

#[test]
fn entries_may_touch() {
    timetable("UTC Mon 08:00-12:00 1 / Mon 12:00-24:00 2 / Tue 3 / Sun 23:00-08:00 4");
}

proptest! {
    #[test]
    fn no_text_does_harm(text in "(UTC|Etc/GMT\\+5|x)? ?([A-Za-z0-9+=._:/@ -]|Mon|[0-9]{2}:[0-9]{2}|-| / ){0,40}") {
        let read = text.parse::<BandwidthTimetable>();
        prop_assert!(read.is_err() || String::from(read.unwrap()) == text);
    }
}
