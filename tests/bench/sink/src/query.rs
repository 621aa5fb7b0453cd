//! What a request's target names.

use percent_encoding::percent_decode_str;

/// A path-style target: bucket, key and parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Empty for the service itself.
    pub(crate) bucket: String,
    /// Empty for the bucket itself.
    pub(crate) key: String,
    parameters: Vec<(String, String)>,
}

impl Target {
    pub(crate) fn of(uri: &http::Uri) -> Self {
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let parameters = uri
            .query()
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(&value.replace('+', " ")))
            })
            .collect();
        Self {
            bucket: decode(bucket),
            key: decode(key),
            parameters,
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_decoded_once() {
        let uri = "/bucket/a%2Bb%2520/c?prefix=x%20y+z&uploads"
            .parse()
            .unwrap();
        let target = Target::of(&uri);
        assert_eq!(target.bucket, "bucket");
        assert_eq!(target.key, "a+b%20/c");
        assert_eq!(target.parameter("prefix"), Some("x y z"));
        assert_eq!(target.parameter("uploads"), Some(""));
        assert_eq!(target.parameter("marker"), None);
    }
}
