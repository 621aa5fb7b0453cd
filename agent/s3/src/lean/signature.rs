//! Signature Version 4 ("Authenticating Requests: Using the
//! Authorization Header", the S3 API reference). A day's key is derived once, not for each request.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_types::date_time::{DateTime, Format};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";
/// In place of the digest of a body that is not signed.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The digest of no body.
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Names in lower case, and values.
pub(super) type HeaderList = Vec<(Cow<'static, str>, String)>;

/// What is signed besides the headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) method: &'a str,
    /// As it is sent: without the scheme's own port.
    pub(super) host: &'a str,
    /// As it is sent, percent-encoded once.
    pub(super) path: &'a str,
    /// As it is sent, with values percent-encoded, in the order of the names.
    pub(super) query: &'a str,
    /// Digest of the body, or [`UNSIGNED`].
    pub(super) payload: &'static str,
}

/// Signs for one region. `Debug` shows no secrets.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    day: Mutex<Option<Arc<Day>>>,
}

/// What the requests of a day have in common.
struct Day {
    credentials: Credentials,
    /// As `20261126`.
    date: String,
    /// Date, region and service.
    scope: String,
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Day")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// No key can be made: HMAC takes keys of any length, so that this does not happen.
pub(super) type SigningError = Box<dyn std::error::Error + Send + Sync>;

impl Signer {
    pub(super) fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            day: Mutex::default(),
        }
    }

    /// Adds to `headers` what makes the request one of `credentials` at `now`. All of them are signed,
    /// and sorted by name.
    pub(super) fn sign(
        &self,
        target: Target<'_>,
        headers: &mut HeaderList,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), SigningError> {
        let time = stamp(now)?;
        let day = self.day(credentials, &time[..8])?;
        headers.push(("x-amz-content-sha256".into(), target.payload.to_owned()));
        headers.push(("x-amz-date".into(), time.clone()));
        if let Some(token) = credentials.session_token() {
            headers.push(("x-amz-security-token".into(), token.to_owned()));
        }
        headers.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let (request, names) = canonical(target, headers);
        let digest = hex::encode(Sha256::digest(request));
        let text = format!("{ALGORITHM}\n{time}\n{}\n{digest}", day.scope);
        let signature = hex::encode(signed(day.key.clone(), &text));
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            credentials.access_key_id(),
            day.scope,
        );
        headers.push(("authorization".into(), authorization));
        Ok(())
    }

    fn day(&self, credentials: &Credentials, date: &str) -> Result<Arc<Day>, SigningError> {
        let mut known = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(day) = known.as_ref()
            && day.date == date
            && day.credentials == *credentials
        {
            return Ok(Arc::clone(day));
        }
        let day = Arc::new(Day::begin(credentials, date, &self.region)?);
        *known = Some(Arc::clone(&day));
        Ok(day)
    }
}

impl Day {
    fn begin(credentials: &Credentials, date: &str, region: &str) -> Result<Self, SigningError> {
        let secret = format!("AWS4{}", credentials.secret_access_key());
        let mut key = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        for text in [date, region, SERVICE, "aws4_request"] {
            key = Hmac::new_from_slice(&signed(key, text))?;
        }
        Ok(Self {
            credentials: credentials.clone(),
            date: date.to_owned(),
            scope: format!("{date}/{region}/{SERVICE}/aws4_request"),
            key,
        })
    }
}

fn signed(mut key: Hmac<Sha256>, text: &str) -> [u8; 32] {
    key.update(text.as_bytes());
    key.finalize().into_bytes().into()
}

/// As `20261126T083717Z`.
fn stamp(now: SystemTime) -> Result<String, SigningError> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let time = DateTime::from_secs(i64::try_from(seconds)?).fmt(Format::DateTime)?;
    Ok(time.replace(['-', ':'], ""))
}

/// The canonical request, and the names of the signed headers.
fn canonical(target: Target<'_>, headers: &HeaderList) -> (String, String) {
    let mut request = String::with_capacity(1024);
    let mut names = String::with_capacity(256);
    let host = target.host;
    for piece in [target.method, "\n", target.path, "\n", target.query, "\n"] {
        request.push_str(piece);
    }
    let host_at = headers.partition_point(|(name, _)| name.as_ref() < "host");
    let before = headers[..host_at].iter().map(pair);
    let after = headers[host_at..].iter().map(pair);
    for (name, value) in before.chain([("host", host)]).chain(after) {
        request.push_str(name);
        request.push(':');
        push_trimmed(&mut request, value);
        request.push('\n');
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
    }
    for piece in ["\n", &names, "\n", target.payload] {
        request.push_str(piece);
    }
    (request, names)
}

