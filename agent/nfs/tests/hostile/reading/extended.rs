//! Holes, access control lists and extended attributes that are none (RFC 7862 §15.11, RFC 8881 §6.2.1,
//! RFC 8276 §8).

use datasync_endpoint::{ErrorKind, Source};
use datasync_model::NfsVersion;

use super::victim::{Operation, assert_recovered, file, mounted};
use crate::memory::memory_peak;
use crate::server::{Act, Call, Server, Xdr};

const VERSION: NfsVersion = NfsVersion::Nfs4_2;
/// More than a few replies take, and far less than what is announced.
const MEMORY_MAX: u64 = 128 << 20;

/// The record of an answer to a COMPOUND of `operation` behind a PUTFH, whose result is `result`.
fn answered(call: &Call, operation: u32, result: &Xdr) -> Vec<u8> {
    let mut rest = call.arguments.clone();
    rest.opaque();
    let (_minor, count) = (rest.word(), rest.word());
    assert_eq!(rest.word(), 53);
    let head = Xdr::default().words(&[0, 0, count, 53, 0]);
    let sequence = Xdr(rest.take(24)).words(&[7, 7, 0]);
    let head = head.then(&sequence).words(&[22, 0]);
    call.reply(&head.words(&[operation, 0]).then(result))
}

/// From now on `operation` behind a PUTFH has `result` of the number of times that it was asked for.
fn say(server: &Server, operation: u32, result: impl Fn(u32) -> Xdr + Send + 'static) {
    let asked = std::sync::atomic::AtomicU32::new(0);
    server.spoil(move |call, record| {
        if call.last_operation() != operation {
            return Act::send(record);
        }
        let time = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Act::send(answered(call, operation, &result(time)))
    });
}

const GETATTR: u32 = 9;
const GETXATTR: u32 = 72;
const LISTXATTRS: u32 = 74;

#[tokio::test]
async fn lists_that_lie_are_refused() {
    let (server, source) = mounted(VERSION).await;
    let before = memory_peak();
    let of = |acl: &Xdr| Xdr::default().words(&[1, 1 << 12]).opaque(&acl.0);
    let ace = |kind: u32| {
        let ace = Xdr::default().words(&[kind, 0, 1]);
        ace.opaque(b"EVERYONE@")
    };
    let list = |count: u32, ace: &Xdr| of(&Xdr::default().words(&[count]).then(ace));
    for spoilt in [
        list(u32::MAX, &ace(0)),
        list(0x7fff_ffff, &ace(0)),
        list(1025, &ace(0)),
        list(2, &ace(0)),
        list(1, &ace(4)),
        list(1, &ace(u32::MAX)),
        list(1, &Xdr::default().words(&[0, 0, 1, u32::MAX])),
        list(1, &Xdr::default().words(&[0, 0, 1, 1025])),
        // More than was asked for, longer than it is, and in another place.
        Xdr::default().words(&[1, u32::MAX, 4, 0]),
        Xdr::default().words(&[1, 1 << 12, u32::MAX, 0]),
        Xdr::default().words(&[u32::MAX, 1 << 12, 4, 0]),
        Xdr::default().words(&[2, 0, 1 << 1, 4, 1]),
    ] {
        say(&server, GETATTR, move |_| spoilt.clone());
        let error = Operation::Extended.run(&source).await.unwrap_err();
        let kinds = [ErrorKind::Protocol, ErrorKind::TooLarge];
        assert!(kinds.contains(&error.kind), "{error}");
    }
    assert!(memory_peak() < before + MEMORY_MAX);
    server.be_honest();
    assert_recovered(&source).await;
}

#[tokio::test]
async fn attributes_that_lie_are_refused() {
    let (server, source) = mounted(VERSION).await;
    let before = memory_peak();
    let page = |cookie: u64, count: u32| Xdr::default().long(cookie).words(&[count]);
    let long = vec![b'n'; 256];
    for spoilt in [
        page(9, u32::MAX),
        page(9, 0x4000_0000),
        page(9, 8193),
        page(9, 1).words(&[u32::MAX]),
        page(9, 1).opaque(b"").words(&[1]),
        page(9, 1).opaque(b"nul\0").words(&[1]),
        page(9, 1).opaque(&long).words(&[1]),
        page(9, 1).opaque(b"colour").words(&[2]),
        page(9, 0).words(&[0]),
        page(0, 1).opaque(b"colour").words(&[0]),
    ] {
        say(&server, LISTXATTRS, move |_| spoilt.clone());
        let error = Operation::Extended.run(&source).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    }
    for announced in [u32::MAX, 0x7fff_ffff, (64 << 10) + 1, 400] {
        say(&server, GETXATTR, move |_| {
            Xdr::default().words(&[announced])
        });
        let error = Operation::Extended.run(&source).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    }
    assert!(memory_peak() < before + MEMORY_MAX);
    server.be_honest();
    assert_recovered(&source).await;
}

#[tokio::test]
async fn attributes_without_end_come_to_one() {
    let (server, source) = mounted(VERSION).await;
    let page = |time: u32, name: String| {
        let page = Xdr::default().long(u64::from(time) + 1).words(&[1]);
        page.opaque(name.as_bytes()).words(&[0])
    };
    // Always another one, which is there or is gone by then, and the same one again and again.
    for is_new in [true, false] {
        for is_gone in [true, false] {
            let there = (0..300).map(|number| (format!("number {number}").into(), vec![b'1']));
            let there = there.filter(|_| !is_gone).collect();
            server.disk().node_mut(b"file").unwrap().xattrs = there;
            say(&server, LISTXATTRS, move |time| {
                let number = if is_new { time } else { 7 };
                page(time, format!("number {number}"))
            });
            let error = source.extended(&file()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
        }
    }
    server.be_honest();
    assert_recovered(&source).await;
}

/// What READ at `offset` comes to where SEEK says `data` and `hole`, each with its eof.
async fn read_where(offset: u64, data: (u32, u64), hole: (u32, u64)) -> Result<usize, ErrorKind> {
    let (server, source) = mounted(VERSION).await;
    server.spoil(move |call, record| {
        if call.last_operation() != 69 {
            return Act::send(record);
        }
        // Behind the attributes, which stay as they are: the results of both SEEKs have 20 bytes each.
        let mut record = record;
        record.truncate(record.len() - 40);
        for (eof, found) in [data, hole] {
            let result = Xdr::default().words(&[69, 0, eof]).long(found);
            record.extend(&result.0);
        }
        Act::send(record)
    });
    let asked = source.read_max();
    let read = source.read(&file().handle, offset, asked).await;
    let read = read.map_err(|error| error.kind)?;
    assert!(read.data.len() <= asked as usize);
    assert!(read.eof || !read.data.is_empty());
    Ok(read.data.len())
}

#[tokio::test]
async fn holes_that_lie_give_no_more_than_there_is() {
    let places = [0, 1, 5, 10, 11, 1 << 40, u64::MAX - 1, u64::MAX];
    for data in places {
        for hole in places {
            for eof in [0, 1] {
                let read = read_where(2, (eof, data), (eof, hole)).await;
                // The file has ten bytes: data as it is, or what is said to be a hole.
                assert!(read.unwrap() <= 8, "{data} {hole} {eof}");
            }
        }
    }
    for eof in [2, u32::MAX] {
        let read = read_where(2, (eof, 2), (0, 10)).await;
        assert_eq!(read.unwrap_err(), ErrorKind::Protocol);
    }
}
