//! Where metrics are pushed to, and how often.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::Uri;

const INTERVAL_SECONDS: std::ops::RangeInclusive<u64> = 5..=3600;
const HEADER_FILE_BYTES_MAX: u64 = 16 * 1024;
const HEADERS_MAX: usize = 16;

/// Everything a push needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The collector.
    pub endpoint: CollectorUrl,
    /// From one push to the next; see [`interval`].
    pub interval: Duration,
    /// Sent with each push.
    pub headers: Headers,
    /// Certificates that the collector's may be signed by besides the system's, in PEM.
    pub ca_bundle: Option<String>,
}

/// `http://HOST:PORT` or `https://HOST:PORT`, nothing else; so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    /// Reads it.
    ///
    /// # Errors
    /// In words, which do not repeat the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "must be http://HOST:PORT or https://HOST:PORT of a collector (OTLP over gRPC)";
        let uri: Uri = text.parse().map_err(|_| form.to_owned())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|a| !a.as_str().contains('@'));
        match authority {
            Some(a) if is_http && plain && !a.host().is_empty() && a.port().is_some() => {
                Ok(Self(uri))
            }
            _ => Err(form.to_owned()),
        }
    }

    /// Whether the collector shows a certificate.
    pub(super) fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    pub(super) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names and values, such as a token. Shown without the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(n, _)| n))
            .finish()
    }
}

impl Headers {
    pub(super) fn add_to(&self, metadata: &mut MetadataMap) {
        for (name, value) in &self.0 {
            metadata.insert(name.clone(), value.clone());
        }
    }
}

/// Seconds from one push to the next, 5 to 3600.
///
/// # Errors
/// In words.
pub fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| INTERVAL_SECONDS.contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let (least, most) = (INTERVAL_SECONDS.start(), INTERVAL_SECONDS.end());
        format!("must be a number of seconds from {least} to {most}")
    })
}

/// Reads `NAME: VALUE` lines from a file that is nobody else's.
///
/// # Errors
/// In words, without any value: a file that others may read, more than 16 KiB or 16 headers, what is no
/// header of gRPC.
pub fn read_headers(path: &str) -> Result<Headers, String> {
    let failed = |error: std::io::Error| format!("cannot read {path}: {error}");
    let facts = std::fs::metadata(path).map_err(failed)?;
    if facts.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{path} can be read by others: chmod 600, with the program's user as its owner"
        ));
    }
    if facts.len() > HEADER_FILE_BYTES_MAX {
        return Err(format!(
            "{path} is larger than {HEADER_FILE_BYTES_MAX} bytes"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let headers: Result<Vec<_>, String> = lines
        .map(|(number, line)| {
            header(line).ok_or_else(|| format!("{path}, line {}: not NAME: VALUE", number + 1))
        })
        .collect();
    let headers = headers?;
    if headers.len() > HEADERS_MAX {
        return Err(format!("{path} has more than {HEADERS_MAX} headers"));
    }
    Ok(Headers(headers))
}

/// gRPC's own headers are not to be set, and those that end in `-bin` are not text.
fn header(line: &str) -> Option<(MetadataKey<Ascii>, MetadataValue<Ascii>)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim().to_ascii_lowercase();
    let is_reserved = name.starts_with("grpc-") || matches!(&*name, "content-type" | "te");
    if is_reserved {
        return None;
    }
    let mut value: MetadataValue<Ascii> = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_collector_is_a_scheme_a_host_and_a_port() {
        for good in [
            "http://127.0.0.1:4317",
            "https://collector.example:4317/",
            "http://[::1]:4317",
        ] {
            CollectorUrl::parse(good).unwrap();
        }
        for bad in [
            "",
            "collector:4317",
            "http://collector",
            "ftp://collector:1",
            "http://u:canary@collector:4317",
            "http://collector:4317/v1/metrics",
            "http://collector:4317/?x=canary",
        ] {
            let error = CollectorUrl::parse(bad).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        assert!(CollectorUrl::parse("https://c:1").unwrap().is_tls());
    }

    #[test]
    fn the_interval_has_bounds() {
        assert_eq!(interval("5"), Ok(Duration::from_secs(5)));
        for bad in ["", "4", "3601", "1.5", "-5"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_come_from_a_file_of_ones_own() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("headers");
        let name = path.to_str().unwrap();
        let write = |text: &str| fs::write(&path, text).unwrap();
        let permit = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        write("Authorization: Bearer a:canary\n\nx-scope: 7\n");
        permit(0o640);
        assert!(read_headers(name).unwrap_err().contains("chmod 600"));
        permit(0o600);
        let headers = read_headers(name).unwrap();
        let mut metadata = MetadataMap::new();
        headers.add_to(&mut metadata);
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer a:canary");
        assert_eq!(metadata.get("x-scope").unwrap(), "7");
        assert!(!format!("{headers:?}").contains("canary"), "{headers:?}");
        for bad in ["canary", "grpc-timeout: 1", "te: x", "a b: c", "x-bin: a"] {
            write(&format!("x: y\n{bad}\n"));
            let error = read_headers(name).unwrap_err();
            assert!(error.ends_with("line 2: not NAME: VALUE"), "{error}");
        }
        write(&"x: y\n".repeat(17));
        assert!(read_headers(name).unwrap_err().contains("more than 16"));
        write(&"x".repeat(16 * 1024 + 1));
        assert!(read_headers(name).unwrap_err().contains("larger"));
        assert!(read_headers("/there/is/no/such").is_err());
    }
}
