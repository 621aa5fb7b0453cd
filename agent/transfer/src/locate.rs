//! Looking a path up from the root, for handles that went stale and before deletes.

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, Node, Source};

use crate::attempts::Attempts;

/// The node at `path` now, a directory or another; `None` only if the server says that a component does
/// not exist, or that what should lead to it is no directory.
pub(crate) async fn locate<S: Source>(
    source: &S,
    path: &EntryPath,
    is_directory: bool,
    attempts: &Attempts,
) -> Result<Option<Node>, EndpointError> {
    let mut node = attempts.run(|| source.root()).await?;
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        if node.attributes.kind != EntryKind::Directory {
            return Ok(None);
        }
        let found = if is_directory || names.peek().is_some() {
            let look_up = || source.lookup_directory(&node.handle, name);
            attempts.run(look_up).await?
        } else {
            attempts.run(|| source.lookup(&node.handle, name)).await?
        };
        match found {
            Some(child) => node = child,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}
