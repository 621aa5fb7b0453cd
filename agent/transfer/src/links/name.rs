//! One name of a file that has several, as it is kept on disk.

use bytes::Bytes;
use datasync_endpoint::{Handle, Key, ListedObject, Node, Timestamp};

use crate::catalog::Entry;
use crate::journal::write_frame;
use crate::sorter::{Sortable, put_attributes, put_bytes, take_attributes, take_bytes, take_text};
use crate::walk::SourceEntry;

/// What an entry costs beside its texts: allocator and reference counts, in bytes.
const OVERHEAD: usize = 128;

/// A name of a file that has several at the source.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) entry: SourceEntry,
    /// What the destination has of this key. Its storage class is not kept: trees have none.
    pub(crate) listed: Option<ListedObject>,
    /// Whether memory and the listing say that the name's object is as it should be.
    pub(crate) is_current: bool,
    /// What is remembered of it, unless that is of the very file that the source has now.
    pub(crate) known: Option<Box<Entry>>,
    fitness: u8,
    order: String,
}

/// How likely what the destination has of a name is what the others are to become names of; less is
/// better. The remembered file of the source tells best, then the size.
fn fitness(
    entry: &SourceEntry,
    listed: Option<&ListedObject>,
    is_current: bool,
    known: Option<&Entry>,
) -> u8 {
    let source = &entry.node.attributes;
    let is_its_copy = known.is_some_and(|known| known.source.file_id == source.file_id);
    match listed {
        Some(_) if is_current || is_its_copy => 0,
        Some(listed) if listed.size == source.size => 1,
        Some(_) => 2,
        None => 3,
    }
}

impl Name {
    pub(crate) fn new(
        entry: SourceEntry,
        listed: Option<ListedObject>,
        is_current: bool,
        known: Option<Box<Entry>>,
    ) -> Self {
        let version = entry.node.attributes.fingerprint();
        let fitness = fitness(&entry, listed.as_ref(), is_current, known.as_deref());
        let order = order(&entry, fitness);
        Self {
            entry,
            listed,
            is_current,
            known: known.filter(|known| known.source != version),
            fitness,
            order,
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.entry.key
    }

    /// File system and file that it is a name of.
    pub(crate) fn file(&self) -> (u64, u64) {
        let attributes = &self.entry.node.attributes;
        (attributes.fsid, attributes.file_id)
    }

    /// The name in a frame.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        let (mut payload, mut frame) = (Vec::new(), Vec::new());
        self.encode(&mut payload);
        write_frame(&payload, &mut frame);
        frame
    }
}

/// File after file; of each those names come first that the destination has, so that what is there
/// gets the others.
fn order(entry: &SourceEntry, fitness: u8) -> String {
    let attributes = &entry.node.attributes;
    let (fsid, file_id, key) = (attributes.fsid, attributes.file_id, entry.key.as_str());
    format!("{fsid:016x}{file_id:016x}{fitness}{key}")
}

impl Sortable for Name {
    fn segment(&self) -> &str {
        &self.order
    }

    fn memory(&self) -> usize {
        let etag = self.listed.as_ref().map_or(0, |listed| listed.etag.len());
        let key = self.entry.key.as_str().len();
        let known = self.known.as_ref().map_or(0, |_| size_of::<Entry>());
        // The key is also in the path, in the listing and in the order.
        size_of::<Self>() + OVERHEAD + 4 * key + etag + self.entry.node.handle.0.len() + known
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.entry.key.as_str().as_bytes());
        put_bytes(out, &self.entry.node.handle.0);
        put_attributes(out, &self.entry.node.attributes);
        out.push(self.fitness);
        out.push(u8::from(self.is_current));
        match &self.listed {
            None => out.push(0),
            Some(listed) => {
                out.push(1);
                put_bytes(out, listed.etag.as_bytes());
                out.extend(listed.size.to_le_bytes());
                out.extend(listed.last_modified.as_nanoseconds().to_le_bytes());
            }
        }
        let known = self.known.as_ref().map(serde_json::to_vec);
        // What cannot be written down is not remembered.
        put_bytes(out, &known.and_then(Result::ok).unwrap_or_default());
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        let key = Key::from_listing(take_text(input)?);
        let path = key.path().ok()?;
        let handle = Handle(Bytes::copy_from_slice(take_bytes(input)?));
        let attributes = take_attributes(input)?;
        let [fitness, is_current, exists] = take(input)?;
        let listed = match exists {
            0 => None,
            _ => Some(ListedObject {
                key: key.clone(),
                etag: take_text(input)?,
                size: u64::from_le_bytes(take(input)?),
                last_modified: Timestamp::from_nanoseconds(i128::from_le_bytes(take(input)?))?,
                storage_class: None,
            }),
        };
        let known = match take_bytes(input)? {
            [] => None,
            known => Some(serde_json::from_slice(known).ok()?),
        };
        let node = Node { handle, attributes };
        let entry = SourceEntry { key, path, node };
        let order = order(&entry, fitness);
        Some(Self {
            entry,
            listed,
            is_current: is_current != 0,
            known,
            fitness,
            order,
        })
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}
