//! What happens to the source and to the bucket between and during executions.

use bytes::Bytes;
use datasync_endpoint::memory::{MemoryDestination, Stored, Tree};
use datasync_endpoint::{Checksum, Crc64, EntryKind, Key, ObjectChecksum, PosixMetadata};

use crate::random::Random;

/// A change at the source. Numbers choose among what is there.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Another content, and size.
    Write(u64, u64),
    /// Another content of the same size.
    Edit(u64, u64),
    /// As [`Change::Edit`], and mtime is put back.
    EditSecretly(u64, u64),
    /// A new file, or one in the place of what is there: path, size, content.
    Create(Bytes, u64, u64),
    /// A directory.
    CreateDirectory(Bytes),
    /// A symbolic link with a target of this length.
    Link(Bytes, u64),
    /// A FIFO, a socket or a device.
    Special(Bytes, EntryKind),
    /// One more name for a file.
    HardLink(u64, Bytes),
    /// An entry with everything below it goes.
    Remove(u64),
    /// It gets another name.
    Rename(u64, Bytes),
    /// A file becomes a directory with a file in it, a directory a file.
    Turn(u64, u64),
    /// Permission bits.
    Mode(u64, u32),
    /// Owner.
    Owner(u64, u32),
    /// Only mtime.
    Touch(u64),
    /// The export is another one with the same entries.
    ReplaceRoot,
}

const NAMES: [&[u8]; 13] = [
    b"a",
    b"a-b",
    b"a.c",
    b"b",
    b"\xff",
    "\u{10f7ff}".as_bytes(),
    b"n\n",
    b"0",
    b"~",
    b"aa",
    "é".as_bytes(),
    b".snapshot",
    b"a-name-that-is-so-long-that-some-stores-refuse-its-key",
];

/// The file that keeps the source from being empty.
pub(crate) const KEPT: &[u8] = b"/keep";

/// Sizes around what a READ, a PUT and a part hold in a small world.
const SIZES: [u64; 9] = [0, 1, 37, 99, 100, 120, 121, 700, 9_000];

fn path(random: &mut Random) -> Bytes {
    let depth = 1 + random.below(3);
    let names: Vec<_> = (0..depth).map(|_| random.pick(&NAMES)).collect();
    names.join(&b'/').into()
}

impl Change {
    /// Any change; `large`: also files of more than one part.
    pub(crate) fn of(random: &mut Random, large: bool) -> Self {
        let (n, seed) = (random.number(), random.number());
        let size = random.pick(&SIZES);
        match random.below(40) {
            0..=3 => Self::Write(n, size),
            4..=6 => Self::Edit(n, seed),
            7..=8 => Self::EditSecretly(n, seed),
            9..=17 => Self::Create(path(random), size, seed),
            18..=20 => Self::CreateDirectory(path(random)),
            21..=22 => Self::Link(path(random), 1 + size),
            23 => Self::Special(path(random), random.pick(&SPECIAL)),
            24 => Self::HardLink(n, path(random)),
            25..=27 => Self::Remove(n),
            28..=30 => Self::Rename(n, path(random)),
            31..=32 => Self::Turn(n, seed),
            33..=34 => Self::Mode(n, u32::try_from(seed % 0o10000).unwrap_or(0)),
            35..=36 => Self::Owner(n, u32::try_from(seed % 5).unwrap_or(0)),
            37..=38 => Self::Touch(n),
            _ if large => Self::Create(path(random), 8 << 20 | size, seed),
            _ => Self::Create(path(random), size, seed),
        }
    }

    /// Makes the change.
    pub(crate) fn apply(&self, tree: &mut Tree) {
        let file = Some(EntryKind::File);
        match self {
            Self::Write(n, size) => on(tree, *n, file, |tree, path| {
                tree.write(path, content(*n, *size));
            }),
            Self::Edit(n, seed) => on(tree, *n, file, |tree, path| {
                let size = size_of(tree, path);
                tree.write(path, content(*seed, size));
            }),
            Self::EditSecretly(n, seed) => on(tree, *n, file, |tree, path| {
                let size = size_of(tree, path);
                tree.write_and_put_mtime_back(path, content(*seed, size));
            }),
            Self::Create(path, size, seed) => {
                tree.add(path, EntryKind::File, content(*seed, *size))
            }
            Self::CreateDirectory(path) => tree.add_dir(path),
            Self::Link(path, length) => tree.add(path, EntryKind::Symlink, content(3, *length)),
            Self::Special(path, kind) => tree.add(path, *kind, Bytes::new()),
            Self::HardLink(n, to) => on(tree, *n, file, |tree, path| {
                let is_in_the_way = tree.get(&to[..]).is_some()
                    || path[1..].starts_with(to.as_ref())
                    || to.starts_with(&path[1..]);
                if !is_in_the_way {
                    tree.hard_link(path, to);
                }
            }),
            Self::Remove(n) => on(tree, *n, None, |tree, path| tree.remove(path)),
            Self::Rename(n, to) => on(tree, *n, None, |tree, path| tree.rename(path, to)),
            Self::Turn(n, seed) => on(tree, *n, None, |tree, path| turn(tree, path, *seed)),
            Self::Mode(n, mode) => on(tree, *n, None, |tree, path| {
                tree.set(path, |attributes| attributes.mode = *mode);
            }),
            Self::Owner(n, owner) => on(tree, *n, None, |tree, path| {
                tree.set(path, |attributes| attributes.uid = *owner);
            }),
            Self::Touch(n) => on(tree, *n, None, |tree, path| {
                tree.set(path, |attributes| attributes.mtime.nanoseconds ^= 1);
            }),
            Self::ReplaceRoot => tree.replace_root(),
        }
    }
}

