//! Time as S3 writes it.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// A second, which is how finely `Last-Modified` tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Second(i64);

impl Second {
    pub(crate) fn now() -> Self {
        Self(Timestamp::now().as_second())
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or_default()
    }

    /// For headers.
    pub(crate) fn http(self) -> String {
        // Only years beyond 9999 cannot be written.
        DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&self.timestamp())
            .unwrap_or_default()
    }

    /// For documents.
    pub(crate) fn xml(self) -> String {
        format!("{:.3}", self.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_written_as_headers_and_documents_want_it() {
        let second = Second(1_767_225_599);
        assert_eq!(second.http(), "Wed, 31 Dec 2025 23:59:59 GMT");
        assert_eq!(second.xml(), "2025-12-31T23:59:59.000Z");
    }
}
