//! Where data comes from and goes to, as people write it: URLs taken apart. Paths and prefixes are
//! taken as they are; `%20` is three characters.

use std::fmt;
use std::str::FromStr;

use datasync_nfs::ServerName;
use hyper::Uri;

const NFS_FORM: &str = "nfs://HOST[:PORT]/EXPORT/PATH (an IPv6 address in brackets)";
const EFS_FORM: &str = "efs://REGION.fs-…[/PATH]";
const S3_FORM: &str = "s3://BUCKET[/PREFIX]";
const STORE_FORM: &str = "http[s]://HOST[:PORT]";

/// Text that is not a URL of the form that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another form altogether.
    #[error("{text:?} is not {form}")]
    Form {
        /// What was given.
        text: String,
        /// What it should look like.
        form: &'static str,
    },
    /// A path that servers and stores would each read in their own way.
    #[error("{text:?} may not contain {what}")]
    Path {
        /// What was given.
        text: String,
        /// What is in it.
        what: &'static str,
    },
    /// A name or password in the URL, which is not repeated here.
    #[error("the URL holds a name or password: give credentials by the environment or a profile")]
    Credentials,
}

pub(crate) fn unlike(text: &str, form: &'static str) -> UrlError {
    UrlError::Form {
        text: text.to_owned(),
        form,
    }
}

/// `nfs://HOST[:PORT]/EXPORT/PATH`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsUrl {
    /// `host`, `host:port`, `[v6]` or `[v6]:port`, as a location's `ServerHostname`.
    pub host: String,
    /// Begins and ends with `/`.
    pub path: String,
}

impl FromStr for NfsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refused = || unlike(text, NFS_FORM);
        let (host, path) = text
            .strip_prefix("nfs://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(refused)?;
        if host.contains('@') {
            return Err(UrlError::Credentials);
        }
        let in_brackets = host.starts_with('[');
        if ServerName::parse(host).is_err() || (!in_brackets && host.matches(':').count() > 1) {
            return Err(refused());
        }
        Ok(Self {
            host: host.to_owned(),
            path: directory(text, path)?,
        })
    }
}

impl fmt::Display for NfsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nfs://{}{}", self.host, self.path)
    }
}

/// `efs://REGION.FILE-SYSTEM[/PATH]`, as a location's `LocationUri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EfsUrl {
    /// Region name.
    pub(crate) region: String,
    /// `fs-` and hexadecimal digits.
    pub(crate) file_system_id: String,
    /// Begins and ends with `/`.
    pub(crate) path: String,
}

impl FromStr for EfsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refused = || unlike(text, EFS_FORM);
        let rest = text.strip_prefix("efs://").ok_or_else(refused)?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (region, file_system_id) = name.split_once('.').ok_or_else(refused)?;
        let is_region =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let digits = file_system_id.strip_prefix("fs-").ok_or_else(refused)?;
        let is_file_system =
            (8..=40).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if region.is_empty() || !region.bytes().all(is_region) || !is_file_system {
            return Err(refused());
        }
        Ok(Self {
            region: region.to_owned(),
            file_system_id: file_system_id.to_owned(),
            path: directory(text, path)?,
        })
    }
}

/// A path that begins and ends with `/`.
fn directory(text: &str, path: &str) -> Result<String, UrlError> {
    let inner = path.trim_matches('/');
    if inner.split('/').any(|part| part == "..") {
        let text = text.to_owned();
        return Err(UrlError::Path { text, what: "'..'" });
    }
    Ok(match inner {
        "" => "/".to_owned(),
        inner => format!("/{inner}/"),
    })
}

/// `s3://BUCKET[/PREFIX]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket's name.
    pub bucket: String,
    /// Empty, or ends with `/`; never begins with one.
    pub prefix: String,
}

impl FromStr for S3Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| unlike(text, S3_FORM))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains('@') {
            return Err(UrlError::Credentials);
        }
        if bucket.is_empty() || bucket.contains([':', ' ', '?', '#']) {
            return Err(unlike(text, S3_FORM));
        }
        let inner = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(UrlError::Path {
                text: text.to_owned(),
                what: "'//', '/./' or '/../'",
            });
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if inner.is_empty() {
                String::new()
            } else {
                format!("{inner}/")
            },
        })
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// `http[s]://HOST[:PORT]`: where an S3-compatible store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    /// Whether it is reached over TLS.
    pub secure: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl StoreUrl {
    fn default_port(secure: bool) -> u16 {
        if secure { 443 } else { 80 }
    }
}

