//! Looking a path up from the root, for handles that went stale and before deletes.

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, Node, Source};

use crate::attempts::Attempts;

/// The node at `path` now; `None` only if the server says that a component does not exist, or that
/// what should lead to it is no directory.
pub(crate) async fn locate<S: Source>(
    source: &S,
    path: &EntryPath,
    attempts: &Attempts,
) -> Result<Option<Node>, EndpointError> {
    let mut node = attempts.run(|| source.root()).await?;
    for name in path.names() {
        if node.attributes.kind != EntryKind::Directory {
            return Ok(None);
        }
        match attempts.run(|| source.lookup(&node.handle, name)).await? {
            Some(child) => node = child,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}
