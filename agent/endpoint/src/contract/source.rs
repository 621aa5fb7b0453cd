//! What every source promises.

use std::collections::BTreeMap;

use super::{odd_names, pattern};
use crate::{Attributes, EntryKind, ErrorKind, Handle, Node, Source};

/// A source and a way to change what it serves. Paths are names joined by `/`.
pub trait SourceWorld {
    /// The source under test.
    type Source: Source;

    /// The source under test.
    fn source(&self) -> &Self::Source;
    /// Creates or replaces a file, in place if it exists.
    fn write(&self, path: &[u8], content: &[u8]);
    /// Creates a directory.
    fn make_directory(&self, path: &[u8]);
    /// Creates a symbolic link.
    fn make_link(&self, path: &[u8], target: &[u8]);
    /// Removes a file.
    fn remove(&self, path: &[u8]);
    /// Whether a handle names one version of a file, and is stale once there is another.
    fn handles_name_versions(&self) -> bool {
        false
    }
}

/// Pages of one directory are no more than this in the suite.
const PAGES_MAX: usize = 10_000;

/// Runs the whole suite; the source's root must be writable through the world and empty.
///
/// # Panics
/// With the first promise that is broken.
pub async fn source_contract<W: SourceWorld>(world: &W) {
    an_empty_root_is_listed(world).await;
    directories_are_listed_completely(world).await;
    names_are_looked_up(world).await;
    files_are_read_in_ranges(world).await;
    links_are_read(world).await;
    attributes_are_fresh(world).await;
    handles_of_removed_files_are_stale(world).await;
}

async fn list(source: &impl Source, directory: &Handle) -> BTreeMap<Vec<u8>, Node> {
    let mut found = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = source.read_dir(directory, cursor).await.expect("read_dir");
        for entry in page.entries {
            let name = entry.name.to_vec();
            assert!(name != b"." && name != b"..", "{name:?} was listed");
            let node = entry.node.expect("attributes of an entry");
            assert!(
                found.insert(name, node).is_none(),
                "an entry was listed twice"
            );
        }
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
    panic!("the directory has no end");
}

async fn find(source: &impl Source, path: &[u8]) -> Option<Node> {
    let mut node = source.root().await.expect("root");
    for name in path.split(|byte| *byte == b'/') {
        node = source.lookup(&node.handle, name).await.expect("lookup")?;
    }
    Some(node)
}

async fn an_empty_root_is_listed<W: SourceWorld>(world: &W) {
    let root = world.source().root().await.expect("root");
    assert_eq!(root.attributes.kind, EntryKind::Directory);
    assert!(
        list(world.source(), &root.handle).await.is_empty(),
        "the root is not empty"
    );
}

async fn directories_are_listed_completely<W: SourceWorld>(world: &W) {
    world.make_directory(b"wide");
    world.make_directory(b"wide/directory");
    let mut wanted: Vec<Vec<u8>> = odd_names();
    wanted.extend((0..2_500).map(|number| format!("file-{number:05}").into_bytes()));
    for name in &wanted {
        world.write(&[b"wide/", name.as_slice()].concat(), name);
    }
    wanted.push(b"directory".to_vec());
    wanted.sort();
    let directory = find(world.source(), b"wide").await.expect("a directory");
    let found = list(world.source(), &directory.handle).await;
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), wanted);
    for (name, node) in &found {
        let is_directory = name == b"directory";
        let kind = if is_directory {
            EntryKind::Directory
        } else {
            EntryKind::File
        };
        assert_eq!(node.attributes.kind, kind);
        assert!(is_directory || node.attributes.size == name.len() as u64);
    }
    for name in odd_names() {
        let node = world
            .source()
            .lookup(&directory.handle, &name)
            .await
            .expect("lookup");
        let node = node.unwrap_or_else(|| panic!("{name:?} is listed but cannot be looked up"));
        let listed = &found[&name];
        assert_eq!(same(&node.attributes), same(&listed.attributes), "{name:?}");
        let read = read_all(world.source(), &node.handle).await;
        assert_eq!(read, name, "content of {name:?}");
    }
}

/// Attributes but the time of the last access.
fn same(attributes: &Attributes) -> Attributes {
    Attributes {
        atime: Default::default(),
        ..*attributes
    }
}

async fn names_are_looked_up<W: SourceWorld>(world: &W) {
    let root = world.source().root().await.expect("root");
    world.write(b"present", b"1");
    for (name, present) in [
        (&b"present"[..], true),
        (b"absent", false),
        (b"abs\xffent", false),
    ] {
        let found = world
            .source()
            .lookup(&root.handle, name)
            .await
            .expect("lookup");
        assert_eq!(found.is_some(), present, "{name:?}");
    }
}

