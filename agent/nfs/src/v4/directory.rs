//! READDIR (RFC 8881 §18.23), which tells handles and attributes as READDIRPLUS does.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{DirEntry, DirPage, EndpointError, Handle, Node};
use futures::StreamExt;

use super::attributes::{Values, Wanted};
use super::client::Client;
use super::compound::{Compound, Operation};
use crate::counts::Procedure;
use crate::directory::{ENTRIES_MAX, LOOKUPS, NAME_MAX, next_cursor};
use crate::position::Position;
use crate::status::{is_dot, is_name, printable};
use crate::xdr::{Malformed, Reply};

/// An entry as the server sent it, its bytes in the page's own small buffer: one name that is kept
/// must not keep a quarter of a megabyte.
pub(super) struct Found {
    pub(super) name: Range<usize>,
    pub(super) handle: Option<Range<usize>>,
    values: Values,
}

/// One page, with what the server left out looked up.
pub(super) async fn read_page(
    client: &Client,
    directory: &[u8],
    cursor: Option<Position>,
    page_size: u32,
) -> Result<DirPage, EndpointError> {
    let start = cursor.unwrap_or_default();
    let listing = |compound: Compound| {
        compound
            .operation(Operation::ReadDir)
            .longs(&[start.cookie])
            .fixed(&start.verifier)
            .words(&[page_size, page_size, 2])
            .words(&Wanted::Listed.words())
    };
    let reply = client.read_dir(directory, listing).await?;
    let (kept, found, next) =
        parse(reply, start).map_err(|error| client.malformed(Procedure::ReadDir, &error))?;
    let entries = futures::stream::iter(found)
        .map(|found| complete(client, directory, &kept, found))
        .buffered(LOOKUPS)
        .collect()
        .await;
    Ok(DirPage {
        entries,
        next: next.map(Into::into),
    })
}

async fn complete(client: &Client, directory: &[u8], kept: &Bytes, found: Found) -> DirEntry {
    let name = kept.slice(found.name);
    let node = match found.handle {
        Some(handle) if !found.values.has_failed => client
            .known(Procedure::ReadDir, &found.values)
            .map(|attributes| (kept.slice(handle), attributes)),
        _ => client.lookup(directory, &name).await,
    };
    DirEntry {
        name,
        node: node
            .map(|(handle, attributes)| Node {
                handle: Handle(handle),
                attributes,
            })
            .map_err(Arc::new),
    }
}

pub(super) type Page = (Bytes, Vec<Found>, Option<Position>);

pub(super) fn parse(mut reply: Reply, start: Position) -> Result<Page, Malformed> {
    let verifier = reply.bytes8("the cookie verifier")?;
    let (mut kept, mut found, mut cookies) = (Vec::new(), Vec::new(), Vec::new());
    while reply.flag("whether an entry follows")? {
        if cookies.len() == ENTRIES_MAX {
            return Err(Malformed::Other(format!(
                "a page of more than {ENTRIES_MAX} entries"
            )));
        }
        cookies.push(reply.u64("a cookie")?);
        let name = reply.opaque(NAME_MAX, "a name")?;
        let mut values = Values::read(&mut reply)?;
        if is_dot(&name) {
            continue;
        }
        if !is_name(&name) {
            let name = printable(&name);
            return Err(Malformed::Other(format!(
                "the server lists \"{name}\", which is no name"
            )));
        }
        let mut keep = |bytes: &[u8]| {
            let start = kept.len();
            kept.extend_from_slice(bytes);
            start..kept.len()
        };
        found.push(Found {
            name: keep(&name),
            handle: values.handle.take().map(|handle| keep(&handle)),
            values,
        });
    }
    let eof = reply.flag("the end of the directory")?;
    let next = next_cursor(eof, start, &cookies, verifier)?;
    Ok((kept.into(), found, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Xdr;
    use crate::v4::attributes::tests::file;

    const START: Position = Position {
        cookie: 0,
        verifier: [0; 8],
    };

    fn entry(wire: Xdr, cookie: u64, name: &[u8], handle: Option<&[u8]>) -> Xdr {
        let mut wire = wire.words(&[1]).long(cookie).opaque(name);
        wire.0.extend_from_slice(&file(7, "1", handle).0);
        wire
    }

    fn page(wire: Xdr) -> Result<Page, Malformed> {
        parse(Reply::new(wire.0.into()), START)
    }

    #[test]
    fn a_page_has_names_handles_and_where_to_go_on() {
        let wire = entry(Xdr::default().long(9), 3, b"..", Some(b"up"));
        let wire = entry(wire, 4, b"one\xff", Some(b"handle"));
        let wire = entry(wire, 5, b"two", None).words(&[0, 0]);
        let (kept, found, next) = page(wire).unwrap();
        let names: Vec<&[u8]> = found
            .iter()
            .map(|found| &kept[found.name.clone()])
            .collect();
        assert_eq!(names, [b"one\xff".as_slice(), b"two"]);
        assert_eq!(
            found[0].handle.clone().map(|at| &kept[at]),
            Some(b"handle".as_slice())
        );
        assert!(found[1].handle.is_none());
        let next = next.unwrap();
        assert_eq!((next.cookie, u64::from_be_bytes(next.verifier)), (5, 9));
    }

    #[test]
    fn pages_that_lead_nowhere_or_name_nothing_are_refused() {
        let begun = || Xdr::default().long(0);
        assert!(page(begun().words(&[0, 0])).is_err(), "empty, and no end");
        assert!(page(begun().words(&[0, 1])).is_ok(), "empty");
        let twice = entry(entry(begun(), 4, b"a", None), 4, b"b", None);
        assert!(page(twice.words(&[0, 0])).is_err(), "a cookie comes again");
        for name in [b"a/b".as_slice(), b"", b"\0", &[b'x'; 256]] {
            assert!(page(entry(begun(), 4, name, None).words(&[0, 1])).is_err());
        }
        assert!(page(entry(begun(), 4, b"a", None)).is_err(), "cut");
    }
}
