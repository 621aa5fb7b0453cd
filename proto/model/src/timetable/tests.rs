mod examples;
mod minutes;
mod refused;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn timetable(text: &str) -> BandwidthTimetable {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn rate(number: i64) -> BytesPerSecond {
    number.try_into().unwrap()
}

#[test]
fn a_timetable_is_kept_as_its_text() {
    let text = "Europe/Berlin  mon-fri 08:00-18:00 10mib / Sat+Sun Unlimited";
    let json = serde_json::to_string(&timetable(text)).unwrap();
    assert_eq!(json, format!("{text:?}"));
    assert_eq!(
        serde_json::from_str::<BandwidthTimetable>(&json).unwrap(),
        timetable(text)
    );
    assert!(serde_json::from_str::<BandwidthTimetable>("\"Europe/Berlin\"").is_err());
}
