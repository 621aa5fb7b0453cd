//! What was written gets what it is to have, and its name.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, EndpointError, EntryKind, ErrorKind, Handle, Key, ObjectHeader, Source,
};

use super::NfsDestination;
use super::dressing::{dress, refused_owner, set_id_again};
use super::place::Place;
use super::putting::endowment;
use crate::changes::NewAttributes;

/// What has its name, and what the server did not take of what it should have besides.
pub(super) type Published = (Attributes, Result<(), EndpointError>);

impl NfsDestination {
    /// Gives what was written its owner, permissions, times and what it is to have besides, and then its
    /// name. Atomic: who looks sees the object of before or this one.
    pub(super) async fn publish(
        &self,
        staged: (&Bytes, &str),
        (entry, kind, made): (&Bytes, EntryKind, &Attributes),
        target: &Place,
        (key, header): (&Key, &ObjectHeader),
    ) -> Result<Published, EndpointError> {
        let keeps_link_times = self.abilities.keeps_link_times;
        let mut new = dress((kind, made), &header.metadata, keeps_link_times);
        let mut endowed = Ok(());
        let is_endowed = kind == EntryKind::File && header.extended.is_some();
        if is_endowed || header.only_if_absent || set_id_again(&new).is_some() {
            self.dress(entry, (kind, made), &header.metadata).await?;
            if is_endowed {
                endowed = self.endow(key, (entry, made), endowment(header)).await?;
            }
            new = NewAttributes::default();
        }
        let attributes = self
            .name(staged, (entry, &new), target, (key, header))
            .await?;
        Ok((attributes, endowed))
    }

    /// Sets what is left to be set, and gives the name; the attributes afterwards.
    async fn name(
        &self,
        (staging, name): (&Bytes, &str),
        (entry, new): (&Bytes, &NewAttributes),
        target: &Place,
        (key, header): (&Key, &ObjectHeader),
    ) -> Result<Attributes, EndpointError> {
        let directory = self.writable(&target.directory).await?;
        let from = (&staging[..], name.as_bytes());
        let to = (&directory[..], &target.name[..]);
        let changes = self.tree.changes();
        let named = if header.only_if_absent {
            // A name that is taken is not given to another entry, whatever happens at the same time.
            changes.link(entry, to.0, to.1).await.map(|()| None)
        } else {
            changes.set_and_rename((entry, new), from, to).await
        };
        let seen = match named {
            Ok(seen) => seen,
            Err(error) if error.operation == "SETATTR" => return Err(refused_owner(error, new)),
            Err(error) => return Err(self.not_named(error, to, (key, header)).await),
        };
        if header.only_if_absent {
            self.unstage(staging, name).await;
        }
        if let Some(seen) = seen {
            return Ok(seen);
        }
        match self.tree.attributes(&Handle(entry.clone())).await {
            Ok(attributes) => Ok(attributes),
            // Some servers' handles go with the name.
            Err(error) if error.kind == ErrorKind::Stale => {
                let found = self.tree.lookup(&Handle(directory), &target.name).await?;
                found.map(|node| node.attributes).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Why an entry did not get its name.
    async fn not_named(
        &self,
        error: EndpointError,
        (directory, name): (&[u8], &[u8]),
        (key, header): (&Key, &ObjectHeader),
    ) -> EndpointError {
        if error.kind == ErrorKind::Precondition && header.only_if_absent {
            return error;
        }
        if !matches!(error.kind, ErrorKind::Precondition | ErrorKind::Invalid) {
            return error;
        }
        let directory = Handle(Bytes::copy_from_slice(directory));
        match self.tree.lookup(&directory, name).await {
            Ok(Some(found)) if found.attributes.kind == EntryKind::Directory => {
                self.clash(key, EntryKind::Directory)
            }
            _ => error,
        }
    }
}
