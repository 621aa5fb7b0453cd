//! READDIRPLUS, and READDIR where a server lacks it (RFC 1813 §3.3.16 and §3.3.17).

mod cycle;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{Attributes, DirEntry, DirPage, EndpointError, Handle, Node};
use futures::StreamExt;
use nfs3_types::nfs3::{NFS_PROGRAM, READDIR3args, READDIRPLUS3args, cookieverf3};

use crate::attributes::read_optional;
use crate::client::{Client, wire_handle};
use crate::counts::Procedure;
use crate::position::Position;
use crate::status::{is_dot, is_name, printable, read_handle};
use crate::xdr::{Malformed, Reply};

pub(crate) use cycle::Trails;

/// The longest name that we take; longer ones are refused by [`is_name`].
pub(crate) const NAME_MAX: usize = 255;
/// The most entries of one page: what fits into the largest page that we ask for.
pub(crate) const ENTRIES_MAX: usize = 16 << 10;
/// Bytes of a page that we ask for.
const PAGE_MIN: u32 = 64 << 10;
pub(crate) const PAGE_MAX: u32 = 256 << 10;
/// Look-ups at once for entries that came without handle or attributes.
pub(crate) const LOOKUPS: usize = 16;

/// The size of pages to ask for, given what the server prefers.
pub(crate) fn page_size(preferred: u32) -> u32 {
    preferred.clamp(PAGE_MIN, PAGE_MAX)
}

/// An entry as the server sent it.
#[derive(Debug)]
struct Found {
    name: Bytes,
    handle: Option<Bytes>,
    attributes: Option<Attributes>,
}

#[derive(Debug)]
struct Page {
    entries: Vec<Found>,
    next: Option<Position>,
}

/// Which procedure lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Plus,
    Plain,
}

impl Listing {
    pub(crate) fn procedure(self) -> Procedure {
        match self {
            Self::Plus => Procedure::ReadDirPlus,
            Self::Plain => Procedure::ReadDir,
        }
    }
}

/// One page, with what the server left out looked up.
pub(crate) async fn read_page(
    client: &Client,
    directory: &[u8],
    cursor: Option<Position>,
    page_size: u32,
    listing: Listing,
) -> Result<DirPage, EndpointError> {
    let start = cursor.unwrap_or_default();
    let procedure = listing.procedure();
    let reply = match listing {
        Listing::Plus => {
            let arguments = READDIRPLUS3args {
                dir: wire_handle(directory),
                cookie: start.cookie,
                cookieverf: cookieverf3(start.verifier),
                dircount: page_size,
                maxcount: page_size,
            };
            let number = NFS_PROGRAM::NFSPROC3_READDIRPLUS;
            client.call(procedure, number, &arguments).await?
        }
        Listing::Plain => {
            let arguments = READDIR3args {
                dir: wire_handle(directory),
                cookie: start.cookie,
                cookieverf: cookieverf3(start.verifier),
                count: page_size,
            };
            let number = NFS_PROGRAM::NFSPROC3_READDIR;
            client.call(procedure, number, &arguments).await?
        }
    };
    let page = parse(reply, start, listing).map_err(|error| client.malformed(procedure, &error))?;
    let entries = futures::stream::iter(page.entries)
        .map(|found| complete(client, directory, found))
        .buffered(LOOKUPS)
        .collect()
        .await;
    Ok(DirPage {
        entries,
        next: page.next.map(Into::into),
    })
}

async fn complete(client: &Client, directory: &[u8], found: Found) -> DirEntry {
    let node = match (found.handle, found.attributes) {
        (Some(handle), Some(attributes)) => Ok((handle, attributes)),
        (Some(handle), None) => client
            .attributes(&handle)
            .await
            .map(|attributes| (handle, attributes)),
        (None, _) => client.lookup(directory, &found.name).await,
    };
    DirEntry {
        name: found.name,
        node: node
            .map(|(handle, attributes)| Node {
                handle: Handle(handle),
                attributes,
            })
            .map_err(Arc::new),
    }
}

/// Where an entry's name and handle lie in the page's own small buffer. They are copied out of the
/// reply: one name that is kept must not keep a quarter of a megabyte.
struct Span {
    name: Range<usize>,
    handle: Option<Range<usize>>,
    attributes: Option<Attributes>,
}

fn parse(mut reply: Reply, start: Position, listing: Listing) -> Result<Page, Malformed> {
    read_optional(&mut reply)?;
    let verifier = reply.bytes8("the cookie verifier")?;
    let mut kept = Vec::new();
    let mut spans = Vec::new();
    let mut cookies = Vec::new();
    while reply.flag("whether an entry follows")? {
        if cookies.len() == ENTRIES_MAX {
            return Err(Malformed::Other(format!(
                "a page of more than {ENTRIES_MAX} entries"
            )));
        }
        reply.u64("a file id")?;
        let name = reply.opaque(NAME_MAX, "a name")?;
        cookies.push(reply.u64("a cookie")?);
        let mut attributes = None;
        let mut handle = None;
        if listing == Listing::Plus {
            attributes = read_optional(&mut reply)?;
            if reply.flag("whether a handle follows")? {
                handle = Some(read_handle(&mut reply)?);
            }
        }
        if is_dot(&name) {
            continue;
        }
        if !is_name(&name) {
            let name = printable(&name);
            return Err(Malformed::Other(format!(
                "the server lists \"{name}\", which is no name"
            )));
        }
        spans.push(Span {
            name: keep(&mut kept, &name),
            handle: handle.map(|handle| keep(&mut kept, &handle)),
            attributes,
        });
    }
    let next = next_cursor(
        reply.flag("the end of the directory")?,
        start,
        &cookies,
        verifier,
    )?;
    let kept = Bytes::from(kept);
    let entries = spans
        .into_iter()
        .map(|span| Found {
            name: kept.slice(span.name),
            handle: span.handle.map(|handle| kept.slice(handle)),
            attributes: span.attributes,
        })
        .collect();
    Ok(Page { entries, next })
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = kept.len();
    kept.extend_from_slice(bytes);
    start..kept.len()
}

/// Where to go on; an error where that would lead back to where we were.
pub(crate) fn next_cursor(
    eof: bool,
    start: Position,
    cookies: &[u64],
    verifier: [u8; 8],
) -> Result<Option<Position>, Malformed> {
    if eof {
        return Ok(None);
    }
    let Some((last, before)) = cookies.split_last() else {
        return Err(Malformed::Other(
            "an empty page of a directory that has not ended".to_owned(),
        ));
    };
    if *last == start.cookie || *last == 0 || before.contains(last) {
        return Err(Malformed::Other(format!(
            "the directory's cookie {last} comes again: reading on would not end"
        )));
    }
    Ok(Some(Position {
        cookie: *last,
        verifier,
    }))
}

#[cfg(test)]
mod tests;
