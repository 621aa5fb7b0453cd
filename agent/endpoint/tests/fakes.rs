//! The in-memory endpoints keep the promises that the real ones keep.

use datasync_endpoint::contract::{SourceWorld, destination_contract, source_contract};
use datasync_endpoint::memory::{
    MemoryDestination, MemoryFileSystem, MemorySource, MemoryTreeDestination, Tree,
};
use datasync_endpoint::{Algorithm, EntryKind, Integrity};

struct World(MemorySource);

impl SourceWorld for World {
    type Source = MemorySource;

    fn source(&self) -> &MemorySource {
        &self.0
    }

    fn write(&self, path: &[u8], content: &[u8]) {
        let content = content.to_vec();
        self.0.edit(|tree| match tree.get(path) {
            Some(_) => tree.write(path, content),
            None => tree.add(path, EntryKind::File, content),
        });
    }

    fn make_directory(&self, path: &[u8]) {
        self.0.edit(|tree| tree.add_dir(path));
    }

    fn make_link(&self, path: &[u8], target: &[u8]) {
        self.0
            .edit(|tree| tree.add(path, EntryKind::Symlink, target.to_vec()));
    }

    fn remove(&self, path: &[u8]) {
        self.0.edit(|tree| tree.remove(path));
    }
}

#[tokio::test]
async fn the_memory_source_keeps_the_contract() {
    let source = || MemorySource::new(Tree::new());
    for source in [
        source(),
        source().with_page(1).with_read_max(1 << 20),
        source()
            .with_short_reads(999)
            .without_attributes_after_read(),
    ] {
        source_contract(&World(source)).await;
    }
}

#[tokio::test]
async fn the_memory_destination_keeps_the_contract() {
    for integrity in [
        Integrity::Crc64,
        Integrity::Checksum(Algorithm::Sha256),
        Integrity::Checksum(Algorithm::Crc32c),
        Integrity::Md5,
        Integrity::ReadBack,
    ] {
        for has_root in [true, false] {
            let destination = MemoryDestination::new()
                .with_abilities(|a| (a.integrity, a.has_root) = (integrity, has_root));
            destination_contract(&destination).await;
        }
    }
}

#[tokio::test]
async fn the_memory_tree_keeps_the_contract() {
    destination_contract(&MemoryTreeDestination::new(Tree::new())).await;
}

#[tokio::test]
async fn the_memory_file_system_keeps_the_contract() {
    destination_contract(&MemoryFileSystem::new(Tree::new())).await;
}
