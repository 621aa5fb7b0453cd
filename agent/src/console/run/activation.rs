//! An activation key, from the agent's own port: the console is one more client of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use datasync_model::ActivationKey;
use tokio::net::TcpStream;

use super::super::page::Line;
use super::super::screens::activation;
use crate::link::http;
use crate::local;
use crate::supervisor::Phase;

pub(super) async fn request_key(state_dir: &Path, region: &str) -> Vec<Line> {
    let snapshot = match local::ask(state_dir).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            return vec![Line::fail(format!("{error}: it gives keys while it runs."))];
        }
    };
    let address = match snapshot.phase {
        Phase::AwaitingActivation { address } => reachable(address),
        Phase::Active { arn } => {
            return vec![
                Line::ok("The agent is activated already, as"),
                Line::plain(arn.to_string()),
                Line::plain("To activate it anew, delete it at control first (DeleteAgent)."),
            ];
        }
        Phase::Starting | Phase::Claiming | Phase::Stopped => {
            return vec![Line::fail(
                "The agent is busy starting or stopping: try again.",
            )];
        }
    };
    match ask(address, region).await {
        Ok(key) => activation::lines(region, key.reveal()),
        Err(reason) => vec![
            Line::fail(reason),
            Line::plain("Keys come from control: test the connection to it (2 in the menu)."),
        ],
    }
}

async fn ask(address: SocketAddr, region: &str) -> Result<ActivationKey, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|e| format!("cannot connect to the agent at {address}: {e}"))?;
    let target = format!("/?gatewayType=SYNC&activationRegion={region}&no_redirect");
    let (head, body) = http::exchange(stream, "GET", &address.to_string(), &target).await?;
    let text = String::from_utf8_lossy(&body);
    if !head.status.is_success() {
        return Err(text.trim().to_owned());
    }
    text.trim()
        .parse()
        .map_err(|error| format!("the agent's answer is no key: {error}"))
}

/// Where an agent that listens everywhere is reached from here.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_listens_everywhere_is_here() {
        for (listens, reached) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:8080", "192.0.2.1:8080"),
        ] {
            assert_eq!(
                reachable(listens.parse().unwrap()),
                reached.parse().unwrap()
            );
        }
    }
}
