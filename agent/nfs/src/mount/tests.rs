use std::sync::Arc;

use nfs3_types::mount::{MOUNT_PROGRAM, PROGRAM as MOUNT};

use super::*;
use crate::script::{Act, Request, Server, Xdr, record, reply};

const MNT: u32 = MOUNT_PROGRAM::MOUNTPROC3_MNT as u32;

async fn mount_on(server: &Server, path: &str) -> Result<Mounted, EndpointError> {
    let config = NfsConfig {
        call_timeout: std::time::Duration::from_millis(500),
        ..server.config(path)
    };
    super::mount(&config, &Counters::default(), None).await
}

/// Serves MOUNT on the NFS port: each path gets what `answer` says.
async fn mount_server(answer: impl Fn(&str) -> Xdr + Send + Sync + 'static) -> Server {
    Server::start(move |mut request: Request| {
        assert_eq!((request.program, request.procedure), (MOUNT, MNT));
        let path = request.arguments.opaque(1024, "a path").unwrap();
        reply(request.xid, &answer(std::str::from_utf8(&path).unwrap()))
    })
    .await
}

fn granted(handle: &[u8], flavors: &[u32]) -> Xdr {
    let count = u32::try_from(flavors.len()).unwrap();
    Xdr::default()
        .words(&[0])
        .opaque(handle)
        .words(&[count])
        .words(flavors)
}

#[test]
fn paths_are_brought_into_one_form() {
    for (path, expected) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("//a///b/", "/a/b"),
    ] {
        assert_eq!(normalize(path).unwrap(), expected);
    }
    let long = format!("/{}", "x".repeat(1024));
    for path in ["", "a", "/a/../b", "/./a", "/a\0", &long] {
        assert!(normalize(path).is_err(), "{path}");
    }
}

#[test]
fn ancestors_end_at_the_root() {
    let all: Vec<(String, usize)> = ancestors("/a/b")
        .map(|(path, below)| (path, below.len()))
        .collect();
    let expected = [("/a/b", 0), ("/a", 1), ("/", 2)].map(|(path, n)| (path.to_owned(), n));
    assert_eq!(all, expected);
    assert_eq!(ancestors("/").count(), 1);
}

#[test]
fn the_mount_service_is_sought_in_order() {
    use MountPort::{Fixed, Portmapper};
    assert_eq!(mount_ports(Some(7), None), [Fixed(7), Portmapper]);
    assert_eq!(
        mount_ports(Some(7), Some(9)),
        [Fixed(9), Fixed(7), Portmapper]
    );
    assert_eq!(mount_ports(Some(7), Some(7)), [Fixed(7), Portmapper]);
    assert_eq!(mount_ports(None, None), [Portmapper, Fixed(2049)]);
    assert_eq!(
        mount_ports(None, Some(9)),
        [Fixed(9), Portmapper, Fixed(2049)]
    );
}

#[tokio::test]
async fn an_ancestor_is_mounted_where_the_path_itself_is_refused() {
    for refusal in [2, 13, 20] {
        let server = mount_server(move |path| match path {
            "/vol" => granted(b"vol", &[1]),
            _ => Xdr::default().words(&[refusal]),
        })
        .await;
        let mounted = mount_on(&server, "/vol/a/b/").await.unwrap();
        assert_eq!(mounted.handle, "vol");
        assert_eq!(mounted.below, ["a", "b"]);
        assert_eq!(mounted.nfs, server.address);
    }
}

#[tokio::test]
async fn refusals_of_the_path_itself_are_told() {
    for (status, kind) in [
        (1, ErrorKind::PermissionDenied),
        (2, ErrorKind::ContainerNotFound),
        (5, ErrorKind::ServerFault),
        (13, ErrorKind::PermissionDenied),
        (10006, ErrorKind::ServerFault),
    ] {
        let server = mount_server(move |path| match path {
            "/vol/a" => Xdr::default().words(&[status]),
            _ => Xdr::default().words(&[2]),
        })
        .await;
        let error = mount_on(&server, "/vol/a").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains("/vol/a"), "{error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn an_export_for_kerberos_alone_is_refused() {
    let server = mount_server(|_| granted(b"vol", &[390_003])).await;
    let error = mount_on(&server, "/vol").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSupported);
    assert!(error.detail.contains("sec=sys"), "{error}");
    for flavors in [&[][..], &[390_003, 1], &[0]] {
        let server = mount_server(|_| granted(b"vol", flavors)).await;
        assert!(mount_on(&server, "/vol").await.is_ok());
    }
}

/// What breaks the protocol ends the attempt on that port; no port is left, so the mount fails.
async fn broken_mount(act: impl Fn(u32) -> Act + Send + Sync + 'static) -> EndpointError {
    let server = Server::start(move |request| act(request.xid)).await;
    let error = mount_on(&server, "/vol").await.unwrap_err();
    assert!(
        error
            .detail
            .contains(&format!("port {}", server.address.port())),
        "{error}"
    );
    error
}

