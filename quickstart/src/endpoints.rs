//! Where data comes from and goes to: URLs taken apart.

use std::fmt;

use crate::error::Fault;

/// `nfs://HOST[:PORT]/PATH`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NfsUrl {
    pub(crate) host: String,
    pub(crate) path: String,
}

/// `s3://BUCKET[/PREFIX]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Url {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

/// `http[s]://HOST[:PORT]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

pub(crate) fn nfs(url: &str) -> Result<NfsUrl, Fault> {
    let (host, path) = url
        .strip_prefix("nfs://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| Fault::plain(format!("{url:?} is not nfs://HOST[:PORT]/EXPORT/PATH")))?;
    Ok(NfsUrl {
        host: host.to_owned(),
        path: format!("/{path}"),
    })
}

pub(crate) fn s3(url: &str) -> Result<S3Url, Fault> {
    let rest = url
        .strip_prefix("s3://")
        .filter(|rest| !rest.is_empty() && !rest.starts_with('/'))
        .ok_or_else(|| Fault::plain(format!("{url:?} is not s3://BUCKET/PREFIX")))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(S3Url {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

pub(crate) fn store(url: &str) -> Result<StoreUrl, Fault> {
    let wrong = || Fault::plain(format!("{url:?} is not http[s]://HOST[:PORT]"));
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (secure, default_port) = match scheme {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(wrong()),
    };
    let authority = rest.trim_end_matches('/');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (authority, default_port),
    };
    if host.is_empty() || host.contains('/') {
        return Err(wrong());
    }
    Ok(StoreUrl {
        secure,
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let nas = nfs("nfs://nas:2049/export/home").unwrap();
        assert_eq!(
            (nas.host.as_str(), nas.path.as_str()),
            ("nas:2049", "/export/home")
        );
        let bucket = s3("s3://b/p/q").unwrap();
        assert_eq!(
            (bucket.bucket.as_str(), bucket.prefix.as_str()),
            ("b", "p/q")
        );
        assert_eq!(s3("s3://b").unwrap().prefix, "");
        let minio = store("http://127.0.0.1:9000/").unwrap();
        assert_eq!(
            (minio.secure, minio.host.as_str(), minio.port),
            (false, "127.0.0.1", 9000)
        );
        assert_eq!(store("https://s3.example.com").unwrap().port, 443);
    }

    #[test]
    fn wrong_urls_are_refused_with_the_form_they_should_have() {
        for error in [
            nfs("nas:/export").unwrap_err(),
            nfs("nfs:///export").unwrap_err(),
            s3("bucket/prefix").unwrap_err(),
            store("ftp://host").unwrap_err(),
            store("http://host:x").unwrap_err(),
        ] {
            assert!(error.to_string().contains(" is not "), "{error}");
        }
    }
}
