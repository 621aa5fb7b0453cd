//! Against a model that looks at every minute and at every entry.

use jiff::Span;
use proptest::prelude::*;

use super::*;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
];
/// Minutes in which the model looks for a change: eight days.
const AHEAD: usize = 8 * 24 * 60;

#[derive(Debug, Clone)]
struct Entry {
    first: usize,
    days: usize,
    from: i64,
    to: i64,
    limit: i64,
}

impl Entry {
    fn text(&self) -> String {
        let last = DAYS[(self.first + self.days - 1) % 7];
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let (from, to) = (clock(self.from), clock(self.to));
        format!("{}-{last} {from}-{to} {}", DAYS[self.first], self.limit)
    }

    fn begins_on(&self, day: usize) -> bool {
        (day + 7 - self.first) % 7 < self.days
    }

    /// On `day` at `minute`, as the clocks show them.
    fn holds(&self, day: usize, minute: i64) -> bool {
        if self.from < self.to {
            return self.begins_on(day) && (self.from..self.to).contains(&minute);
        }
        let begun_today = self.begins_on(day) && minute >= self.from;
        begun_today || (self.begins_on((day + 6) % 7) && minute < self.to)
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        0..7_usize,
        1..=7_usize,
        0..24 * 60_i64,
        0..=24 * 60_i64,
        1..4_i64,
    )
        .prop_map(|(first, days, from, to, limit)| Entry {
            first,
            days,
            from,
            to: if to == from { to + 1 } else { to },
            limit,
        })
}

fn slow(entries: &[Entry], zone: &TimeZone, at: Timestamp) -> i64 {
    let local = at.to_zoned(zone.clone());
    let day = local.weekday().to_monday_zero_offset();
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    let day = usize::try_from(day).unwrap();
    let mut holding = entries.iter().filter(|entry| entry.holds(day, minute));
    let limit = holding.next().map_or(999, |entry| entry.limit);
    assert!(holding.next().is_none(), "two entries hold at {at}");
    limit
}

/// A moment somewhere, or close to a change of the clocks.
fn moment(zone: &TimeZone, somewhere: i64, is_close: bool, before: i64) -> Timestamp {
    let somewhere = Timestamp::from_second(somewhere).unwrap();
    match zone.following(somewhere).next() {
        Some(change) if is_close => {
            let span = Span::new().try_seconds(before).unwrap();
            change.timestamp().checked_sub(span).unwrap()
        }
        _ => somewhere,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_limit_and_its_next_change_are_those_of_the_minutes(
        entries in proptest::collection::vec(entry(), 1..5),
        zone in proptest::sample::select(ZONES),
        // From 2005 to 2035.
        somewhere in 1_104_537_600..2_051_222_400_i64,
        is_close in any::<bool>(),
        before in -7200..172_800_i64,
    ) {
        let mut kept: Vec<Entry> = Vec::new();
        let text = |kept: &[Entry]| {
            let entries: Vec<String> = kept.iter().map(Entry::text).collect();
            format!("{zone} {}", entries.join(" / "))
        };
        // Those that overlap are refused: they are left out.
        for entry in entries {
            kept.push(entry);
            if text(&kept).parse::<BandwidthTimetable>().is_err() {
                kept.pop();
            }
        }
        prop_assume!(!kept.is_empty());
        let timetable = timetable(&text(&kept));
        let zone = timetable.zone.clone();
        let now = moment(&zone, somewhere, is_close, before);
        let (limit, next) = timetable.limit_at(rate(999), now);
        prop_assert_eq!(i64::from(limit), slow(&kept, &zone, now));
        let minute = now.as_second().div_euclid(60);
        let change = (1..).take(AHEAD).find_map(|ahead| {
            let at = Timestamp::from_second((minute + ahead) * 60).unwrap();
            (slow(&kept, &zone, at) != i64::from(limit)).then_some(at)
        });
        match change {
            Some(_) => prop_assert_eq!(next, change),
            None => prop_assert!(next.is_none_or(|next| next.as_second() >= (minute + 11_520) * 60)),
        }
    }
}
