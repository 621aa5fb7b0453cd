//! Whether two base URLs are those of one store.

use http::Uri;

/// `None` means AWS, whose buckets are the same at all its endpoints.
pub(super) fn is_same_store(one: Option<&str>, other: Option<&str>) -> bool {
    let (one, other) = (one.map(place), other.map(place));
    let is_aws = |place: &Option<Place>| place.as_ref().is_none_or(Place::is_aws);
    (is_aws(&one) && is_aws(&other)) || one == other
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Host in small letters, port, and path without a slash at its end.
    Known(String, u16, String),
    /// Not a URL that says where it leads.
    Text(String),
}

impl Place {
    fn is_aws(&self) -> bool {
        let Self::Known(host, _, _) = self else {
            return false;
        };
        let domain = host.strip_suffix(".cn").unwrap_or(host);
        let service = domain.strip_suffix(".amazonaws.com");
        service.is_some_and(|service| service == "s3" || service.starts_with("s3."))
    }
}

fn place(endpoint: &str) -> Place {
    let text = || Place::Text(endpoint.to_owned());
    let Ok(uri) = endpoint.parse::<Uri>() else {
        return text();
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri.port_u16().unwrap_or_else(|| {
        if scheme.eq_ignore_ascii_case("http") {
            80
        } else {
            443
        }
    });
    let Some(host) = uri.host() else {
        return text();
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    Place::Known(host, port, uri.path().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_store_are_the_same() {
        for (one, other) in [
            ("https://s3.example", "https://S3.Example/"),
            ("https://s3.example", "HTTPS://s3.example:443"),
            ("http://s3.example:80/", "http://s3.example"),
            ("https://s3.example./a/", "https://s3.example/a"),
            ("http://[::1]:9000", "http://[::1]:9000/"),
            (
                "https://s3.eu-west-1.amazonaws.com",
                "https://s3.amazonaws.com",
            ),
        ] {
            assert!(is_same_store(Some(one), Some(other)), "{one} {other}");
        }
        let aws = Some("https://s3.us-east-1.amazonaws.com/");
        assert!(is_same_store(None, None) && is_same_store(None, aws));
    }

    #[test]
    fn other_hosts_ports_and_paths_are_other_stores() {
        for (one, other) in [
            ("https://s3.example", "http://s3.example"),
            ("https://s3.example", "https://s3.example:8443"),
            ("https://s3.example/a", "https://s3.example/b"),
            ("https://a.example", "https://b.example"),
            ("https://s3.amazonaws.com", "https://s3.example"),
        ] {
            assert!(!is_same_store(Some(one), Some(other)), "{one} {other}");
        }
        assert!(!is_same_store(None, Some("https://s3.example")));
        assert!(!is_same_store(
            None,
            Some("https://s3.amazonaws.com.evil.example")
        ));
    }
}
