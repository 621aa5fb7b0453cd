//! The TCP connection to control: direct, or through an HTTP proxy by `CONNECT`.

use std::io;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::net::TcpStream;
use tonic::transport::Uri;
use tower::Service as _;

use crate::config::ControlAddress;

/// Connects, as the proxy settings of the address say.
pub(super) async fn reach(address: &ControlAddress) -> io::Result<TcpStream> {
    let uri: Uri = format!("https://{address}")
        .parse()
        .map_err(io::Error::other)?;
    let Some(proxy) = way(address, &uri) else {
        return TcpStream::connect((address.host.as_str(), address.port)).await;
    };
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let connected = tunnel.call(uri).await;
    connected
        .map(hyper_util::rt::TokioIo::into_inner)
        .map_err(|error| io::Error::other(format!("through the proxy {}: {error}", shown(address))))
}

/// The proxy that an address is reached through, without its password; `None` for the direct way.
pub(super) fn proxy_to(address: &ControlAddress) -> Option<String> {
    let uri: Uri = format!("https://{address}").parse().ok()?;
    way(address, &uri).map(|_| shown(address))
}

/// The proxy, unless the address is one of those that need none.
fn way(address: &ControlAddress, uri: &Uri) -> Option<Intercept> {
    let proxy = address.proxy.as_ref()?;
    Matcher::builder()
        .all(proxy.url())
        .no(proxy.no_proxy())
        .build()
        .intercept(uri)
}

/// Without its password.
fn shown(address: &ControlAddress) -> String {
    address
        .proxy
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datasync_model::Proxy;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn control(host: &str, proxy: &str) -> ControlAddress {
        ControlAddress {
            host: host.to_owned(),
            port: 9443,
            server_name: host.to_owned(),
            proxy: Some(Proxy::new(proxy, "near.test").unwrap()),
        }
    }

    /// A proxy that answers one CONNECT with `status`, then echoes; gives what it was asked.
    async fn proxy(listener: TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        let answer = format!("HTTP/1.1 {status}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn control_is_reached_through_the_proxy_with_its_password() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:canary@{}", listener.local_addr().unwrap());
        let address = control("control.test", &url);
        let talk = async {
            let mut stream = reach(&address).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut echo = [0; 5];
            stream.read_exact(&mut echo).await.unwrap();
            assert_eq!(&echo, b"hello");
        };
        let (asked, ()) = tokio::join!(proxy(listener, "200 OK"), talk);
        assert!(
            asked.starts_with("CONNECT control.test:9443 HTTP/1.1\r\n"),
            "{asked}"
        );
        let asked = asked.to_ascii_lowercase();
        assert!(asked.contains("proxy-authorization: basic "), "{asked}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_named_without_its_password() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:canary@{}", listener.local_addr().unwrap());
        let address = control("control.test", &url);
        let refused = "407 Proxy Authentication Required";
        let talk = async { reach(&address).await.unwrap_err().to_string() };
        let (_, error) = tokio::join!(proxy(listener, refused), talk);
        assert!(
            error.contains("through the proxy http://127.0.0.1"),
            "{error}"
        );
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn near_hosts_are_reached_directly() {
        for (host, direct) in [
            ("control.test", false),
            ("near.test", true),
            ("a.near.test", true),
            ("localhost", true),
            ("127.0.0.1", true),
        ] {
            let address = control(host, "http://proxy:3128");
            let uri = format!("https://{address}").parse().unwrap();
            assert_eq!(way(&address, &uri).is_none(), direct, "{host}");
        }
    }
}
