use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nfs3_types::mount::PROGRAM as MOUNT;

use super::*;
use crate::script::{Act, Request, Server, Xdr, record, reply};

const GETATTR: u32 = 1;
const LOOKUP: u32 = 3;
const READLINK: u32 = 5;
const READ: u32 = 6;
const READDIR: u32 = 16;
const READDIRPLUS: u32 = 17;
const FSINFO: u32 = 19;

const FILE: u32 = 1;
const DIRECTORY: u32 = 2;

const OK: u32 = 0;
const NOENT: u32 = 2;
const STALE: u32 = 70;
const NOTSUPP: u32 = 10_004;
const JUKEBOX: u32 = 10_008;

fn status(status: u32) -> Xdr {
    Xdr::default().words(&[status])
}

/// A mounted source on a server that answers MNT, FSINFO and GETATTR, the rest as the test says.
async fn mounted(
    rest: impl Fn(&mut Request) -> Option<Xdr> + Send + Sync + 'static,
) -> (Server, Nfs3Source) {
    let server = Server::start(move |mut request| {
        if let Some(results) = rest(&mut request) {
            return reply(request.xid, &results);
        }
        let results = match (request.program, request.procedure) {
            (MOUNT, _) => status(OK).opaque(b"root").words(&[1, 1]),
            (_, GETATTR) => status(OK).attributes(DIRECTORY, 4096),
            (_, FSINFO) => {
                let sizes = [0, 128 << 10, 64 << 10, 1, 0, 0, 0, 8192];
                status(OK).words(&sizes).long(0).words(&[0, 1, 0])
            }
            (_, procedure) => panic!("procedure {procedure} was not expected"),
        };
        reply(request.xid, &results)
    })
    .await;
    let source = Nfs3Source::mount(server.config("/vol")).await.unwrap();
    (server, source)
}

fn handle(text: &'static [u8]) -> Handle {
    Handle(Bytes::from_static(text))
}

/// The start of a page of entries.
fn page() -> Xdr {
    status(OK).words(&[0]).long(7)
}

#[tokio::test]
async fn the_servers_sizes_are_kept_to() {
    let (_server, source) = mounted(|_| None).await;
    assert_eq!(source.read_max(), 128 << 10);
    assert_eq!(source.page_size, 64 << 10);
    let root = source.root().await.unwrap();
    assert_eq!(root.handle, handle(b"root"));
    assert_eq!(root.attributes.kind, EntryKind::Directory);
    let calls = source.calls();
    assert_eq!((calls.mnt, calls.fsinfo, calls.getattr), (1, 1, 2));
}

#[tokio::test]
async fn what_a_page_leaves_out_is_looked_up() {
    let (_server, source) = mounted(|request| match request.procedure {
        READDIRPLUS => Some({
            let whole = page().words(&[1]).long(1).opaque(b"whole").long(1);
            let whole = whole
                .words(&[1])
                .attributes(FILE, 1)
                .words(&[1])
                .opaque(b"w");
            let bare = whole
                .words(&[1])
                .long(2)
                .opaque(b"bare")
                .long(2)
                .words(&[0, 0]);
            let gone = bare
                .words(&[1])
                .long(3)
                .opaque(b"gone")
                .long(3)
                .words(&[0, 0]);
            let handle = gone.words(&[1]).long(4).opaque(b"handle").long(4);
            handle.words(&[0, 1]).opaque(b"h").words(&[0, 1])
        }),
        LOOKUP => {
            assert_eq!(request.arguments.opaque(64, "directory").unwrap(), "root");
            Some(match &request.arguments.opaque(255, "name").unwrap()[..] {
                b"bare" => status(OK)
                    .opaque(b"b")
                    .words(&[1])
                    .attributes(FILE, 2)
                    .words(&[0]),
                _ => status(NOENT).words(&[0]),
            })
        }
        GETATTR => match &request.arguments.opaque(64, "handle").unwrap()[..] {
            b"h" => Some(status(OK).attributes(FILE, 4)),
            _ => None,
        },
        _ => None,
    })
    .await;
    let page = source.read_dir(&handle(b"root"), None).await.unwrap();
    assert!(page.next.is_none());
    let found: Vec<_> = page
        .entries
        .iter()
        .map(|entry| {
            let node = entry.node.as_ref();
            let node = node.map(|node| (node.handle.0.clone(), node.attributes.size));
            (entry.name.clone(), node.map_err(|error| error.kind))
        })
        .collect();
    let node = |handle: &'static str, size| Ok((Bytes::from(handle), size));
    let expected = [
        ("whole", node("w", 1)),
        ("bare", node("b", 2)),
        ("gone", Err(ErrorKind::NotFound)),
        ("handle", node("h", 4)),
    ];
    assert_eq!(
        found,
        expected.map(|(name, node)| (Bytes::from(name), node))
    );
}

