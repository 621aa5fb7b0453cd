//! Whether something is at the source, one LOOKUP per component that changed since the last key.

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, ErrorKind, Key, Node, Source};

use crate::attempts::Attempts;

/// Looks keys up; remembers the directories that lead to the last one.
pub(super) struct Presence<'a, S> {
    source: &'a S,
    attempts: &'a Attempts,
    root: Option<Node>,
    /// Names and nodes of the directories on the way to the last key.
    way: Vec<(Vec<u8>, Node)>,
}

impl<'a, S: Source> Presence<'a, S> {
    pub(super) fn new(source: &'a S, attempts: &'a Attempts) -> Self {
        Self {
            source,
            attempts,
            root: None,
            way: Vec::new(),
        }
    }

    /// Whether the server says that nothing of this key's path and kind exists.
    pub(super) async fn is_gone(&mut self, key: &Key) -> Result<bool, EndpointError> {
        let path = key.path().map_err(|error| {
            EndpointError::new(
                ErrorKind::InvalidName,
                "LOOKUP",
                key.to_string(),
                error.to_string(),
            )
        })?;
        match self.look_up(&path, key.is_directory()).await {
            Err(error) if error.kind == ErrorKind::Stale => {
                self.root = None;
                self.way.clear();
                self.look_up(&path, key.is_directory()).await
            }
            answer => answer,
        }
    }

    async fn look_up(&mut self, path: &EntryPath, directory: bool) -> Result<bool, EndpointError> {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, parents)) = names.split_last() else {
            return Ok(false);
        };
        let known = self
            .way
            .iter()
            .zip(parents)
            .take_while(|((name, _), wanted)| name.as_slice() == **wanted)
            .count();
        self.way.truncate(known);
        for name in &parents[known..] {
            match self.child(name).await? {
                Some(node) if node.attributes.kind == EntryKind::Directory => {
                    self.way.push((name.to_vec(), node));
                }
                _ => return Ok(true),
            }
        }
        let found = self.child(last).await?;
        Ok(found.is_none_or(|node| (node.attributes.kind == EntryKind::Directory) != directory))
    }

    async fn child(&mut self, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        let parent = match (self.way.last(), &self.root) {
            (Some((_, node)), _) => node.handle.clone(),
            (None, Some(root)) => root.handle.clone(),
            (None, None) => {
                let root = self.attempts.run(|| self.source.root()).await?;
                let handle = root.handle.clone();
                self.root = Some(root);
                handle
            }
        };
        self.attempts
            .run(|| self.source.lookup(&parent, name))
            .await
    }
}
