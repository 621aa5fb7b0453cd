//! The way to a server walked step by step, for people who look for what is in between.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datasync_proto::AwaitActivationRequest;
use datasync_proto::enrollment_client::EnrollmentClient;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tonic::{Code, Request, Status};

use super::{Trust, client_config, connect, describe, tunnel};
use crate::config::ControlAddress;

const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are shown.
const ADDRESSES_SHOWN: usize = 4;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    /// What was tried.
    pub(crate) name: &'static str,
    /// What was found, or why it failed.
    pub(crate) result: Result<String, String>,
    /// Whether the way can be gone without it.
    pub(crate) is_spare: bool,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Trail(Vec<Hop>);

impl Trail {
    /// Takes one step, within ten seconds; `None` if it failed.
    pub(crate) async fn step<T>(
        &mut self,
        name: &'static str,
        tried: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let result = match tokio::time::timeout(STEP_TIMEOUT, tried).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", STEP_TIMEOUT.as_secs())),
        };
        let (value, result) = match result {
            Ok((value, text)) => (Some(value), Ok(text)),
            Err(text) => (None, Err(text)),
        };
        self.0.push(Hop {
            name,
            result,
            is_spare: false,
        });
        value
    }

    /// A step whose result is known already.
    pub(crate) fn note(&mut self, name: &'static str, text: String) {
        self.0.push(Hop {
            name,
            result: Ok(text),
            is_spare: false,
        });
    }

    /// A step that failed already.
    pub(crate) fn refuse(&mut self, name: &'static str, reason: String) {
        self.0.push(Hop {
            name,
            result: Err(reason),
            is_spare: false,
        });
    }

    /// The last step's failure does not end the way.
    pub(crate) fn spare(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.is_spare = true;
        }
    }

    /// Finds the addresses of a name.
    pub(crate) async fn resolve(&mut self, host: &str, port: u16) -> Option<()> {
        self.step("DNS", async {
            let found = lookup_host((host, port)).await.map_err(|e| e.to_string())?;
            let mut addresses: Vec<String> = found.map(|found| found.ip().to_string()).collect();
            addresses.dedup();
            if addresses.is_empty() {
                return Err(format!("{host} has no address"));
            }
            addresses.truncate(ADDRESSES_SHOWN);
            Ok(((), format!("{host} is {}", addresses.join(", "))))
        })
        .await
    }

    /// Connects as `target` says, through its proxy where it has one.
    pub(crate) async fn reach(&mut self, target: &ControlAddress) -> Option<TcpStream> {
        let proxy = tunnel::proxy_to(target);
        if proxy.is_none() {
            self.resolve(&target.host, target.port).await?;
        }
        self.step("TCP", async {
            let stream = tunnel::reach(target).await.map_err(|e| e.to_string())?;
            let way = proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
            Ok((stream, format!("connected to {target}{way}")))
        })
        .await
    }

    pub(crate) fn into_hops(self) -> Vec<Hop> {
        self.0
    }
}

/// DNS, TCP, TLS and a call, to one address of control. No certificate of the agent's is shown, and
/// nothing is changed at control.
pub(crate) async fn walk(address: &ControlAddress, trust: &Trust) -> Vec<Hop> {
    let mut trail = Trail::default();
    if let Some(stream) = trail.reach(address).await
        && trail
            .step("TLS", shake_hands(address, trust, stream))
            .await
            .is_some()
    {
        trail.step("gRPC", Box::pin(call(address, trust))).await;
    }
    trail.into_hops()
}

async fn shake_hands(
    address: &ControlAddress,
    trust: &Trust,
    stream: TcpStream,
) -> Result<((), String), String> {
    let config = client_config(trust, None).map_err(|e| e.to_string())?;
    let name = ServerName::try_from(address.server_name.clone()).map_err(|e| e.to_string())?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    let connected = connected.map_err(|e| e.to_string())?;
    let version = connected.get_ref().1.protocol_version();
    let version = version.map_or_else(String::new, |version| format!("{version:?}, "));
    let by = match trust {
        Trust::Roots(_) => "its CA",
        Trust::Fingerprint(_) => "the fingerprint of its CA",
    };
    let text = format!("{version}{} recognised by {by}", address.server_name);
    Ok(((), text))
}

/// A ticket that nobody has is refused by control itself: that is its sign of life.
async fn call(address: &ControlAddress, trust: &Trust) -> Result<((), String), String> {
    let channel = connect(address, trust, None)
        .await
        .map_err(|e| e.to_string())?;
    let mut request = Request::new(AwaitActivationRequest { ticket: Vec::new() });
    request.set_timeout(STEP_TIMEOUT);
    let answer = EnrollmentClient::new(channel)
        .await_activation(request)
        .await;
    verdict(answer.map(|_| ()))
}

fn verdict(answer: Result<(), Status>) -> Result<((), String), String> {
    match answer {
        Ok(()) => Ok(((), "control answers".to_owned())),
        Err(status) => match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition => Ok(((), "control answers".to_owned())),
            Code::ResourceExhausted => Ok(((), "control answers that it is busy".to_owned())),
            _ => Err(describe(&status)),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn target(port: u16) -> ControlAddress {
        ControlAddress {
            host: "127.0.0.1".to_owned(),
            port,
            server_name: "control.test".to_owned(),
            proxy: None,
        }
    }

    fn names(hops: &[Hop]) -> Vec<(&'static str, bool)> {
        hops.iter()
            .map(|hop| (hop.name, hop.result.is_ok()))
            .collect()
    }

    #[tokio::test]
    async fn the_hop_that_fails_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let trust = Trust::Fingerprint([0; 32]);
        let address = target(port);
        let hangs_up = async { drop(listener.accept().await.unwrap()) };
        let (hops, ()) = tokio::join!(walk(&address, &trust), hangs_up);
        assert_eq!(names(&hops), [("DNS", true), ("TCP", true), ("TLS", false)]);
        drop(listener);
        let hops = walk(&address, &trust).await;
        assert_eq!(names(&hops), [("DNS", true), ("TCP", false)]);
        let unknown = ControlAddress {
            host: "no-such-host.invalid".to_owned(),
            ..address
        };
        let hops = walk(&unknown, &trust).await;
        assert_eq!(names(&hops), [("DNS", false)]);
    }

    #[test]
    fn a_refusal_by_control_is_an_answer() {
        assert!(verdict(Ok(())).is_ok());
        assert!(verdict(Err(Status::not_found("no such ticket"))).is_ok());
        let error = verdict(Err(Status::unavailable("away"))).unwrap_err();
        assert!(error.contains("away"), "{error}");
        assert!(verdict(Err(Status::unimplemented("not control"))).is_err());
    }
}
