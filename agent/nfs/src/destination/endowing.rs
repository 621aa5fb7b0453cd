//! Access control lists and extended attributes of what is written.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, Effect, EndpointError, EntryKind, ErrorKind, ExtendedMetadata, Handle, Key, Node,
    PosixMetadata, Receipt, Source, WithoutExtended,
};

use super::NfsDestination;
use crate::changes::NewAttributes;

/// Characters of a list or of attributes that a message shows.
const SHOWN: usize = 400;

/// What an entry is to be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endowment<'a> {
    pub(super) metadata: &'a PosixMetadata,
    /// `None`: it stays as it is.
    pub(super) extended: Option<&'a ExtendedMetadata>,
}

impl NfsDestination {
    /// Gives an entry that has its owner and permissions what it is to have besides. What the server
    /// never takes is told of and keeps nobody from using the content: the inner error.
    ///
    /// # Errors
    /// What may be otherwise at the next try.
    pub(super) async fn endow(
        &self,
        key: &Key,
        (handle, made): (&Bytes, &Attributes),
        wanted: Endowment<'_>,
    ) -> Result<Result<(), EndpointError>, EndpointError> {
        let Some(extended) = wanted.extended else {
            return Ok(Ok(()));
        };
        let node = Node {
            handle: Handle(handle.clone()),
            attributes: *made,
        };
        match self.give(&node, wanted.metadata, extended).await {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.kind.is_transient() || error.kind == ErrorKind::Stale => Err(error),
            Err(error) => Ok(Err(self.of_item(key, refused(error)))),
        }
    }

    /// First the attributes, then the list: it may forbid to set attributes. Last what the list has made
    /// of the permissions is put right (RFC 8881 §6.4.1.2): where they come from a list like this one, that
    /// leaves it as it is.
    async fn give(
        &self,
        node: &Node,
        metadata: &PosixMetadata,
        wanted: &ExtendedMetadata,
    ) -> Result<(), EndpointError> {
        if self.tree.extended_kinds().is_none() || node.attributes.kind == EntryKind::Symlink {
            return Ok(());
        }
        let before = self.tree.extended(node).await?;
        let has_new_xattrs = self.give_xattrs(node, &before, wanted).await?;
        let new_acl = wanted.acl.as_ref();
        let new_acl = new_acl.filter(|acl| before.acl.as_ref() != Some(*acl));
        if let Some(acl) = new_acl {
            self.tree.changes().set_acl(&node.handle.0, acl).await?;
            self.put_mode_right(node, metadata).await?;
        }
        if !has_new_xattrs && new_acl.is_none() {
            return Ok(());
        }
        is_kept(wanted, &self.tree.extended(node).await?)
    }

    /// Whether anything was changed.
    async fn give_xattrs(
        &self,
        node: &Node,
        before: &ExtendedMetadata,
        wanted: &ExtendedMetadata,
    ) -> Result<bool, EndpointError> {
        if before.xattrs == wanted.xattrs {
            return Ok(false);
        }
        let (changes, entry) = (self.tree.changes(), &node.handle.0);
        for (name, _) in before.xattrs.iter() {
            if wanted.xattrs.get(name).is_none() {
                changes.remove_xattr(entry, name).await?;
            }
        }
        for (name, value) in wanted.xattrs.iter() {
            if before.xattrs.get(name) != Some(value) {
                changes.set_xattr(entry, name, value).await?;
            }
        }
        Ok(true)
    }

    async fn put_mode_right(
        &self,
        node: &Node,
        metadata: &PosixMetadata,
    ) -> Result<(), EndpointError> {
        let Some(mode) = metadata.permissions.map(|permissions| permissions & 0o7777) else {
            return Ok(());
        };
        if self.tree.attributes(&node.handle).await?.mode == mode {
            return Ok(());
        }
        let new = NewAttributes {
            mode: Some(mode),
            ..NewAttributes::default()
        };
        self.set(&node.handle.0, &new).await
    }
}

/// Whether the server keeps what it was given: one that keeps something else is not believed.
fn is_kept(wanted: &ExtendedMetadata, found: &ExtendedMetadata) -> Result<(), EndpointError> {
    let differ = |what: &str, found: String, wanted: String| {
        let shown = |text: String| text.chars().take(SHOWN).collect::<String>();
        let detail = format!(
            "the server answered that it had set {what}, but keeps {:?} instead of {:?}: its file \
             system cannot hold it as it is",
            shown(found),
            shown(wanted)
        );
        Err(EndpointError::new(
            ErrorKind::Invalid,
            "SETATTR",
            "",
            detail,
        ))
    };
    if wanted.acl.is_some() && wanted.acl != found.acl {
        let text = |extended: &ExtendedMetadata| {
            let acl = extended.acl.as_ref();
            acl.map_or_else(|| "none".to_owned(), ToString::to_string)
        };
        return differ("an access control list", text(found), text(wanted));
    }
    if wanted.xattrs != found.xattrs {
        let (found, wanted) = (found.xattrs.to_string(), wanted.xattrs.to_string());
        return differ("extended attributes", found, wanted);
    }
    Ok(())
}

/// No room for an attribute is a matter of this entry: file systems keep little of them for each.
fn refused(error: EndpointError) -> EndpointError {
    let kind = match error.kind {
        ErrorKind::TooLarge | ErrorKind::NoSpace => ErrorKind::TooLarge,
        _ => ErrorKind::Invalid,
    };
    let detail = format!(
        "its access control list or its extended attributes are not as they should be: {}",
        error.detail
    );
    EndpointError {
        kind,
        detail,
        // The rest is written whatever became of these.
        effect: Effect::None,
        ..error
    }
}

/// The receipt of what was written, or the error of what it should have had besides.
pub(super) fn endowed(
    receipt: Receipt,
    endowed: Result<(), EndpointError>,
) -> Result<Receipt, EndpointError> {
    match endowed {
        Ok(()) => Ok(receipt),
        Err(error) => Err(error.caused_by(WithoutExtended(receipt))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_keeps_otherwise_is_named() {
        let of = |acl: Option<&str>| ExtendedMetadata {
            acl: acl.map(|acl| acl.parse().unwrap()),
            ..ExtendedMetadata::default()
        };
        assert!(is_kept(&of(None), &of(Some("A::OWNER@:r"))).is_ok());
        assert!(is_kept(&of(Some("A::OWNER@:r")), &of(Some("A::OWNER@:r"))).is_ok());
        let error = is_kept(&of(Some("A::1:rw")), &of(Some("A::1:r"))).unwrap_err();
        assert!(error.detail.contains("A::1:rw"), "{error}");
        let mut more = of(None);
        assert!(more.xattrs.add(b"colour", b"blue"));
        let error = is_kept(&of(None), &more).unwrap_err();
        assert!(error.detail.contains("colour"), "{error}");
    }

    #[test]
    fn no_room_for_an_attribute_does_not_end_an_execution() {
        let of = |kind| refused(EndpointError::new(kind, "SETXATTR", "nas:/", "no")).kind;
        assert_eq!(of(ErrorKind::NoSpace), ErrorKind::TooLarge);
        assert_eq!(of(ErrorKind::PermissionDenied), ErrorKind::Invalid);
    }
}
