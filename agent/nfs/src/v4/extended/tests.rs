//! Against a server that does what a test says.

use std::sync::Arc;

use datasync_endpoint::{Attributes, Handle, Timestamp};

use super::*;
use crate::script::{Act, Request, Server, Xdr, accepted, record};

const PUT_FH: u32 = 22;
const GET_ATTR: u32 = 9;
const GET_XATTR: u32 = 72;
const LIST_XATTRS: u32 = 74;
const NO_XATTR: u32 = 10095;

/// Answers a call of minor version 0, which needs no session: `answer` gives the status of the operation
/// behind PUTFH, and its result.
async fn client(
    answer: impl Fn(u32, &mut crate::xdr::Reply) -> (u32, Xdr) + Send + Sync + 'static,
) -> (Server, Client) {
    let told = move |mut request: Request| {
        let call = &mut request.arguments;
        call.opaque(4, "a tag").unwrap();
        let head: [u32; 3] = std::array::from_fn(|_| call.u32("the head of a call").unwrap());
        assert_eq!(
            head,
            [0, 2, PUT_FH],
            "minor version, operations and the first of them"
        );
        call.opaque(128, "a handle").unwrap();
        let operation = call.u32("an operation").unwrap();
        let (status, result) = answer(operation, call);
        let results = Xdr::default().words(&[status, 0, 2, PUT_FH, 0, operation, status]);
        let mut results = results;
        results.0.extend_from_slice(&result.0);
        Act::write(record(&accepted(request.xid, &results)))
    };
    let server = Server::start(told).await;
    let client = Client::new(server.address, 0, &server.config("/"), Arc::default());
    (server, client)
}

fn node(kind: EntryKind) -> Node {
    let time = Timestamp::default();
    Node {
        handle: Handle(bytes::Bytes::from_static(b"handle")),
        attributes: Attributes {
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            nlink: 1,
            file_id: 1,
            fsid: 1,
            mtime: time,
            ctime: time,
            atime: time,
            device: None,
        },
    }
}

const XATTRS: ExtendedKinds = ExtendedKinds {
    acls: false,
    xattrs: true,
};

#[tokio::test]
async fn attributes_come_page_by_page_without_those_that_are_gone() {
    let (_server, client) = client(|operation, call| match operation {
        LIST_XATTRS => match call.u64("a cookie").unwrap() {
            0 => {
                let page = Xdr::default().long(2).words(&[2]).opaque(b"colour");
                (0, page.opaque(b"gone").words(&[0]))
            }
            cookie => {
                assert_eq!(cookie, 2);
                let page = Xdr::default().long(3).words(&[1]).opaque(b"size");
                (0, page.words(&[1]))
            }
        },
        GET_XATTR => match &call.opaque(255, "a name").unwrap()[..] {
            b"gone" => (NO_XATTR, Xdr::default()),
            name => (0, Xdr::default().opaque(&[name, b"!"].concat())),
        },
        other => panic!("operation {other}"),
    })
    .await;
    let file = client
        .extended(&node(EntryKind::File), XATTRS)
        .await
        .unwrap();
    let found: Vec<_> = file.xattrs.iter().collect();
    assert_eq!(
        found,
        [
            (&b"colour"[..], &b"colour!"[..]),
            (&b"size"[..], &b"size!"[..])
        ]
    );
    let link = client
        .extended(&node(EntryKind::Symlink), XATTRS)
        .await
        .unwrap();
    assert!(link.is_empty());
}

#[tokio::test]
async fn a_listing_without_end_ends() {
    let (_server, client) = client(|operation, call| {
        if operation == GET_XATTR {
            return (NO_XATTR, Xdr::default());
        }
        let cookie = call.u64("a cookie").unwrap();
        let page = Xdr::default().long(cookie + 1).words(&[1]);
        (0, page.opaque(b"again").words(&[0]))
    })
    .await;
    let error = client.extended(&node(EntryKind::File), XATTRS).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn values_have_a_bound_together() {
    let (_server, client) = client(|operation, _| {
        if operation == GET_XATTR {
            return (0, Xdr::default().opaque(&vec![0; XATTRS_SIZE_MAX / 2]));
        }
        let names = Xdr::default().long(9).words(&[2]).opaque(b"a").opaque(b"b");
        (0, names.words(&[1]))
    })
    .await;
    let error = client.extended(&node(EntryKind::File), XATTRS).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_server_that_lacks_what_is_to_be_kept_is_refused() {
    let (_server, client) = client(|operation, _| {
        assert_eq!(operation, GET_ATTR);
        let values = Xdr::default().words(&[2, 0, 0, 3]);
        let told = Xdr::default().words(&[1, 1 | 1 << 13]);
        (0, told.opaque(&values.0))
    })
    .await;
    assert!(
        client
            .require(b"root", ExtendedKinds::default())
            .await
            .is_ok()
    );
    let acls = ExtendedKinds {
        acls: true,
        xattrs: false,
    };
    for kinds in [acls, XATTRS] {
        let error = client.require(b"root", kinds).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSupported);
        assert!(error.detail.contains("datasync:"), "{error}");
    }
}
