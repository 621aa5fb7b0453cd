//! From a page of metrics to OTLP's messages (metrics data model, version 1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::messages::{
    AggregationTemporality, AnyValue, ExportMetricsServiceRequest, Gauge, Histogram,
    HistogramDataPoint, InstrumentationScope, KeyValue, Metric, NumberDataPoint,
    Resource as ResourceMessage, ResourceMetrics, ScopeMetrics, Sum, any_value, metric,
    number_data_point,
};
use crate::histogram::Told;
use crate::metric::{Kind, Metric as Described};
use crate::page::{Number, Page, Reading, Sample, Value};

/// Who tells: the semantic conventions' attributes `service.*`.
#[derive(Debug, Clone)]
pub struct Resource {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`: the same at each start, and of this one alone.
    pub instance_id: String,
    /// When counters began at 0.
    pub started: SystemTime,
}

/// Everything that has a value, as of `now`.
pub(super) fn request(
    page: &Page,
    resource: &Resource,
    now: SystemTime,
) -> ExportMetricsServiceRequest {
    let (started, now) = (nanoseconds(resource.started), nanoseconds(now));
    let told = page.families.iter().filter(|(_, s)| !s.is_empty());
    let metrics = told.map(|(metric, samples)| converted(metric, samples, started, now));
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let attributes = [
        ("service.name", resource.name),
        ("service.version", resource.version),
        ("service.instance.id", &resource.instance_id),
    ];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(ResourceMessage {
                attributes: attributes.map(|(key, text)| attribute(key, text)).into(),
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics: metrics.collect(),
            }],
        }],
    }
}

fn converted(metric: &Described, samples: &[Sample], started: u64, now: u64) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = |started| {
        let all = samples.iter();
        all.filter_map(|sample| number(metric, sample, started, now))
            .collect()
    };
    let sum = |started| {
        metric::Data::Sum(Sum {
            data_points: numbers(started),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        })
    };
    let data = match metric.kind {
        Kind::Counter => sum(started),
        Kind::Lasting => sum(0),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: numbers(0),
        }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: samples
                .iter()
                .filter_map(|sample| buckets(metric, sample, started, now))
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: unit(metric.unit),
        data: Some(data),
    }
}

fn number(metric: &Described, sample: &Sample, started: u64, now: u64) -> Option<NumberDataPoint> {
    let Reading::One(Value(number)) = sample.reading else {
        return None;
    };
    let value = match number {
        Number::Whole(number) => {
            number_data_point::Value::AsInt(i64::try_from(number).unwrap_or(i64::MAX))
        }
        Number::Any(number) => number_data_point::Value::AsDouble(number),
    };
    Some(NumberDataPoint {
        start_time_unix_nano: started,
        time_unix_nano: now,
        value: Some(value),
        attributes: attributes(metric, sample),
    })
}

/// OTLP's buckets are counted each alone, and the last bound, which is no bound, is not told.
fn buckets(
    metric: &Described,
    sample: &Sample,
    started: u64,
    now: u64,
) -> Option<HistogramDataPoint> {
    let Reading::Buckets(Told {
        cumulative,
        count,
        sum_seconds,
    }) = &sample.reading
    else {
        return None;
    };
    let before = std::iter::once(0).chain(cumulative.iter().map(|(_, count)| *count));
    let alone = cumulative.iter().zip(before);
    Some(HistogramDataPoint {
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: *count,
        sum: Some(*sum_seconds),
        bucket_counts: alone
            .map(|((_, count), before)| count.saturating_sub(before))
            .collect(),
        explicit_bounds: cumulative
            .iter()
            .map(|(bound, _)| *bound)
            .filter(|bound| bound.is_finite())
            .collect(),
        attributes: attributes(metric, sample),
    })
}

fn attributes(metric: &Described, sample: &Sample) -> Vec<KeyValue> {
    let labels = metric.labels.iter().zip(&sample.labels);
    labels.map(|(name, text)| attribute(name, text)).collect()
}

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text.to_owned())),
        }),
    }
}

/// In UCUM, as the semantic conventions ask: things that are counted are annotations.
fn unit(words: &str) -> String {
    match words {
        "" => "1".to_owned(),
        "seconds" => "s".to_owned(),
        "bytes" => "By".to_owned(),
        "bytes per second" => "By/s".to_owned(),
        things => format!("{{{things}}}"),
    }
}

/// Since 1970; the number lasts until 2554.
fn nanoseconds(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