impl FromStr for StoreUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.contains('@') {
            return Err(UrlError::Credentials);
        }
        let refused = || unlike(text, STORE_FORM);
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused()),
        };
        let authority = uri.authority().ok_or_else(refused)?;
        let host = authority.host();
        let default = StoreUrl::default_port(secure);
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default,
            Some(_) => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or_else(refused)?,
            None => return Err(refused()),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let has_path = uri.path_and_query().is_some_and(|path| path != "/");
        if bare.is_empty() || has_path {
            return Err(refused());
        }
        Ok(Self {
            secure,
            host: bare.to_ascii_lowercase(),
            port,
        })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]", self.host)?;
        } else {
            write!(f, "{scheme}://{}", self.host)?;
        }
        if self.port == Self::default_port(self.secure) {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfs_urls_are_taken_apart() {
        for (text, host, path) in [
            ("nfs://nas/export/home", "nas", "/export/home/"),
            ("nfs://nas:2049/export/", "nas:2049", "/export/"),
            ("nfs://nas/", "nas", "/"),
            ("nfs://[fd00::1]/a b", "[fd00::1]", "/a b/"),
            ("nfs://[fd00::1]:20490/%41", "[fd00::1]:20490", "/%41/"),
        ] {
            let url: NfsUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.path.as_str()), (host, path));
        }
        for text in [
            "nas:/export",
            "nfs://nas",
            "nfs:///export",
            "nfs://nas:0/export",
            "nfs://fd00::1/export",
            "nfs://[fd00::1/export",
        ] {
            let error = text.parse::<NfsUrl>().unwrap_err().to_string();
            assert!(error.contains("is not nfs://HOST"), "{text}: {error}");
        }
        assert!("nfs://nas/a/../b".parse::<NfsUrl>().is_err());
    }

    #[test]
    fn file_systems_are_taken_apart() {
        let url: EfsUrl = "efs://eu-west-1.fs-0123abcd/a/b".parse().unwrap();
        assert_eq!(
            (
                url.region.as_str(),
                url.file_system_id.as_str(),
                url.path.as_str()
            ),
            ("eu-west-1", "fs-0123abcd", "/a/b/")
        );
        assert_eq!(
            "efs://eu-west-1.fs-0123abcd"
                .parse::<EfsUrl>()
                .unwrap()
                .path,
            "/"
        );
        for text in [
            "efs://fs-0123abcd/",
            "efs://eu-west-1.0123abcd/",
            "efs://eu-west-1.fs-xyz01234",
            "efs://EU.fs-0123abcd",
        ] {
            let error = text.parse::<EfsUrl>().unwrap_err().to_string();
            assert!(error.contains("is not efs://REGION"), "{text}: {error}");
        }
    }

    #[test]
    fn buckets_and_prefixes_are_taken_apart() {
        for (text, bucket, prefix, shown) in [
            ("s3://b", "b", "", "s3://b/"),
            ("s3://b/", "b", "", "s3://b/"),
            ("s3://b/p/q", "b", "p/q/", "s3://b/p/q/"),
            ("s3://b/p/", "b", "p/", "s3://b/p/"),
        ] {
            let url: S3Url = text.parse().unwrap();
            assert_eq!((url.bucket.as_str(), url.prefix.as_str()), (bucket, prefix));
            assert_eq!(url.to_string(), shown);
        }
        for text in [
            "b/p",
            "s3://",
            "s3:///p",
            "s3://b//p",
            "s3://b/../p",
            "s3://b//",
        ] {
            assert!(text.parse::<S3Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn stores_are_taken_apart_and_written_in_one_form() {
        for (text, shown) in [
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("https://S3.example.com", "https://s3.example.com"),
            ("https://s3.example.com:443", "https://s3.example.com"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), shown);
        }
        for text in [
            "ftp://host",
            "host:9000",
            "http://host:x",
            "http://host:0",
            "http://host/path",
            "http://host?a=b",
            "http://",
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(error.contains("is not http[s]://HOST"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let errors = [
            "http://key:canary@host".parse::<StoreUrl>().unwrap_err(),
            "s3://key:canary@bucket".parse::<S3Url>().unwrap_err(),
            "nfs://user:canary@nas/x".parse::<NfsUrl>().unwrap_err(),
        ];
        for error in errors {
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