#[tokio::test]
async fn readdir_serves_where_readdirplus_is_unknown() {
    let (_server, source) = mounted(|request| match request.procedure {
        READDIRPLUS => Some(status(NOTSUPP).words(&[0])),
        READDIR => Some({
            let first = page().words(&[1]).long(1).opaque(b".").long(1);
            first
                .words(&[1])
                .long(2)
                .opaque(b"name")
                .long(2)
                .words(&[0, 1])
        }),
        LOOKUP => Some(status(OK).opaque(b"n").words(&[0, 0])),
        _ => None,
    })
    .await;
    for _ in 0..2 {
        let page = source.read_dir(&handle(b"root"), None).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0].name, "name");
        assert_eq!(page.entries[0].node.as_ref().unwrap().handle, handle(b"n"));
    }
    let calls = source.calls();
    assert_eq!((calls.readdirplus, calls.readdir, calls.lookup), (1, 2, 2));
}

#[tokio::test]
async fn a_directory_that_loops_or_lies_is_a_breach() {
    let pages: [fn() -> Xdr; 4] = [
        || page().words(&[0, 0]),
        || {
            page()
                .words(&[1])
                .long(1)
                .opaque(b"a")
                .long(9)
                .words(&[0, 0, 0, 0])
        },
        || {
            page()
                .words(&[1])
                .long(1)
                .opaque(b"../a")
                .long(10)
                .words(&[0, 0, 0, 1])
        },
        || page().words(&[1]).long(1).words(&[u32::MAX]),
    ];
    for lie in pages {
        let (_server, source) =
            mounted(move |request| (request.procedure == READDIRPLUS).then(lie)).await;
        let cursor = Position {
            cookie: 9,
            verifier: [0; 8],
        };
        let error = source
            .read_dir(&handle(b"root"), Some(cursor.into()))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        assert!(
            error.to_string().starts_with("READDIRPLUS 127.0.0.1:"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn reads_are_cut_to_what_was_asked_for() {
    let (_server, source) = mounted(|request| {
        (request.procedure == READ).then(|| {
            request.arguments.opaque(64, "file").unwrap();
            request.arguments.u64("offset").unwrap();
            let asked = request.arguments.u32("count").unwrap();
            let sent = vec![7; asked as usize + 100];
            status(OK)
                .words(&[1])
                .attributes(FILE, 5)
                .words(&[asked, 1])
                .opaque(&sent)
        })
    })
    .await;
    let read = source.read(&handle(b"f"), 0, 1000).await.unwrap();
    assert_eq!((read.data.len(), read.eof), (1000, true));
    assert_eq!(read.attributes.unwrap().size, 5);
    let most = source.read(&handle(b"f"), 0, u32::MAX).await.unwrap();
    assert_eq!(most.data.len(), 128 << 10);
}

#[tokio::test]
async fn targets_of_links_are_bounded() {
    for (target, kind) in [
        (vec![b'x'; 4096], None),
        (vec![b'x'; 4097], Some(ErrorKind::Protocol)),
        (b"a\0b".to_vec(), Some(ErrorKind::Protocol)),
    ] {
        let expected = target.clone();
        let (_server, source) = mounted(move |request| {
            (request.procedure == READLINK).then(|| status(OK).words(&[0]).opaque(&target))
        })
        .await;
        let read = source.read_link(&handle(b"l")).await;
        match kind {
            None => assert_eq!(read.unwrap(), expected),
            Some(kind) => assert_eq!(read.unwrap_err().kind, kind),
        }
    }
}

#[tokio::test]
async fn statuses_come_back_as_kinds_and_only_noent_as_absence() {
    let next = std::sync::Arc::new(AtomicU32::new(0));
    let answer = std::sync::Arc::clone(&next);
    let (_server, source) = mounted(move |request| {
        let found = answer.load(Ordering::Relaxed);
        (request.procedure == LOOKUP).then(|| status(found).words(&[0]))
    })
    .await;
    let root = handle(b"root");
    next.store(NOENT, Ordering::Relaxed);
    assert!(source.lookup(&root, b"a").await.unwrap().is_none());
    for (found, kind) in [
        (JUKEBOX, ErrorKind::Busy),
        (STALE, ErrorKind::Stale),
        (13, ErrorKind::PermissionDenied),
        (5, ErrorKind::ServerFault),
        (20, ErrorKind::Invalid),
    ] {
        next.store(found, Ordering::Relaxed);
        let error = source.lookup(&root, b"a\n").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains("a\\\\n"), "{error}");
    }
    let calls = source.calls().lookup;
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"a\0", &[b'x'; 256]] {
        let error = source.lookup(&root, name).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidName);
    }
    assert_eq!(source.calls().lookup, calls);
}

#[tokio::test]
async fn a_root_that_went_stale_is_mounted_again() {
    let (mounts, checks) = (AtomicU32::new(0), AtomicU32::new(0));
    let (_server, source) = mounted(move |request| match (request.program, request.procedure) {
        (MOUNT, _) => {
            let nth = mounts.fetch_add(1, Ordering::Relaxed);
            let handle: &[u8] = if nth == 0 { b"old" } else { b"new" };
            Some(status(OK).opaque(handle).words(&[0]))
        }
        (_, GETATTR) => match &request.arguments.opaque(64, "handle").unwrap()[..] {
            // Good for the mount, then no more.
            b"old" if checks.fetch_add(1, Ordering::Relaxed) > 0 => Some(status(STALE)),
            _ => None,
        },
        _ => None,
    })
    .await;
    let root = source.root().await.unwrap();
    assert_eq!(root.handle, handle(b"new"));
    assert_eq!(source.calls().mnt, 2);
    assert_eq!(source.root().await.unwrap().handle, handle(b"new"));
    assert_eq!(source.calls().mnt, 2);
}

#[tokio::test]
async fn a_path_below_the_export_is_looked_up() {
    let serve = |request: Request, found: Xdr| -> Act {
        let results = match (request.program, request.procedure) {
            (MOUNT, _) => {
                let mut arguments = request.arguments;
                match &arguments.opaque(1024, "a path").unwrap()[..] {
                    b"/vol" => status(OK).opaque(b"root").words(&[0]),
                    _ => status(NOENT),
                }
            }
            (_, LOOKUP) => found,
            (_, GETATTR) => status(OK).attributes(FILE, 0),
            // No sizes: the defaults must do.
            (_, FSINFO) => status(13).words(&[0]),
            (_, procedure) => panic!("procedure {procedure} was not expected"),
        };
        reply(request.xid, &results)
    };
    let missing = Server::start(move |request| serve(request, status(NOENT).words(&[0]))).await;
    let error = Nfs3Source::mount(missing.config("/vol/a"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::ContainerNotFound);
    assert!(
        error.to_string().contains("/vol/a") && error.detail.contains("\"a\""),
        "{error}"
    );
    let file = Server::start(move |request| {
        serve(
            request,
            status(OK)
                .opaque(b"a")
                .words(&[1])
                .attributes(FILE, 0)
                .words(&[0]),
        )
    })
    .await;
    let error = Nfs3Source::mount(file.config("/vol/a")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ContainerNotFound);
    assert!(error.detail.contains("not a directory"), "{error}");
}

#[tokio::test]
async fn sizes_that_a_server_does_not_tell_are_small() {
    let (_server, source) = mounted(|request| {
        let sizes = (request.program != MOUNT && request.procedure == FSINFO).then_some(13);
        sizes.map(|sizes| status(sizes).words(&[0]))
    })
    .await;
    assert_eq!(source.read_max(), 32 << 10);
}

#[tokio::test]
async fn refusals_and_silence_of_nfs_itself() {
    let server = Server::start(|request| match request.program {
        MOUNT => reply(request.xid, &status(OK).opaque(b"root").words(&[0])),
        _ => Act::write(record(&Xdr::default().words(&[request.xid, 1, 1, 1, 5]).0)),
    })
    .await;
    let error = Nfs3Source::mount(server.config("/vol")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
    assert!(error.detail.contains("port below 1024"), "{error}");
    let server = Server::start(|request| match request.program {
        MOUNT => reply(request.xid, &status(OK).opaque(b"root").words(&[0])),
        _ => Act::silence(),
    })
    .await;
    let config = NfsConfig {
        call_timeout: Duration::from_millis(300),
        ..server.config("/vol")
    };
    let error = Nfs3Source::mount(config).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn a_reply_that_ends_early_is_a_breach_of_that_call_alone() {
    let (server, source) =
        mounted(|request| (request.procedure == READ).then(|| status(OK).words(&[1, 1, 1]))).await;
    let error = source.read(&handle(b"f"), 0, 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    source.root().await.unwrap();
    // One for MOUNT, one for NFS.
    assert_eq!(server.connections(), 2);
}

/// The cursor after which the listing of `directory` fails, and how.
async fn read_to_the_failure(source: &Nfs3Source, directory: &Handle) -> (usize, EndpointError) {
    let mut cursor = None;
    for page in 1..100 {
        // A caller may ask for the same page again.
        for last in [false, true] {
            match source.read_dir(directory, cursor.clone()).await {
                Ok(read) if last => cursor = Some(read.next.expect("the directory never ends")),
                Ok(_) => {}
                Err(error) => return (page, error),
            }
        }
    }
    panic!("the circle was not found");
}

/// Serves pages of one entry; the cookie that was sent says which name and cookie come next.
async fn circling(
    next: impl Fn(u64) -> (u64, u64) + Send + Sync + 'static,
) -> (Server, Nfs3Source) {
    mounted(move |request| {
        (request.procedure == READDIRPLUS).then(|| {
            request.arguments.opaque(64, "directory").unwrap();
            let (name, cookie) = next(request.arguments.u64("cookie").unwrap());
            let entry = page()
                .words(&[1])
                .long(1)
                .opaque(name.to_string().as_bytes());
            let whole = entry.long(cookie).words(&[1]).attributes(FILE, 1);
            whole.words(&[1]).opaque(b"h").words(&[0, 0])
        })
    })
    .await
}

#[tokio::test]
async fn pages_that_go_round_in_a_circle_are_found() {
    // 0, 10, 20, … 70, and from there back to 30.
    let (_server, source) =
        circling(|cookie| (cookie, if cookie == 70 { 30 } else { cookie + 10 })).await;
    let (pages, error) = read_to_the_failure(&source, &handle(b"root")).await;
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    assert!(error.detail.contains("comes again"), "{error}");
    assert!(pages <= 26, "{pages}");
    // Always new cookies, but the same five names.
    let (_server, source) = circling(|cookie| (cookie % 5, cookie + 1)).await;
    let (pages, error) = read_to_the_failure(&source, &handle(b"root")).await;
    assert_eq!(error.kind, ErrorKind::BadCookie, "{error}");
    assert!(pages <= 17, "{pages}");
}

#[tokio::test]
async fn a_server_that_reads_byte_by_byte_is_asked_for_more() {
    let (_server, source) = mounted(|request| {
        let sizes = [0, 1, 1, 1, 0, 0, 0, 1];
        (request.program != MOUNT && request.procedure == FSINFO)
            .then(|| status(OK).words(&sizes).long(0).words(&[0, 1, 0]))
    })
    .await;
    assert_eq!(source.read_max(), 4096);
}