fn pair<'a>((name, value): &'a (Cow<'static, str>, String)) -> (&'a str, &'a str) {
    (name, value)
}

/// Without spaces around it, and with one where there were several.
fn push_trimmed(text: &mut String, value: &str) {
    for (number, word) in value
        .trim_matches(' ')
        .split(' ')
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if number > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sigv4::http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use proptest::prelude::*;

    use super::*;

    /// What the SDK's own crate adds, sorted by name.
    fn of_the_sdk(
        target: Target<'_>,
        headers: &HeaderList,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Vec<(String, String)> {
        let identity = credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-north-1")
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let Target {
            host, path, query, ..
        } = target;
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = format!("http://{host}{path}{mark}{query}");
        let pairs = headers.iter().map(pair);
        let body = match target.payload {
            UNSIGNED => SignableBody::UnsignedPayload,
            _ => SignableBody::Bytes(&[]),
        };
        let request = SignableRequest::new(target.method, &uri, pairs, body).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let (added, _) = instructions.into_parts();
        let mut added: Vec<_> = added
            .into_iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()))
            .collect();
        added.sort();
        added
    }

    fn added(signed: &HeaderList, headers: &HeaderList) -> Vec<(String, String)> {
        assert!(headers.iter().all(|header| signed.contains(header)));
        let mut added: Vec<_> = signed
            .iter()
            .filter(|header| !headers.contains(header))
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        added.sort();
        added
    }

    fn credentials(secret: &str, token: Option<String>) -> Credentials {
        Credentials::new("AKIDEXAMPLE", secret, token, None, "test")
    }

    const PUT: Target<'static> = Target {
        method: "PUT",
        host: "store.example",
        path: "/b/k",
        query: "",
        payload: UNSIGNED,
    };

    const NAMES: [&str; 5] = [
        "content-length",
        "content-type",
        "if-none-match",
        "x-amz-checksum-crc64nvme",
        "x-amz-meta-file-owner",
    ];

    proptest! {
        #[test]
        fn signatures_are_those_of_the_sdk(
            values in proptest::collection::vec("[!-~]( {0,3}[!-~]{1,8}){0,3}", 5),
            path in "(/[a-zA-Z0-9._~-]{1,8}|/%[2-7][0-9A-F]|/\\.\\.|/){1,6}",
            host in "store\\.example|10\\.0\\.0\\.7|\\[fd00::7\\]",
            query in proptest::option::of(("[0-9]{1,3}", "([a-z~_.-]|%2F|%20|%7F){0,9}")),
            port in proptest::option::of(1024u16..),
            secret in "[!-~]{1,70}",
            token in proptest::option::of("[!-~]{1,40}"),
            seconds in 0u64..4_000_000_000,
        ) {
            let host = format!("{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
            let query = query.map(|(a, b)| format!("list-type={a}&prefix={b}")).unwrap_or_default();
            let (method, payload) = if query.is_empty() { ("PUT", UNSIGNED) } else { ("GET", EMPTY) };
            let target = Target { method, host: &host, path: &path, query: &query, payload };
            let headers: HeaderList = NAMES.map(Cow::from).into_iter().zip(values).collect();
            let credentials = credentials(&secret, token);
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let mut signed = headers.clone();
            let signer = Signer::new("eu-north-1");
            signer.sign(target, &mut signed, &credentials, now).unwrap();
            let expected = of_the_sdk(target, &headers, &credentials, now);
            prop_assert_eq!(added(&signed, &headers), expected);
        }
    }

    #[test]
    fn another_day_and_other_credentials_have_another_key() {
        let target = PUT;
        let headers: HeaderList = vec![("content-length".into(), "4".to_owned())];
        let signer = Signer::new("eu-north-1");
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_694_400);
        for (secret, days) in [("one", 0), ("one", 1), ("other", 1), ("one", 0), ("one", 0)] {
            let credentials = credentials(secret, None);
            let now = noon + Duration::from_secs(86_400 * days);
            let mut signed = headers.clone();
            signer.sign(target, &mut signed, &credentials, now).unwrap();
            let expected = of_the_sdk(target, &headers, &credentials, now);
            assert_eq!(added(&signed, &headers), expected, "{secret} {days}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let target = PUT;
        let signer = Signer::new("eu-north-1");
        let credentials = credentials("verysecret", Some("verytoken".to_owned()));
        let now = SystemTime::UNIX_EPOCH;
        signer
            .sign(target, &mut Vec::new(), &credentials, now)
            .unwrap();
        let shown = format!("{signer:?}");
        assert!(
            shown.contains("eu-north-1") && !shown.contains("very"),
            "{shown}"
        );
    }
}
