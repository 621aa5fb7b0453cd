//! The values of metrics at one moment, in no format yet.

use crate::histogram::{Histogram, Told};
use crate::metric::Metric;

/// A value: whole numbers stay such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value(pub(crate) Number);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
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

/// One value, with the values of its metric's labels in their order.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<String>,
    pub(crate) reading: Reading,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    One(Value),
    Buckets(Told),
}

/// The values of a catalogue's metrics at one moment. All metrics are named, also those that have no
/// value now.
#[derive(Debug)]
pub struct Page {
    /// In the catalogue's order.
    pub(crate) families: Vec<(&'static Metric, Vec<Sample>)>,
}

impl Page {
    /// No values yet.
    #[must_use]
    pub fn new(catalogue: &[&'static Metric]) -> Self {
        Self {
            families: catalogue
                .iter()
                .map(|metric| (*metric, Vec::new()))
                .collect(),
        }
    }

    /// Adds a value; `labels` are the values of the metric's labels, in their order.
    pub fn add(&mut self, metric: &'static Metric, labels: &[&str], value: impl Into<Value>) {
        self.push(metric, labels, Reading::One(value.into()));
    }

    /// Adds all buckets of a histogram.
    pub fn add_histogram(
        &mut self,
        metric: &'static Metric,
        labels: &[&str],
        histogram: &Histogram,
    ) {
        self.push(metric, labels, Reading::Buckets(histogram.look()));
    }

    fn push(&mut self, metric: &'static Metric, labels: &[&str], reading: Reading) {
        debug_assert_eq!(
            metric.labels.len(),
            labels.len(),
            "one value for each label"
        );
        let family = self
            .families
            .iter_mut()
            .find(|(known, _)| known.name == metric.name);
        debug_assert!(family.is_some(), "{} is in no catalogue", metric.name);
        let Some((_, samples)) = family else { return };
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        samples.push(Sample { labels, reading });
    }
}
