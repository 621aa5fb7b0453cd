//! A page of metrics in the text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use crate::histogram::Histogram;
use crate::metric::Metric;

/// A value: whole numbers are written as such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value(Number);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(u64),
    Any(f64),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(Number::Whole(number))
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self(Number::Whole(holds.into()))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self(Number::Whole(u64::try_from(number).unwrap_or(u64::MAX)))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self(Number::Any(number))
    }
}

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

/// The values of a catalogue's metrics at one moment. All metrics are named, also those that have no
/// value now.
#[derive(Debug)]
pub struct Page {
    families: Vec<(&'static Metric, String)>,
}

impl Page {
    /// No values yet.
    #[must_use]
    pub fn new(catalogue: &[&'static Metric]) -> Self {
        Self {
            families: catalogue
                .iter()
                .map(|metric| (*metric, String::new()))
                .collect(),
        }
    }

    /// Adds a value; `labels` are the values of the metric's labels, in their order.
    pub fn add(&mut self, metric: &'static Metric, labels: &[&str], value: impl Into<Value>) {
        let value = value.into();
        self.line(
            metric,
            "",
            &pairs(metric.labels, labels),
            &value.to_string(),
        );
    }

    /// Adds all buckets of a histogram.
    pub fn add_histogram(
        &mut self,
        metric: &'static Metric,
        labels: &[&str],
        histogram: &Histogram,
    ) {
        let names = pairs(metric.labels, labels);
        let told = histogram.look();
        for (bound, count) in &told.cumulative {
            let mut with_bound = names.clone();
            with_bound.push(("le", Value::from(*bound).to_string()));
            self.line(metric, "_bucket", &with_bound, &count.to_string());
        }
        let sum = Value::from(told.sum_seconds).to_string();
        self.line(metric, "_sum", &names, &sum);
        self.line(metric, "_count", &names, &told.count.to_string());
    }

    fn line(
        &mut self,
        metric: &'static Metric,
        suffix: &str,
        labels: &[(&'static str, String)],
        value: &str,
    ) {
        let family = self
            .families
            .iter_mut()
            .find(|(known, _)| known.name == metric.name);
        debug_assert!(family.is_some(), "{} is in no catalogue", metric.name);
        let Some((_, lines)) = family else { return };
        lines.push_str(metric.name);
        lines.push_str(suffix);
        for (number, (name, text)) in labels.iter().enumerate() {
            lines.push(if number == 0 { '{' } else { ',' });
            lines.push_str(name);
            lines.push_str("=\"");
            push_escaped(lines, text);
            lines.push('"');
        }
        if !labels.is_empty() {
            lines.push('}');
        }
        lines.push(' ');
        lines.push_str(value);
        lines.push('\n');
    }

    /// The text, in the catalogue's order.
    #[must_use]
    pub fn render(self) -> String {
        let mut text = String::new();
        for (metric, lines) in self.families {
            // Writing to a string does not fail.
            let (name, kind) = (metric.name, metric.kind.as_str());
            write!(
                text,
                "# HELP {name} {}\n# TYPE {name} {kind}\n{lines}",
                metric.help
            )
            .ok();
        }
        text
    }
}

fn pairs(names: &'static [&'static str], values: &[&str]) -> Vec<(&'static str, String)> {
    debug_assert_eq!(names.len(), values.len(), "one value for each label");
    let values = values.iter().map(|value| (*value).to_owned());
    names.iter().copied().zip(values).collect()
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
