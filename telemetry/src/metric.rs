//! What a program can tell: names, kinds, units.

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rises until the process ends.
    Counter,
    /// A counter that goes on over restarts: since when it counts, the process does not know.
    Lasting,
    /// Goes up and down.
    Gauge,
    /// Counts durations in buckets.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter | Self::Lasting => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric; made by [`metrics`](crate::metrics).
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// By the conventions of Prometheus: program, thing, unit, and `total` for counters.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The unit for people: `bytes`, `seconds`, `items`.
    pub unit: &'static str,
    /// Names of labels. What values they take is bounded.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Metric {
    /// Its row of the table in `docs/metrics.md`.
    #[must_use]
    pub fn row(&self) -> String {
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!("`{}`", self.labels.join("`, `"))
        };
        format!(
            "| `{}` | {} | {} | {labels} | {} |",
            self.name,
            self.kind.as_str(),
            self.unit,
            self.help
        )
    }
}

/// Makes constants of metrics, and `CATALOGUE` with all of them.
///
/// ```
/// datasync_telemetry::metrics! {
///     /// Requests that were made.
///     REQUESTS: Counter, "requests", "datasync_example_requests_total", ["kind"];
/// }
/// assert_eq!(CATALOGUE, [&REQUESTS]);
/// assert_eq!(REQUESTS.help, "Requests that were made.");
/// ```
#[macro_export]
macro_rules! metrics {
    ($(
        $(#[doc = $help:literal])+
        $constant:ident: $kind:ident, $unit:literal, $name:literal, [$($label:literal),*];
    )+) => {
        $(
            $(#[doc = $help])+
            pub(crate) static $constant: $crate::Metric = $crate::Metric {
                name: $name,
                kind: $crate::Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: concat!($($help),+).trim_ascii(),
            };
        )+
        /// All of them.
        pub(crate) static CATALOGUE: &[&$crate::Metric] = &[$(&$constant),+];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_everything() {
        let metric = Metric {
            name: "x_seconds",
            kind: Kind::Histogram,
            unit: "seconds",
            labels: &["a", "b"],
            help: "How long.",
        };
        assert_eq!(
            metric.row(),
            "| `x_seconds` | histogram | seconds | `a`, `b` | How long. |"
        );
    }
}
