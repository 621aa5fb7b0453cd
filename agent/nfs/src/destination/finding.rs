//! The way from the location's root to a directory. Nothing is followed: what is no directory ends it.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, EndpointError, EntryKind, ErrorKind, Handle, Key, Node, Source,
};

use super::NfsDestination;
use super::directories::Directory;
use super::place::{Place, place, ways};
use super::times::{Times, Why};

/// What a directory is made with that the source does not tell of.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// What is done about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Leave,
}

/// Where the way to a directory leads.
enum Way {
    To(Directory),
    /// A directory on the way does not exist.
    Nowhere,
    /// Something else is where this directory belongs.
    Barred(Key, EntryKind),
}

impl NfsDestination {
    /// The entry of a key, if there is one of the key's kind.
    pub(super) async fn entry(&self, key: &Key) -> Result<Option<Node>, EndpointError> {
        let Some(Place { directory, name }) = place(key)? else {
            return self.tree.root().await.map(Some);
        };
        let Some(above) = self.find(&directory).await? else {
            return Ok(None);
        };
        let found = self.tree.lookup(&Handle(above.handle), &name).await?;
        let is_of_kind = |node: &Node| is_directory(&node.attributes) == key.is_directory();
        Ok(found.filter(is_of_kind))
    }

    /// A directory; `None` if it does not exist, or something else is in its place.
    pub(super) async fn find(&self, directory: &Key) -> Result<Option<Directory>, EndpointError> {
        match self.descend(directory, Missing::Leave).await? {
            Way::To(found) => Ok(Some(found)),
            Way::Nowhere | Way::Barred(..) => Ok(None),
        }
    }

    /// The handle of a directory that something is about to be changed in; it is made where it is
    /// missing. Its times of before are in the log from then on.
    pub(super) async fn writable(&self, directory: &Key) -> Result<Bytes, EndpointError> {
        match self.descend(directory, Missing::Make).await? {
            Way::To(found) => {
                self.note(directory, &found)?;
                Ok(found.handle)
            }
            Way::Barred(key, kind) => Err(self.clash(&key, kind)),
            Way::Nowhere => {
                let detail = "the directory was removed while it was made";
                Err(self.fault(ErrorKind::Busy, "LOOKUP", directory, detail))
            }
        }
    }

    /// Sees to it that the times of a directory are in the log before it is changed.
    pub(super) fn note(&self, key: &Key, directory: &Directory) -> Result<(), EndpointError> {
        if directory.is_noted {
            return Ok(());
        }
        // What was made for its children has no times of before.
        if !directory.is_implied {
            self.log_times(key, Why::Changed, directory.times)?;
        }
        self.directories.edit(key, |known| known.is_noted = true);
        Ok(())
    }

    async fn descend(&self, directory: &Key, missing: Missing) -> Result<Way, EndpointError> {
        let ways = ways(directory);
        let nearest = (0..ways.len())
            .rev()
            .find_map(|at| Some((at + 1, self.directories.get(&ways[at])?)));
        let (mut at, mut here) = match nearest {
            Some(nearest) => nearest,
            None => (0, self.root().await?),
        };
        while let Some(way) = ways.get(at) {
            let above = match at.checked_sub(1) {
                Some(at) => ways[at].clone(),
                None => Key::default(),
            };
            match self.step(way, (&above, &here), missing).await? {
                Way::To(next) => here = next,
                end => return Ok(end),
            }
            at += 1;
        }
        Ok(Way::To(here))
    }

    /// The location's own root.
    pub(super) async fn root(&self) -> Result<Directory, EndpointError> {
        let key = Key::default();
        if let Some(known) = self.directories.get(&key) {
            return Ok(known);
        }
        let root = self.tree.root().await?;
        Ok(self.directories.keep(&key, known(&root, false)))
    }

    /// From one directory to the next.
    async fn step(
        &self,
        way: &Key,
        (above_key, above): (&Key, &Directory),
        missing: Missing,
    ) -> Result<Way, EndpointError> {
        let Some(Place { name, .. }) = place(way)? else {
            return Ok(Way::Nowhere);
        };
        let handle = Handle(above.handle.clone());
        if let Some(found) = self.tree.lookup(&handle, &name).await? {
            return Ok(self.entered(way, &found));
        }
        if missing == Missing::Leave {
            return Ok(Way::Nowhere);
        }
        self.note(above_key, above)?;
        let made = if self.tree.extended_kinds().acls {
            Box::pin(self.make_apart(&handle, &name)).await
        } else {
            let changes = self.tree.changes();
            let making = changes.make_directory(&handle.0, &name, DIRECTORY_MODE);
            making.await
        };
        match made {
            Ok((handle, attributes)) => {
                let made = Node {
                    handle: Handle(handle),
                    attributes,
                };
                Ok(Way::To(self.directories.keep(way, known(&made, true))))
            }
            // Somebody was faster.
            Err(error) if error.kind == ErrorKind::Precondition => {
                match self.tree.lookup(&handle, &name).await? {
                    Some(found) => Ok(self.entered(way, &found)),
                    None => Err(self.of_item(way, error)),
                }
            }
            Err(error) => Err(self.of_item(way, error)),
        }
    }

    fn entered(&self, way: &Key, found: &Node) -> Way {
        if is_directory(&found.attributes) {
            Way::To(self.directories.keep(way, known(found, false)))
        } else {
            Way::Barred(way.clone(), found.attributes.kind)
        }
    }

    /// The error of a name that has another kind of entry than is to be written.
    pub(super) fn clash(&self, key: &Key, found: EntryKind) -> EndpointError {
        let detail = format!(
            "the destination has an entry of type {found:?} of this name, which a directory does \
             not take the place of, nor anything the place of a directory; it is neither replaced \
             nor followed: remove it, or let PreserveDeletedFiles=REMOVE do so, and run the task \
             again"
        );
        self.fault(ErrorKind::InvalidName, "LOOKUP", key, detail)
    }
}

fn known(node: &Node, is_implied: bool) -> Directory {
    Directory {
        handle: node.handle.0.clone(),
        times: Times::of(&node.attributes),
        is_noted: false,
        is_implied,
    }
}

fn is_directory(attributes: &Attributes) -> bool {
    attributes.kind == EntryKind::Directory
}