async fn read_all(source: &impl Source, file: &Handle) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let at = content.len() as u64;
        let reply = source
            .read(file, at, source.read_max())
            .await
            .expect("read");
        assert!(reply.data.len() as u64 <= u64::from(source.read_max()));
        assert!(
            reply.eof || !reply.data.is_empty(),
            "nothing came before the end"
        );
        content.extend_from_slice(&reply.data);
        if reply.eof {
            return content;
        }
    }
}

async fn files_are_read_in_ranges<W: SourceWorld>(world: &W) {
    let source = world.source();
    let content = pattern(1, 3 * 1024 * 1024 + 17);
    world.write(b"file", &content);
    world.write(b"empty", b"");
    let size = content.len() as u64;
    let file = find(source, b"file").await.expect("a file");
    assert_eq!(file.attributes.size, size);
    assert_eq!(read_all(source, &file.handle).await, content);
    for (offset, length) in [
        (0, 1),
        (1, 4096),
        (size - 10, 10),
        (size - 10, 4096),
        (65_535, 2),
    ] {
        let reply = source
            .read(&file.handle, offset, length)
            .await
            .expect("read");
        let from = usize::try_from(offset).unwrap();
        let there = usize::try_from(u64::from(length).min(size - offset)).unwrap();
        assert!(
            !reply.data.is_empty() && reply.data.len() <= there,
            "at {offset}"
        );
        assert_eq!(
            reply.data,
            content[from..from + reply.data.len()],
            "at {offset}"
        );
        assert_eq!(
            reply.eof,
            offset + reply.data.len() as u64 == size,
            "eof at {offset}"
        );
        if let Some(attributes) = reply.attributes {
            assert_eq!(attributes.fingerprint(), file.attributes.fingerprint());
        }
    }
    for offset in [size, size + 1, size + (1 << 30)] {
        let reply = source.read(&file.handle, offset, 10).await.expect("read");
        assert!(reply.data.is_empty() && reply.eof, "at {offset} of {size}");
    }
    let empty = find(source, b"empty").await.expect("a file");
    let reply = source.read(&empty.handle, 0, 1).await.expect("read");
    assert!(
        reply.data.is_empty() && reply.eof,
        "an empty file has no bytes"
    );
}

async fn links_are_read<W: SourceWorld>(world: &W) {
    let long = [b'l'; 1000];
    for target in [&b"file"[..], b"../no/where", b"odd \xff\n", &long] {
        world.remove(b"link");
        world.make_link(b"link", target);
        let link = find(world.source(), b"link").await.expect("a link");
        assert_eq!(link.attributes.kind, EntryKind::Symlink);
        assert_eq!(link.attributes.size, target.len() as u64);
        let found = world
            .source()
            .read_link(&link.handle)
            .await
            .expect("read_link");
        assert_eq!(&found[..], target);
    }
}

async fn attributes_are_fresh<W: SourceWorld>(world: &W) {
    let source = world.source();
    world.write(b"changing", b"1");
    let file = find(source, b"changing").await.expect("a file");
    let now = source.attributes(&file.handle).await.expect("attributes");
    assert_eq!(same(&now), same(&file.attributes));
    for length in 2..6 {
        world.write(b"changing", &pattern(3, length));
        let then = source.attributes(&file.handle).await.expect("attributes");
        assert_eq!(then.size, length as u64);
        assert_ne!(then.fingerprint(), now.fingerprint());
        let mut handle = file.handle.clone();
        if world.handles_name_versions() {
            let error = source.read(&handle, 0, 100).await.expect_err("a version");
            assert_eq!(error.kind, ErrorKind::Stale, "{error}");
            handle = find(source, b"changing").await.expect("a file").handle;
        } else {
            assert_eq!(then.file_id, now.file_id);
        }
        let reply = source.read(&handle, 0, 100).await.expect("read");
        assert_eq!(reply.data, pattern(3, length));
    }
}

async fn handles_of_removed_files_are_stale<W: SourceWorld>(world: &W) {
    world.write(b"doomed", b"1");
    let file = find(world.source(), b"doomed").await.expect("a file");
    world.remove(b"doomed");
    let error = world
        .source()
        .attributes(&file.handle)
        .await
        .expect_err("a removed file");
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    let error = world
        .source()
        .read(&file.handle, 0, 1)
        .await
        .expect_err("a removed file");
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    assert!(find(world.source(), b"doomed").await.is_none());
}