const SPECIAL: [EntryKind; 4] = [
    EntryKind::Fifo,
    EntryKind::Socket,
    EntryKind::BlockDevice,
    EntryKind::CharDevice,
];

fn turn(tree: &mut Tree, path: &[u8], seed: u64) {
    let is_directory =
        tree.get(path).map(|inode| inode.attributes.kind) == Some(EntryKind::Directory);
    if is_directory {
        tree.add(path, EntryKind::File, content(seed, 5));
    } else {
        tree.add([path, b"/a"].concat(), EntryKind::File, content(seed, 6));
    }
}

fn size_of(tree: &Tree, path: &[u8]) -> u64 {
    tree.get(path).map_or(0, |inode| inode.attributes.size)
}

fn on(tree: &mut Tree, n: u64, kind: Option<EntryKind>, change: impl FnOnce(&mut Tree, &[u8])) {
    if let Some(path) = nth(tree, n, kind) {
        change(tree, &path);
    }
}

/// One of the entries of this kind, but for the root and what keeps the source from being empty.
pub(crate) fn nth(tree: &Tree, n: u64, kind: Option<EntryKind>) -> Option<Vec<u8>> {
    let mut found: Vec<_> = tree
        .entries()
        .into_iter()
        .filter(|(_, inode)| kind.is_none_or(|kind| inode.attributes.kind == kind))
        .map(|(path, _)| path.to_absolute())
        .filter(|path| path != b"/" && path != KEPT)
        .collect();
    found.sort();
    chosen(&found, n).cloned()
}

fn chosen<T>(of: &[T], n: u64) -> Option<&T> {
    let count = of.len() as u64;
    of.get(usize::try_from(n.checked_rem(count)?).ok()?)
}

/// Bytes that look like nothing else; what is beyond a few KiB repeats.
pub(crate) fn content(seed: u64, size: u64) -> Bytes {
    let mut random = Random::new(seed);
    let size = usize::try_from(size).unwrap_or(0);
    let block: Vec<u8> = std::iter::repeat_with(|| random.number().to_le_bytes())
        .take(size.min(8192).div_ceil(8))
        .flatten()
        .collect();
    block.iter().cycle().take(size).copied().collect()
}

/// A change that somebody else makes in the bucket.
#[derive(Debug, Clone)]
pub(crate) enum Foreign {
    /// An object goes.
    Delete(u64),
    /// It is replaced by another one without metadata.
    Replace(u64, u64),
    /// It is replaced by other content of the same size and metadata.
    Forge(u64, u64),
    /// It has another owner.
    Metadata(u64),
    /// It is in another storage class.
    Class(u64),
    /// There is one more.
    Add(String),
}

const STRANGE: [&str; 5] = ["a//b", "x/../y", "a/", "b", "zz/y"];

impl Foreign {
    pub(crate) fn of(random: &mut Random) -> Self {
        let (n, seed) = (random.number(), random.number());
        match random.below(6) {
            0 => Self::Delete(n),
            1 => Self::Replace(n, seed),
            2 => Self::Forge(n, seed),
            3 => Self::Metadata(n),
            4 => Self::Class(n),
            _ => Self::Add(random.pick(&STRANGE).to_owned()),
        }
    }

    /// Makes the change; `tag` is unlike all others.
    pub(crate) fn apply(&self, destination: &MemoryDestination, tag: u64) {
        destination.edit(|objects| {
            let keys: Vec<Key> = objects.keys().cloned().collect();
            let object = |n| chosen(&keys, n).cloned();
            let (key, edited) = match self {
                Self::Delete(n) => {
                    if let Some(key) = object(*n) {
                        objects.remove(&key);
                    }
                    return;
                }
                Self::Add(text) => (
                    Some(Key::from_listing(text.clone())),
                    foreign(text.len() as u64),
                ),
                Self::Replace(n, seed) => (object(*n), foreign(*seed % 200)),
                Self::Forge(n, _) | Self::Metadata(n) | Self::Class(n) => {
                    let key = object(*n);
                    let Some(mut stored) = key.as_ref().and_then(|key| objects.get(key)).cloned()
                    else {
                        return;
                    };
                    self.edit(&mut stored);
                    (key, stored)
                }
            };
            let Some(key) = key else { return };
            let mut stored = edited;
            let before = objects
                .get(&key)
                .map_or(datasync_endpoint::memory::EPOCH, |before| {
                    before.last_modified.seconds
                });
            stored.etag = format!("\"foreign-{tag}\"");
            stored.last_modified.seconds = before + 60;
            objects.insert(key, stored);
        });
    }

    fn edit(&self, stored: &mut Stored) {
        match self {
            Self::Forge(_, seed) => {
                stored.content = content(*seed, stored.content.len() as u64);
                stored.crc64 = stored.crc64.map(|_| Crc64::of(&stored.content));
                stored.checksum = stored.checksum.map(|sum| {
                    let algorithm = sum.checksum.algorithm();
                    ObjectChecksum::whole(Checksum::of(algorithm, &stored.content))
                });
            }
            Self::Metadata(_) => stored.metadata.owner = Some(4711),
            _ => "GLACIER_IR".clone_into(&mut stored.storage_class),
        }
    }
}

/// An object that no agent wrote.
fn foreign(size: u64) -> Stored {
    Stored {
        content: content(size, size),
        metadata: PosixMetadata::default(),
        extended: None,
        etag: String::new(),
        crc64: None,
        checksum: None,
        storage_class: "STANDARD".to_owned(),
        last_modified: datasync_endpoint::Timestamp::default(),
    }
}
