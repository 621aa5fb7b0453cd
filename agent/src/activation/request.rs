//! The activation request and its replies (DataSync user guide, "Activating your agent").
//!
//! Names of parameters are taken in any case and order; `no_redirect` with or without a value.

use std::net::Ipv4Addr;

use datasync_model::Region;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const QUERY_LENGTH_MAX: usize = 2048;

/// Where a browser is sent. A name that never resolves (RFC 6761 §6.4), so that the key goes to
/// nobody: who activates the agent takes it from the address.
const REDIRECT_BASE: &str = "https://datasync.invalid/datasync/home";

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What the agent is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActivationRequest {
    pub(super) region: Region,
    pub(super) endpoint_type: EndpointType,
    private_link_endpoint: Option<Ipv4Addr>,
    no_redirect: bool,
}

/// `endpointType`. All lead to the configured control plane; the word is echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointType {
    Public,
    Fips,
    PrivateLink,
    FipsPrivateLink,
}

impl EndpointType {
    const ALL: [Self; 4] = [
        Self::Public,
        Self::Fips,
        Self::PrivateLink,
        Self::FipsPrivateLink,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC",
            Self::Fips => "FIPS",
            Self::PrivateLink => "PRIVATE_LINK",
            Self::FipsPrivateLink => "FIPS_PRIVATE_LINK",
        }
    }

    fn is_private(self) -> bool {
        matches!(self, Self::PrivateLink | Self::FipsPrivateLink)
    }
}

/// Why no key can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Control cannot be reached or does not answer.
    Unreachable(String),
    /// Control refused.
    Refused(String),
}

/// An HTTP reply without the protocol's rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn error(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            location: None,
            text: format!("{}\n", text.into()),
        }
    }
}

impl ActivationRequest {
    /// Reads a request for `path` with `query`.
    ///
    /// # Errors
    /// The answer that says what is wrong.
    pub(super) fn parse(method: &str, path: &str, query: &str) -> Result<Self, Answer> {
        if method != "GET" {
            return Err(Answer::error(405, "use GET"));
        }
        if path != "/" {
            return Err(Answer::error(404, "only / exists here, until activation"));
        }
        if query.len() > QUERY_LENGTH_MAX {
            let text = format!("the query is longer than {QUERY_LENGTH_MAX} bytes");
            return Err(Answer::error(414, text));
        }
        let parameters = Parameters::parse(query).map_err(|text| Answer::error(400, text))?;
        Self::from_parameters(&parameters).map_err(|text| Answer::error(400, text))
    }

    fn from_parameters(parameters: &Parameters) -> Result<Self, String> {
        match parameters.get("gatewaytype") {
            Some("SYNC") => {}
            Some(other) => return Err(format!("gatewayType {other:?} is not SYNC")),
            None => return Err("gatewayType=SYNC is missing".to_owned()),
        }
        let region = parameters
            .get("activationregion")
            .ok_or("activationRegion is missing, for example activationRegion=us-east-1")?
            .parse::<Region>()?;
        let endpoint_type = match parameters.get("endpointtype") {
            None => EndpointType::Public,
            Some(word) => EndpointType::ALL
                .into_iter()
                .find(|known| known.as_str() == word)
                .ok_or_else(|| {
                    format!(
                        "endpointType {word:?} is none of PUBLIC, FIPS, PRIVATE_LINK, FIPS_PRIVATE_LINK"
                    )
                })?,
        };
        let private_link_endpoint = parameters
            .get("privatelinkendpoint")
            .map(|text| {
                text.parse::<Ipv4Addr>()
                    .map_err(|_| format!("privateLinkEndpoint {text:?} is not an IPv4 address"))
            })
            .transpose()?;
        match (endpoint_type.is_private(), private_link_endpoint) {
            (true, None) => Err("privateLinkEndpoint is missing".to_owned()),
            (false, Some(_)) => Err(
                "privateLinkEndpoint needs endpointType PRIVATE_LINK or FIPS_PRIVATE_LINK"
                    .to_owned(),
            ),
            _ => Ok(Self {
                region,
                endpoint_type,
                private_link_endpoint,
                no_redirect: parameters.get("no_redirect").is_some(),
            }),
        }
    }

    /// The reply that carries the key.
    pub(super) fn granted(&self, key: &str) -> Answer {
        if self.no_redirect {
            return Answer {
                status: 200,
                location: None,
                text: key.to_owned(),
            };
        }
        self.redirect("activationKey", key)
    }

    /// The reply that says why there is no key.
    pub(super) fn refused(&self, refusal: &Refusal) -> Answer {
        let (word, text) = match refusal {
            Refusal::Unreachable(text) if self.endpoint_type.is_private() => {
                ("PRIVATE_LINK_ENDPOINT_UNREACHABLE", text)
            }
            Refusal::Unreachable(text) => ("ENDPOINT_UNREACHABLE", text),
            Refusal::Refused(text) => ("ACTIVATION_REFUSED", text),
        };
        if self.no_redirect {
            return Answer::error(502, format!("no activation key ({word}): {text}"));
        }
        self.redirect("errorType", word)
    }

