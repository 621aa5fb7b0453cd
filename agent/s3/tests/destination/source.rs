//! A bucket as a source.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::ByteStream;
use datasync_endpoint::contract::{SourceWorld, source_contract};
use datasync_endpoint::{
    DirEntry, EntryKind, ErrorKind, Handle, Node, Source, Timestamp, encode_name,
};
use datasync_s3::{S3Source, Shape};
use quickstart_store::StoreIntegrity;
use tokio::runtime::Handle as Runtime;

use crate::world::World;

const OBJECTS: Shape = Shape::Objects {
    metadata: true,
    tags: true,
};

/// The prefix of a location as a tree that can be written.
struct Tree {
    source: S3Source,
    sdk: aws_sdk_s3::Client,
    prefix: &'static str,
}

impl Tree {
    fn key(&self, path: &[u8]) -> String {
        let names: Vec<String> = path.split(|byte| *byte == b'/').map(encode_name).collect();
        format!("{}{}", self.prefix, names.join("/"))
    }

    fn put(&self, key: String, content: &[u8], metadata: Option<(&str, &str)>) {
        let put = self.sdk.put_object().bucket("bucket").key(key);
        let put = put.body(ByteStream::from(content.to_vec()));
        let put = match metadata {
            Some((name, value)) => put.metadata(name, value),
            None => put,
        };
        wait(async { put.send().await.unwrap() });
    }
}

/// Waits in the middle of a test for what its own runtime does.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Runtime::current().block_on(future))
}

impl SourceWorld for Tree {
    type Source = S3Source;

    fn source(&self) -> &S3Source {
        &self.source
    }

    fn write(&self, path: &[u8], content: &[u8]) {
        self.put(self.key(path), content, None);
    }

    fn make_directory(&self, path: &[u8]) {
        self.put(format!("{}/", self.key(path)), b"", None);
    }

    fn make_link(&self, path: &[u8], target: &[u8]) {
        let mode = Some(("file-permissions", "0120777"));
        self.put(self.key(path), target, mode);
    }

    fn remove(&self, path: &[u8]) {
        let delete = self
            .sdk
            .delete_object()
            .bucket("bucket")
            .key(self.key(path));
        wait(async { delete.send().await.unwrap() });
    }

    fn handles_name_versions(&self) -> bool {
        true
    }
}