#[tokio::test]
async fn lying_lengths_are_refused() {
    let results: [fn() -> Xdr; 5] = [
        || Xdr::default().words(&[0]).opaque(&[7; 65]).words(&[0]),
        || Xdr::default().words(&[0, 0, 0]),
        || Xdr::default().words(&[0, u32::MAX]),
        || Xdr::default().words(&[0]).opaque(b"h").words(&[u32::MAX]),
        || Xdr::default().words(&[4711]),
    ];
    for result in results {
        let error = broken_mount(move |xid| reply(xid, &result())).await;
        assert!(error.detail.contains("no MOUNT service answers"), "{error}");
    }
    broken_mount(|_| Act::write(u32::MAX.to_be_bytes().to_vec())).await;
    let verifier = |xid| Xdr::default().words(&[xid, 1, 0, 0, u32::MAX, 0]).0;
    broken_mount(move |xid| Act::write(record(&verifier(xid)))).await;
}

#[tokio::test]
async fn an_end_of_the_stream_and_silence_end_the_attempt() {
    let closed = broken_mount(|_| Act::close()).await;
    assert!(closed.detail.contains("closed the connection"), "{closed}");
    let silent = broken_mount(|_| Act::silence()).await;
    assert!(silent.detail.contains("no answer in time"), "{silent}");
    assert_eq!(
        (closed.kind, silent.kind),
        (ErrorKind::Unreachable, ErrorKind::Timeout)
    );
}

#[tokio::test]
async fn refusals_of_the_rpc_layer_are_told() {
    let refused =
        broken_mount(|xid| Act::write(record(&Xdr::default().words(&[xid, 1, 1, 1, 5]).0))).await;
    assert!(refused.detail.contains("AUTH_TOOWEAK"), "{refused}");
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    let absent =
        broken_mount(|xid| Act::write(record(&Xdr::default().words(&[xid, 1, 0, 0, 0, 1]).0)))
            .await;
    assert!(absent.detail.contains("Program unavailable"), "{absent}");
}

#[tokio::test]
async fn the_configured_port_of_mount_comes_first() {
    let mountd = Arc::new(mount_server(|_| granted(b"vol", &[])).await);
    let config = NfsConfig {
        mount_port: Some(mountd.address.port()),
        ..crate::script::config("127.0.0.1:1", "/vol")
    };
    let mounted = super::mount(&config, &Counters::default(), None)
        .await
        .unwrap();
    assert_eq!(mounted.nfs.port(), 1);
    assert_eq!(mountd.connections(), 1);
}

#[tokio::test]
async fn bad_configurations_and_names_are_told_before_any_call() {
    for (host, path) in [
        ("nas:0", "/vol"),
        ("", "/vol"),
        ("nas", "vol"),
        ("nas", "/a/../b"),
    ] {
        let error = super::mount(
            &crate::script::config(host, path),
            &Counters::default(),
            None,
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    }
    let groups = NfsConfig {
        gids: vec![1; 17],
        ..crate::script::config("nas", "/vol")
    };
    let error = super::mount(&groups, &Counters::default(), None)
        .await
        .unwrap_err();
    assert!(error.detail.contains("at most 16"), "{error}");
    let endless = NfsConfig {
        call_timeout: std::time::Duration::MAX,
        ..crate::script::config("nas", "/vol")
    };
    let error = super::mount(&endless, &Counters::default(), None)
        .await
        .unwrap_err();
    assert!(error.detail.contains("at most an hour"), "{error}");
    let unknown = crate::script::config("no-such-host.invalid", "/vol");
    let error = super::mount(&unknown, &Counters::default(), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_where_nobody_decides_is_followed_by_the_next() {
    let mountd = mount_server(|_| granted(b"vol", &[])).await;
    let port = mountd.address.port();
    let refused = |xid| record(&Xdr::default().words(&[xid, 1, 1, 1, 5]).0);
    let other = SocketAddr::from(([127, 0, 0, 2], port));
    let _without_mount =
        Server::start_at(other, move |request| Act::write(refused(request.xid))).await;
    let config = mountd.config("/vol");
    let server = ServerName::parse(&config.server_hostname).unwrap();
    let (counters, path) = (Counters::default(), "/vol");
    let attempt = |address| Attempt {
        config: &config,
        counters: &counters,
        server: &server,
        path,
        address,
    };
    let attempts = [attempt(other), attempt(mountd.address)].into_iter();
    let mounted = first_of(attempts, &config).await.unwrap();
    assert_eq!(mounted.nfs, mountd.address);
    let error = first_of([attempt(other)].into_iter(), &config)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.detail.contains("at 127.0.0.2: MOUNT"), "{error}");
}

#[tokio::test]
async fn addresses_keep_their_zones_and_the_one_in_use_comes_first() {
    let server = ServerName::parse("fe80::1%1").unwrap();
    let config = crate::script::config("fe80::1%1", "/");
    let found = resolve(&server, &config).await.unwrap();
    assert_eq!(with_port(found[0], 7).to_string(), "[fe80::1%1]:7");
    let mut addresses = ["10.0.0.1:0", "10.0.0.2:0", "10.0.0.3:0"].map(|a| a.parse().unwrap());
    put_first(Some("10.0.0.3:2049".parse().unwrap()), &mut addresses);
    let order = addresses.map(|address: SocketAddr| address.ip().to_string());
    assert_eq!(order, ["10.0.0.3", "10.0.0.1", "10.0.0.2"]);
}