    fn redirect(&self, name: &str, value: &str) -> Answer {
        let region: String = self.region.clone().into();
        let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let mut location = format!(
            "{REDIRECT_BASE}?{name}={}&activationRegion={}&gatewayType=SYNC&endpointType={}",
            escape(value),
            escape(&region),
            self.endpoint_type.as_str(),
        );
        if let Some(address) = self.private_link_endpoint {
            location.push_str(&format!("&privateLinkEndpoint={address}"));
        }
        Answer {
            status: 302,
            location: Some(location),
            text: String::new(),
        }
    }
}

/// Names in lower case, values decoded.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name)?.to_ascii_lowercase();
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(format!("{name:?} is given twice"));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "the query is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "F0EFT-7FPPR-GG7MC-3I9R3-27DOH";

    fn parse(query: &str) -> Result<ActivationRequest, Answer> {
        ActivationRequest::parse("GET", "/", query)
    }

    #[test]
    fn the_key_is_in_the_redirects_query() {
        let request = parse("gatewayType=SYNC&activationRegion=us-east-1").unwrap();
        let answer = request.granted(KEY);
        assert_eq!((answer.status, answer.text.as_str()), (302, ""));
        assert_eq!(
            answer.location.unwrap(),
            format!(
                "{REDIRECT_BASE}?activationKey={KEY}&activationRegion=us-east-1&gatewayType=SYNC&endpointType=PUBLIC"
            )
        );
    }

    #[test]
    fn no_redirect_answers_the_key_alone_in_every_spelling() {
        for query in [
            "gatewayType=SYNC&activationRegion=eu-west-1&no_redirect",
            "no_redirect=&ACTIVATIONREGION=eu-west-1&gatewaytype=SYNC",
            "activationRegion=eu%2Dwest-1&NO_REDIRECT&&gatewayType=SYNC&endpointType=FIPS",
        ] {
            let answer = parse(query).unwrap().granted(KEY);
            assert_eq!((answer.status, answer.location), (200, None), "{query}");
            assert_eq!(answer.text, KEY);
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        for (query, named) in [
            ("", "gatewayType"),
            ("gatewayType=FILE_S3&activationRegion=us-east-1", "FILE_S3"),
            ("gatewayType=SYNC", "activationRegion"),
            ("gatewayType=SYNC&activationRegion=US%20EAST", "US EAST"),
            (
                "gatewayType=SYNC&activationRegion=x&activationRegion=y",
                "twice",
            ),
            (
                "gatewayType=SYNC&activationRegion=x&endpointType=VPN",
                "VPN",
            ),
            (
                "gatewayType=SYNC&activationRegion=x&endpointType=PRIVATE_LINK",
                "privateLinkEndpoint",
            ),
            (
                "gatewayType=SYNC&activationRegion=x&privateLinkEndpoint=1.2.3.4",
                "PRIVATE_LINK",
            ),
            (
                "gatewayType=SYNC&activationRegion=x&endpointType=PRIVATE_LINK&privateLinkEndpoint=host",
                "IPv4",
            ),
            ("gatewayType=SYNC&activationRegion=%ff", "UTF-8"),
        ] {
            let answer = parse(query).unwrap_err();
            assert_eq!(answer.status, 400, "{query}");
            assert!(answer.text.contains(named), "{query}: {}", answer.text);
        }
    }

    #[test]
    fn other_methods_paths_and_lengths_are_refused() {
        let status = |method, path, query: &str| {
            ActivationRequest::parse(method, path, query)
                .unwrap_err()
                .status
        };
        assert_eq!(status("POST", "/", ""), 405);
        assert_eq!(status("GET", "/admin", ""), 404);
        assert_eq!(status("GET", "/", &"a".repeat(QUERY_LENGTH_MAX + 1)), 414);
    }

    #[test]
    fn failures_are_named_in_the_redirect_and_explained_without() {
        let away = Refusal::Unreachable("no route".to_owned());
        let request = parse("gatewayType=SYNC&activationRegion=x").unwrap();
        let location = request.refused(&away).location.unwrap();
        assert!(
            location.contains("?errorType=ENDPOINT_UNREACHABLE&"),
            "{location}"
        );
        assert!(!location.contains("activationKey"), "{location}");
        let request = parse(
            "gatewayType=SYNC&activationRegion=x&endpointType=PRIVATE_LINK&privateLinkEndpoint=10.0.0.9",
        )
        .unwrap();
        let location = request.refused(&away).location.unwrap();
        assert!(location.contains("errorType=PRIVATE_LINK_ENDPOINT_UNREACHABLE"));
        assert!(
            location.ends_with("&privateLinkEndpoint=10.0.0.9"),
            "{location}"
        );
        let request = parse("gatewayType=SYNC&activationRegion=x&no_redirect").unwrap();
        let answer = request.refused(&Refusal::Refused("too many".to_owned()));
        assert_eq!((answer.status, answer.location), (502, None));
        assert!(answer.text.contains("too many"));
    }

    proptest! {
        #[test]
        fn any_query_gets_an_answer(query in "\\PC{0,100}") {
            match parse(&query) {
                Ok(request) => prop_assert!(request.granted(KEY).status < 400),
                Err(answer) => prop_assert!(answer.status >= 400),
            }
        }
    }
}