async fn tree(world: &World, prefix: &'static str, shape: Shape) -> Tree {
    Tree {
        source: S3Source::open(world.config(prefix), shape).await.unwrap(),
        sdk: world.sdk(),
        prefix,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept() {
    for prefix in ["", "some/prefix/"] {
        let world = World::start(StoreIntegrity::Full).await;
        let tree = tree(&world, prefix, Shape::Files).await;
        Box::pin(source_contract(&tree)).await;
    }
}

async fn entries(source: &S3Source, directory: &Handle) -> Vec<DirEntry> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = source.read_dir(directory, cursor).await.unwrap();
        found.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn nodes(source: &S3Source, directory: &Handle) -> BTreeMap<String, Node> {
    let entries = entries(source, directory).await.into_iter();
    let named = |entry: DirEntry| {
        let name = String::from_utf8(entry.name.to_vec()).unwrap();
        (name, entry.node.unwrap())
    };
    entries.map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_no_paths_are_refused_once_and_by_name() {
    let world = World::start(StoreIntegrity::Full).await;
    let tree = tree(&world, "p/", OBJECTS).await;
    for key in [
        "p//a", "p//b", "p/x/../y", "p/x/./z", "p/ok", "p/x/ok", "p/x/..",
    ] {
        tree.put(key.to_owned(), b"1", None);
    }
    let root = tree.source.root().await.unwrap();
    let shown = |entries: Vec<DirEntry>| -> Vec<(String, String)> {
        let show = |entry: DirEntry| {
            let name = String::from_utf8(entry.name.to_vec()).unwrap();
            let told = match entry.node {
                Ok(node) => format!("{:?}", node.attributes.kind),
                Err(error) => format!("{:?} {error}", error.kind),
            };
            (name, told)
        };
        entries.into_iter().map(show).collect()
    };
    let found: BTreeMap<_, _> = shown(entries(&tree.source, &root.handle).await)
        .into_iter()
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["/", "ok", "x"]);
    assert!(found["/"].starts_with("InvalidName ListObjectsV2 s3://bucket/p//: "));
    assert!(found["/"].contains("nothing whose key begins so is copied"));
    let inner = tree
        .source
        .lookup_directory(&root.handle, b"x")
        .await
        .unwrap();
    let found: BTreeMap<_, _> = shown(entries(&tree.source, &inner.unwrap().handle).await)
        .into_iter()
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["..", "../", "./", "ok"]);
    assert!(found[".."].contains("the object is not copied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_directory_may_have_one_name() {
    let world = World::start(StoreIntegrity::Full).await;
    let tree = tree(&world, "", OBJECTS).await;
    for key in ["a", "a/b"] {
        tree.put(key.to_owned(), b"1", None);
    }
    let root = tree.source.root().await.unwrap();
    let kinds: Vec<EntryKind> = entries(&tree.source, &root.handle)
        .await
        .into_iter()
        .map(|entry| entry.node.unwrap().attributes.kind)
        .collect();
    assert_eq!(kinds, [EntryKind::File, EntryKind::Directory]);
    let file = tree
        .source
        .lookup(&root.handle, b"a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(file.attributes.kind, EntryKind::File);
    let directory = tree
        .source
        .lookup_directory(&root.handle, b"a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(directory.attributes.kind, EntryKind::Directory);
    let below = tree.source.lookup(&directory.handle, b"b").await.unwrap();
    assert!(below.is_some());
    let none = tree
        .source
        .lookup_directory(&root.handle, b"c")
        .await
        .unwrap();
    assert!(none.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_items_where_an_object_stands_for_them() {
    let world = World::start(StoreIntegrity::Full).await;
    for (shape, items) in [
        (OBJECTS, ["m"].as_slice()),
        (Shape::Files, &["full", "m", "p"]),
    ] {
        let tree = tree(&world, "", shape).await;
        tree.put("m/".to_owned(), b"", Some(("file-permissions", "0040700")));
        tree.put("p/x".to_owned(), b"1", None);
        tree.put("full/".to_owned(), b"content", None);
        tree.put("full/x".to_owned(), b"1", None);
        let root = tree.source.root().await.unwrap();
        let found = nodes(&tree.source, &root.handle).await;
        let is_item = |node: &Node| tree.source.is_item(node);
        let are: Vec<&str> = found
            .iter()
            .filter(|(_, node)| is_item(node))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(are, items, "{shape:?}");
        let mode = if shape == OBJECTS { 0o755 } else { 0o700 };
        assert_eq!(found["m"].attributes.mode, mode);
        assert!(!is_item(&root), "nothing says what it is to be like");
        // What cannot be copied is told after what lies below it.
        let full = &found["full"].handle;
        let page = tree.source.read_dir(full, None).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        let error = tree.source.read_dir(full, page.next).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidName);
        assert!(error.detail.contains("7 bytes"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_carry_their_metadata_and_tags_in_the_version_that_is_read() {
    let world = World::start(StoreIntegrity::Full).await;
    let tree = tree(&world, "", OBJECTS).await;
    let put = || {
        let put = world.sdk().put_object().bucket("bucket").key("k");
        put.body(ByteStream::from_static(b"content"))
            .content_type("text/plain")
            .cache_control("no-store")
            .metadata("colour", "blue")
            .metadata("file-mtime", "1000000000ns")
            .tagging("a=1&b=2%202")
    };
    put().send().await.unwrap();
    let root = tree.source.root().await.unwrap();
    let before = tree.source.calls().of("HeadObject");
    let node = nodes(&tree.source, &root.handle).await.remove("k").unwrap();
    assert_eq!(
        tree.source.calls().of("HeadObject"),
        before,
        "a listing is enough"
    );
    assert_ne!(
        node.attributes.mtime,
        Timestamp {
            seconds: 1,
            nanoseconds: 0
        }
    );
    let told = tree.source.properties(&node.handle).await.unwrap().unwrap();
    assert_eq!(told.content_type.as_deref(), Some("text/plain"));
    assert_eq!(told.cache_control.as_deref(), Some("no-store"));
    let metadata: BTreeMap<_, _> = told.user_metadata.into_iter().collect();
    assert_eq!(metadata["colour"], "blue");
    assert_eq!(metadata["file-mtime"], "1000000000ns");
    let tags = [("a", "1"), ("b", "2 2")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(told.tags, tags);
    put()
        .body(ByteStream::from_static(b"other"))
        .send()
        .await
        .unwrap();
    let error = tree.source.properties(&node.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stale, "{error}");
    let files = S3Source::open(world.config(""), Shape::Files)
        .await
        .unwrap();
    assert!(!files.has_properties());
    let node = nodes(&files, &root.handle).await.remove("k").unwrap();
    assert_eq!(
        node.attributes.mtime,
        Timestamp {
            seconds: 1,
            nanoseconds: 0
        }
    );
}
