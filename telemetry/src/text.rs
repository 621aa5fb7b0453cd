//! A page of metrics in the text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use crate::metric::Metric;
use crate::page::{Number, Page, Reading, Sample, Value};

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Number::Whole(number) => write!(f, "{number}"),
            Number::Any(number) if number == f64::INFINITY => f.write_str("+Inf"),
            Number::Any(number) if number == f64::NEG_INFINITY => f.write_str("-Inf"),
            Number::Any(number) => write!(f, "{number}"),
        }
    }
}

impl Page {
    /// The text, in the catalogue's order.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (metric, samples) in &self.families {
            // Writing to a string does not fail.
            let (name, kind) = (metric.name, metric.kind.as_str());
            write!(
                text,
                "# HELP {name} {}\n# TYPE {name} {kind}\n",
                metric.help
            )
            .ok();
            for sample in samples {
                push_sample(&mut text, metric, sample);
            }
        }
        text
    }
}

fn push_sample(text: &mut String, metric: &Metric, sample: &Sample) {
    let names = metric.labels.iter().copied();
    let labels: Vec<(&str, &str)> = names
        .zip(sample.labels.iter().map(String::as_str))
        .collect();
    let told = match &sample.reading {
        Reading::One(value) => return push_line(text, metric, "", &labels, &value.to_string()),
        Reading::Buckets(told) => told,
    };
    for (bound, count) in &told.cumulative {
        let bound = Value::from(*bound).to_string();
        let mut with_bound = labels.clone();
        with_bound.push(("le", &bound));
        push_line(text, metric, "_bucket", &with_bound, &count.to_string());
    }
    let sum = Value::from(told.sum_seconds).to_string();
    push_line(text, metric, "_sum", &labels, &sum);
    push_line(text, metric, "_count", &labels, &told.count.to_string());
}

fn push_line(
    text: &mut String,
    metric: &Metric,
    suffix: &str,
    labels: &[(&str, &str)],
    value: &str,
) {
    text.push_str(metric.name);
    text.push_str(suffix);
    for (number, (name, label)) in labels.iter().enumerate() {
        text.push(if number == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        push_escaped(text, label);
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
    text.push(' ');
    text.push_str(value);
    text.push('\n');
}

fn push_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::histogram::Histogram;

    crate::metrics! {
        /// Things that were done.
        DONE: Counter, "things", "x_done_total", ["kind"];
        /// How full it is.
        FULL: Gauge, "share", "x_full_ratio", [];
        /// How long it takes.
        LONG: Histogram, "seconds", "x_long_seconds", ["way"];
        /// What nobody knows.
        UNKNOWN: Gauge, "", "x_unknown", [];
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut page = Page::new(CATALOGUE);
        page.add(&FULL, &[], 0.5);
        page.add(&DONE, &["a\"b\\c\nd"], u64::MAX);
        page.add(&DONE, &["e"], 0_u64);
        let histogram = Histogram::new(&[0.5, 1.0]);
        for milliseconds in [500, 501, 2000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        page.add_histogram(&LONG, &["in"], &histogram);
        let expected = r#"# HELP x_done_total Things that were done.
# TYPE x_done_total counter
x_done_total{kind="a\"b\\c\nd"} 18446744073709551615
x_done_total{kind="e"} 0
# HELP x_full_ratio How full it is.
# TYPE x_full_ratio gauge
x_full_ratio 0.5
# HELP x_long_seconds How long it takes.
# TYPE x_long_seconds histogram
x_long_seconds_bucket{way="in",le="0.5"} 1
x_long_seconds_bucket{way="in",le="1"} 2
x_long_seconds_bucket{way="in",le="+Inf"} 3
x_long_seconds_sum{way="in"} 3.001
x_long_seconds_count{way="in"} 3
# HELP x_unknown What nobody knows.
# TYPE x_unknown gauge
"#;
        assert_eq!(page.render(), expected);
        assert_eq!(UNKNOWN.unit, "");
    }
}
