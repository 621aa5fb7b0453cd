//! What is known of a key, as an item in the shape that it is taken for.

use datasync_endpoint::{EndpointError, Node, PosixMetadata};

use super::attributes::{self, settled};
use super::facts::Facts;
use super::handle::{Form, Item};
use super::{S3Source, Shape};

impl S3Source {
    pub(super) fn object_node(&self, item: &Item) -> Node {
        Node {
            handle: item.handle(),
            attributes: attributes::of_object(item, self.fsid),
        }
    }

    /// An object that HEAD or GET told of, in the shape that it is taken for. `before` is what was known
    /// of the key.
    pub(super) fn file_node(&self, key: &str, facts: &Facts, before: Option<&Item>) -> Node {
        let before = before.filter(|before| before.etag == facts.etag);
        let item = Item {
            form: Form::Object,
            size: facts.size,
            modified: before.map_or(facts.modified, |before| {
                settled(before.modified, facts.modified)
            }),
            etag: facts.etag.clone(),
            key: key.to_owned(),
        };
        match self.shape {
            Shape::Objects { .. } => self.object_node(&item),
            Shape::Files => Node {
                handle: item.handle(),
                attributes: attributes::of_file(&item, &facts.posix(), self.fsid),
            },
        }
    }

    /// The directory of this key, which is empty or ends in `/`.
    pub(super) async fn directory(&self, key: String) -> Result<Node, EndpointError> {
        let facts = match key.as_str() {
            "" => None,
            key => self.head(key, None).await?,
        };
        Ok(self.directory_node(key, facts.as_ref()))
    }

    pub(super) fn directory_node(&self, key: String, facts: Option<&Facts>) -> Node {
        let item = match facts {
            None => Item::prefix(key),
            Some(facts) => Item {
                form: if facts.size == 0 {
                    Form::Marker
                } else {
                    Form::Burdened
                },
                size: facts.size,
                modified: facts.modified,
                etag: facts.etag.clone(),
                key,
            },
        };
        let metadata = match (self.shape, facts) {
            (Shape::Files, Some(facts)) => facts.posix(),
            _ => PosixMetadata::default(),
        };
        Node {
            handle: item.handle(),
            attributes: attributes::of_directory(&item, &metadata, self.fsid, self.opened),
        }
    }

    /// What `facts` tell of an item that was known.
    pub(super) fn node_of(&self, item: &Item, facts: &Facts) -> Node {
        if item.is_directory() {
            self.directory_node(item.key.clone(), Some(facts))
        } else {
            self.file_node(&item.key, facts, Some(item))
        }
    }
}
