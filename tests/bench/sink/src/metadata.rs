//! Headers that come back on HEAD as they were given, in one allocation: there are millions of objects.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// `name: value` lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata(Box<str>);

impl Metadata {
    /// Of a request that writes an object. Values that are not ASCII are left out, as by S3.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let kept = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-amz-meta-") || **name == CONTENT_TYPE);
        let lines: Vec<String> = kept
            .filter_map(|(name, value)| Some(format!("{name}: {}", value.to_str().ok()?)))
            .collect();
        Self(lines.join("\n").into())
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, String)> {
        let lines = self.0.lines();
        lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name, value.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_content_type_come_back_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-amz-meta-b", "1: 2"),
            ("host", "h"),
            ("content-type", "t"),
            ("x-amz-meta-empty", ""),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let metadata = Metadata::of(&headers);
        let mut kept: Vec<_> = metadata.headers().collect();
        kept.sort();
        assert_eq!(
            kept,
            [
                ("content-type", "t".to_owned()),
                ("x-amz-meta-b", "1: 2".to_owned()),
                ("x-amz-meta-empty", String::new()),
            ]
        );
    }
}
