use super::*;
use crate::histogram::Histogram as Counted;

crate::metrics! {
    /// Things that were done.
    DONE: Counter, "things", "x_done_total", ["kind"];
    /// Things that were ever done.
    EVER: Lasting, "things", "x_ever_total", [];
    /// How full it is.
    FULL: Gauge, "", "x_full_ratio", [];
    /// How fast it is.
    FAST: Gauge, "bytes per second", "x_fast", [];
    /// How long it takes.
    LONG: Histogram, "seconds", "x_long_seconds", ["way"];
    /// What nobody knows.
    UNKNOWN: Gauge, "bytes", "x_unknown", [];
}

const STARTED: u64 = 1_000_000_000;
const NOW: u64 = 60_000_000_000;

fn sent(page: &Page) -> ResourceMetrics {
    let resource = Resource {
        name: "x",
        version: "1.2.3",
        instance_id: "abc".to_owned(),
        started: UNIX_EPOCH + Duration::from_secs(1),
    };
    let mut request = request(page, &resource, UNIX_EPOCH + Duration::from_secs(60));
    request.resource_metrics.remove(0)
}

fn metrics(page: &Page) -> Vec<Metric> {
    sent(page).scope_metrics.remove(0).metrics
}

#[test]
fn who_tells_is_told() {
    let resource = sent(&Page::new(CATALOGUE)).resource.unwrap();
    let expected = [
        attribute("service.name", "x"),
        attribute("service.version", "1.2.3"),
        attribute("service.instance.id", "abc"),
    ];
    assert_eq!(resource.attributes, expected);
}

#[test]
fn what_has_no_value_is_left_out() {
    let mut page = Page::new(CATALOGUE);
    assert!(metrics(&page).is_empty());
    page.add(&FULL, &[], 0.5);
    let names = metrics(&page).into_iter().map(|metric| metric.name);
    assert_eq!(names.collect::<Vec<_>>(), ["x_full_ratio"]);
    assert_eq!(UNKNOWN.kind, Kind::Gauge);
}

#[test]
fn counters_are_cumulative_sums_since_the_start() {
    let mut page = Page::new(CATALOGUE);
    page.add(&DONE, &["a"], 7_u64);
    page.add(&DONE, &["b"], u64::MAX);
    page.add(&EVER, &[], 9_u64);
    let [done, ever] = <[Metric; 2]>::try_from(metrics(&page)).unwrap();
    assert_eq!(
        (&*done.name, &*done.description, &*done.unit),
        ("x_done_total", "Things that were done.", "{things}")
    );
    let point = |label: &[&str], number, started| NumberDataPoint {
        start_time_unix_nano: started,
        time_unix_nano: NOW,
        value: Some(number_data_point::Value::AsInt(number)),
        attributes: label.iter().map(|text| attribute("kind", text)).collect(),
    };
    let sum = |data_points| {
        Some(metric::Data::Sum(Sum {
            data_points,
            aggregation_temporality: 2,
            is_monotonic: true,
        }))
    };
    let both = vec![point(&["a"], 7, STARTED), point(&["b"], i64::MAX, STARTED)];
    assert_eq!(done.data, sum(both));
    // It counts since long before the process began: since when, nobody knows.
    assert_eq!(ever.data, sum(vec![point(&[], 9, 0)]));
}

#[test]
fn gauges_are_whole_numbers_or_any() {
    let mut page = Page::new(CATALOGUE);
    page.add(&FULL, &[], 0.5);
    page.add(&FAST, &[], 3_u64);
    let [full, fast] = <[Metric; 2]>::try_from(metrics(&page)).unwrap();
    assert_eq!((&*full.unit, &*fast.unit), ("1", "By/s"));
    let gauge = |value| {
        Some(metric::Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                start_time_unix_nano: 0,
                time_unix_nano: NOW,
                value: Some(value),
                attributes: Vec::new(),
            }],
        }))
    };
    assert_eq!(full.data, gauge(number_data_point::Value::AsDouble(0.5)));
    assert_eq!(fast.data, gauge(number_data_point::Value::AsInt(3)));
}

#[test]
fn buckets_of_a_histogram_count_alone() {
    let mut page = Page::new(CATALOGUE);
    let histogram = Counted::new(&[0.5, 1.0]);
    for milliseconds in [500, 501, 502, 2000] {
        histogram.observe(Duration::from_millis(milliseconds));
    }
    page.add_histogram(&LONG, &["in"], &histogram);
    let [long] = <[Metric; 1]>::try_from(metrics(&page)).unwrap();
    assert_eq!(long.unit, "s");
    let expected = Histogram {
        data_points: vec![HistogramDataPoint {
            start_time_unix_nano: STARTED,
            time_unix_nano: NOW,
            count: 4,
            sum: Some(3.503),
            bucket_counts: vec![1, 2, 1],
            explicit_bounds: vec![0.5, 1.0],
            attributes: vec![attribute("way", "in")],
        }],
        aggregation_temporality: 2,
    };
    assert_eq!(long.data, Some(metric::Data::Histogram(expected)));
}
