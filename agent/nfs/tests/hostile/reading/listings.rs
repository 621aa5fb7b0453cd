//! Directories that do not end, and names that are none.

use datasync_endpoint::{DirCursor, EndpointError, EntryKind, ErrorKind, Source};
use datasync_model::NfsVersion;
use datasync_nfs::NfsSource;

use super::victim::{assert_recovered, mounted};
use crate::memory::memory_peak;
use crate::server::{Act, Call, Server, VERSIONS, Xdr};

/// As much as a thousand pages may leave behind, names, handles, buffers and all.
const MEMORY_MAX: u64 = 256 << 20;

/// An entry without handle and attributes, and with those of version 4 that have no value.
fn entry(page: Xdr, version: NfsVersion, name: &[u8], cookie: u64) -> Xdr {
    match version {
        NfsVersion::Nfs3 => {
            let named = page.words(&[1]).long(cookie).opaque(name);
            named.long(cookie).words(&[0, 0])
        }
        _ => page.words(&[1]).long(cookie).opaque(name).words(&[0, 0]),
    }
}

/// The cookie that a call for a page begins at, where it is one.
fn asked(call: &Call, version: NfsVersion) -> Option<u64> {
    let mut rest = call.arguments.clone();
    if version == NfsVersion::Nfs3 {
        rest.opaque();
        return (call.procedure == 17).then(|| rest.long());
    }
    rest.opaque();
    let (_minor, count) = (rest.word(), rest.word());
    for _ in 0..count {
        match rest.word() {
            53 => drop(rest.take(32)),
            22 => drop(rest.opaque()),
            26 => return Some(rest.long()),
            _ => return None,
        }
    }
    None
}

/// The results in front of the entries of a page.
fn head(call: &Call, version: NfsVersion) -> Xdr {
    if version == NfsVersion::Nfs3 {
        return Xdr::default().words(&[0, 0]).long(7);
    }
    let mut rest = call.arguments.clone();
    rest.opaque();
    let (_minor, count) = (rest.word(), rest.word());
    let mut said = Xdr::default().words(&[0, 0, count]);
    if rest.word() == 53 {
        let sequence = rest.take(24);
        said = said.words(&[53, 0]);
        said.0.extend(&sequence);
        said = said.words(&[7, 7, 0]);
    }
    said.words(&[22, 0, 26, 0]).long(7)
}

/// From now on pages have what `page` makes of the cookie they begin at; everything else is sound.
fn list(server: &Server, version: NfsVersion, page: impl Fn(Xdr, u64) -> Xdr + Send + 'static) {
    server.spoil(move |call, record| match asked(call, version) {
        Some(cookie) => Act::send(call.reply(&page(head(call, version), cookie))),
        None => Act::send(record),
    });
}

/// Reads pages until one fails, or there are enough.
async fn pages(source: &NfsSource, enough: usize) -> Result<usize, (usize, EndpointError)> {
    let root = source.root().await.unwrap().handle;
    let mut cursor: Option<DirCursor> = None;
    for number in 0..enough {
        let page = source.read_dir(&root, cursor).await;
        let page = page.map_err(|error| (number, error))?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(number + 1);
        }
    }
    Ok(enough)
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        for name in [
            b"a/b".as_slice(),
            b"/",
            b"",
            b"nul\0",
            &[b'x'; 300],
            &[b'x'; 256],
        ] {
            let name = name.to_vec();
            list(&server, version, move |page, _| {
                entry(page, version, &name, 1).words(&[0, 1])
            });
            let (_, error) = pages(&source, 1).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        }
        // Every directory has these, and they are not entries.
        list(&server, version, move |page, _| {
            let page = entry(page, version, b".", 1);
            entry(page, version, b"..", 2).words(&[0, 1])
        });
        let root = source.root().await.unwrap().handle;
        assert!(
            source
                .read_dir(&root, None)
                .await
                .unwrap()
                .entries
                .is_empty()
        );
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_listing_that_goes_round_in_a_circle_ends() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        for round in [1, 2, 3, 50] {
            list(&server, version, move |page, cookie| {
                let next = 1 + (cookie + 1) % round;
                entry(page, version, b"again", next).words(&[0, 0])
            });
            let (number, error) = pages(&source, 1000).await.unwrap_err();
            let kinds = [ErrorKind::Protocol, ErrorKind::BadCookie];
            assert!(kinds.contains(&error.kind), "{error}");
            assert!(number < 400, "{round}: {number}");
        }
        // A page with nothing in it that is not the last.
        list(&server, version, |page, _| page.words(&[0, 0]));
        let (_, error) = pages(&source, 10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_listing_without_end_takes_no_memory() {
    for version in [NfsVersion::Nfs3, NfsVersion::Nfs4_1] {
        let (server, source) = mounted(version).await;
        list(&server, version, move |page, cookie| {
            let name = |number| format!("{number:064x}");
            let page = (cookie + 1..=cookie + 4).fold(page, |page, number| {
                entry(page, version, name(number).as_bytes(), number)
            });
            page.words(&[0, 0])
        });
        assert_eq!(pages(&source, 100).await.unwrap(), 100);
        let before = memory_peak();
        assert_eq!(pages(&source, 1000).await.unwrap(), 1000);
        assert!(memory_peak() < before + MEMORY_MAX);
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_page_of_too_many_entries_is_refused() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        list(&server, version, move |page, _| {
            let page = (1..=20_000).fold(page, |page, cookie| entry(page, version, b"n", cookie));
            page.words(&[0, 1])
        });
        let (_, error) = pages(&source, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_root_of_a_wrong_type_is_told() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        let kind = source.root().await.unwrap().attributes.kind;
        assert_eq!(kind, EntryKind::Directory);
        // The type is the first attribute in both versions.
        for value in [0u32, 8, 9, 0x0200_0000, u32::MAX] {
            server.spoil(move |call, mut record| {
                let place = match version {
                    NfsVersion::Nfs3 if call.procedure == 1 => Some(32),
                    NfsVersion::Nfs3 => None,
                    _ => place_of_type(&record),
                };
                if let Some(place) = place {
                    record[place..place + 4].copy_from_slice(&value.to_be_bytes());
                }
                Act::send(record)
            });
            let error = source.root().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Protocol, "{value}: {error}");
        }
        server.be_honest();
        assert_recovered(&source).await;
    }
}

/// Behind the GETATTR result's bitmap and length.
fn place_of_type(record: &[u8]) -> Option<usize> {
    let getattr = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2];
    let found = record.windows(getattr.len()).position(|at| at == getattr);
    found.map(|at| at + getattr.len() + 12)
}
