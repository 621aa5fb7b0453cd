//! Paths looked up one after the other, one LOOKUP for each component that changed since the last.

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, ErrorKind, Node, Source};

use crate::attempts::Attempts;

/// Looks paths up; remembers the directories that lead to the last one.
pub(crate) struct Lookups<'a, S> {
    source: &'a S,
    attempts: &'a Attempts,
    root: Option<Node>,
    /// Names and nodes of the directories on the way to the last path.
    way: Vec<(Vec<u8>, Node)>,
}

impl<'a, S: Source> Lookups<'a, S> {
    pub(crate) fn new(source: &'a S, attempts: &'a Attempts) -> Self {
        Self {
            source,
            attempts,
            root: None,
            way: Vec::new(),
        }
    }

    /// The node at `path`, a directory or another; `None` only if the server says that a component
    /// does not exist, or that what should lead to it is no directory.
    pub(crate) async fn find(
        &mut self,
        path: &EntryPath,
        is_directory: bool,
    ) -> Result<Option<Node>, EndpointError> {
        match self.look_up(path, is_directory).await {
            Err(error) if error.kind == ErrorKind::Stale => {
                self.root = None;
                self.way.clear();
                self.look_up(path, is_directory).await
            }
            answer => answer,
        }
    }

    async fn look_up(
        &mut self,
        path: &EntryPath,
        is_directory: bool,
    ) -> Result<Option<Node>, EndpointError> {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, parents)) = names.split_last() else {
            return self.root().await.map(Some);
        };
        let known = self
            .way
            .iter()
            .zip(parents)
            .take_while(|((name, _), wanted)| name.as_slice() == **wanted)
            .count();
        self.way.truncate(known);
        for name in &parents[known..] {
            match self.child(name, true).await? {
                Some(node) if node.attributes.kind == EntryKind::Directory => {
                    self.way.push((name.to_vec(), node));
                }
                _ => return Ok(None),
            }
        }
        self.child(last, is_directory).await
    }

    async fn root(&mut self) -> Result<Node, EndpointError> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        let root = self.attempts.run(|| self.source.root()).await?;
        Ok(self.root.insert(root).clone())
    }

    async fn child(
        &mut self,
        name: &[u8],
        is_directory: bool,
    ) -> Result<Option<Node>, EndpointError> {
        let parent = match self.way.last() {
            Some((_, node)) => node.handle.clone(),
            None => self.root().await?.handle,
        };
        if is_directory {
            let look_up = || self.source.lookup_directory(&parent, name);
            return self.attempts.run(look_up).await;
        }
        self.attempts
            .run(|| self.source.lookup(&parent, name))
            .await
    }
}
