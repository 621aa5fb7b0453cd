//! What file handles stand for: a name in a directory, and the file that it meant.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::Stat;

/// The handle of the export's root.
pub(super) const ROOT: u64 = 1;

/// Tells a file from another that took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

#[derive(Debug)]
struct Node {
    parent: u64,
    name: Arc<[u8]>,
    identity: Identity,
}

/// All nodes that a client has seen; they are never forgotten, so handles stay valid.
#[derive(Debug)]
pub(super) struct Nodes {
    table: RwLock<Table>,
}

#[derive(Debug)]
struct Table {
    /// Handle n is at n - 1.
    nodes: Vec<Node>,
    by_name: HashMap<(u64, Arc<[u8]>), u64>,
}

impl Nodes {
    pub(super) fn new(root: Identity) -> Self {
        let root = Node {
            parent: ROOT,
            name: Arc::from([].as_slice()),
            identity: root,
        };
        Self {
            table: RwLock::new(Table {
                nodes: vec![root],
                by_name: HashMap::new(),
            }),
        }
    }

    /// The handle of a name; a new one if the name means another file than before.
    pub(super) fn intern(&self, parent: u64, name: &[u8], identity: Identity) -> u64 {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let slot: (u64, Arc<[u8]>) = (parent, Arc::from(name));
        let known = table.by_name.get(&slot).copied();
        if let Some(id) = known.filter(|id| table.node(*id).is_some_and(|n| n.identity == identity))
        {
            return id;
        }
        let name = slot.1.clone();
        table.nodes.push(Node {
            parent,
            name,
            identity,
        });
        let id = table.nodes.len() as u64;
        table.by_name.insert(slot, id);
        id
    }

    pub(super) fn identity(&self, id: u64) -> Option<Identity> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.node(id).map(|node| node.identity)
    }

    pub(super) fn parent(&self, id: u64) -> Option<u64> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.node(id).map(|node| node.parent)
    }

    /// The names from the root to a node; empty for the root.
    pub(super) fn path(&self, id: u64) -> Option<Vec<Arc<[u8]>>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut path = Vec::new();
        let mut current = id;
        while current != ROOT {
            let node = table.node(current)?;
            path.push(node.name.clone());
            current = node.parent;
        }
        path.reverse();
        Some(path)
    }
}

impl Table {
    fn node(&self, id: u64) -> Option<&Node> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.nodes.get(index)
    }
}
