//! Files of one bucket: where they lie, how they become durable.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::checksum::{Algorithm, Hasher, Hashes};
use crate::object::Segment;

/// Runs file work on the blocking pool; it runs to its end even if the caller goes away.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(work);
    match tasks.join_next().await {
        Some(joined) => joined.map_err(io::Error::other),
        None => Err(io::Error::other("the task was lost")),
    }
}

/// A random name of 32 hex digits.
pub(crate) fn random_id() -> io::Result<String> {
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(io::Error::other)?;
    Ok(hex::encode(raw))
}

/// The directory of one bucket.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    sync: bool,
}

impl Disk {
    pub(crate) fn new(root: PathBuf, sync: bool) -> Self {
        Self { root, sync }
    }

    /// Makes the directories of a bucket.
    pub(crate) fn create(&self) -> io::Result<()> {
        for shard in 0..=u8::MAX {
            fs::create_dir_all(self.records().join(hex::encode([shard])))?;
            fs::create_dir_all(self.data().join(hex::encode([shard])))?;
        }
        fs::create_dir_all(self.uploads())?;
        fs::create_dir_all(self.root.join("tmp"))?;
        self.sync_directory(&self.root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Where the record of a key lies; hashed, so that any key makes a legal file name.
    pub(crate) fn record_path(&self, key: &str) -> PathBuf {
        let name = hex::encode(Sha256::digest(key));
        self.records().join(&name[..2]).join(format!("{name}.json"))
    }

    pub(crate) fn data_path(&self, id: &str) -> PathBuf {
        self.data().join(id.get(..2).unwrap_or_default()).join(id)
    }

    /// Writes a file that is there in full or, after a crash, not at all.
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        let temporary = self.root.join("tmp").join(random_id()?);
        let written = self.write_then_rename(&temporary, path, value);
        if written.is_err() {
            // What cannot be removed now is removed at the next start.
            fs::remove_file(&temporary).ok();
        }
        written
    }

    fn write_then_rename(&self, from: &Path, to: &Path, value: &impl Serialize) -> io::Result<()> {
        let mut file = File::create_new(from)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        if self.sync {
            file.sync_all()?;
        }
        fs::rename(from, to)?;
        self.sync_parent(to)
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> io::Result<Option<T>> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| io::Error::other(format!("{} is damaged: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Removes a file that may already be gone.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => self.sync_parent(path),
        }
    }

    /// Removes content that no record refers to any more.
    pub(crate) fn discard(&self, segments: &[Segment]) {
        for segment in segments {
            let path = self.data_path(&segment.id);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "unreferenced content stays until the next start");
            }
        }
    }

    /// Starts new content.
    pub(crate) fn writer(&self, algorithm: Option<Algorithm>) -> io::Result<Writer> {
        let content = Content {
            disk: self.clone(),
            id: random_id()?,
            kept: false,
        };
        let file = File::create_new(self.data_path(&content.id))?;
        Ok(Writer {
            content,
            file,
            size: 0,
            hasher: Box::new(Hasher::new(algorithm)),
        })
    }

    /// Gives existing content a second name.
    pub(crate) fn link(&self, from: &Path) -> io::Result<Content> {
        let content = Content {
            disk: self.clone(),
            id: random_id()?,
            kept: false,
        };
        fs::hard_link(from, self.data_path(&content.id))?;
        Ok(content)
    }

    /// Damages stored content in its middle, as a fault of the store would.
    pub(crate) fn flip_bit(&self, segment: &Segment) -> io::Result<()> {
        let path = self.data_path(&segment.id);
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(segment.size / 2))?;
        file.read_exact(&mut byte)?;
        byte[0] ^= 1;
        file.seek(SeekFrom::Start(segment.size / 2))?;
        file.write_all(&byte)
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        path.parent()
            .map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if self.sync {
            File::open(path)?.sync_all()
        } else {
            Ok(())
        }
    }
}

/// Content that is removed again unless a record comes to refer to it.
#[derive(Debug)]
pub(crate) struct Content {
    disk: Disk,
    id: String,
    kept: bool,
}

impl Content {
    pub(crate) fn segment(&self, size: u64) -> Segment {
        Segment {
            id: self.id.clone(),
            size,
        }
    }

    /// A record refers to it now.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if !self.kept {
            fs::remove_file(self.disk.data_path(&self.id)).ok();
        }
    }
}

/// Content as it arrives, hashed on the way.
pub(crate) struct Writer {
    content: Content,
    file: File,
    size: u64,
    hasher: Box<Hasher>,
}

/// Content that has arrived in full.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) content: Content,
    pub(crate) size: u64,
    pub(crate) hashes: Hashes,
}

impl Received {
    pub(crate) fn segment(&self) -> Segment {
        self.content.segment(self.size)
    }
}

impl Writer {
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.size += data.len() as u64;
        self.hasher.update(data);
        Ok(())
    }

    pub(crate) fn finish(self) -> io::Result<Received> {
        let disk = &self.content.disk;
        if disk.sync {
            self.file.sync_all()?;
            disk.sync_parent(&disk.data_path(&self.content.id))?;
        }
        Ok(Received {
            size: self.size,
            hashes: self.hasher.finish(),
            content: self.content,
        })
    }
}
