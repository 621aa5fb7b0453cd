//! Owner, permissions and times of what was written.

use datasync_endpoint::{Attributes, EndpointError, EntryKind, ErrorKind, PosixMetadata};

use super::NfsDestination;
use super::putting::OWNERS_ADVICE;
use crate::changes::NewAttributes;

/// What files have whose source's permissions are not kept (DataSync user guide, "How DataSync handles
/// metadata and special files").
const FILE_MODE: u32 = 0o644;
/// Set-user-id and set-group-id, which a change of owner takes away.
const SET_ID: u32 = 0o6000;

/// What an entry that was made is given by one SETATTR. Owners that are as they should be are not asked for,
/// since not every server lets everybody ask.
pub(super) fn dress(
    (kind, made): (EntryKind, &Attributes),
    metadata: &PosixMetadata,
    keeps_link_times: bool,
) -> NewAttributes {
    let mode = metadata.permissions.map(|permissions| permissions & 0o7777);
    let mode = match kind {
        EntryKind::File => Some(mode.unwrap_or(FILE_MODE)),
        // Links have permissions of their own on few systems, and nobody looks at them.
        EntryKind::Symlink => None,
        _ => mode,
    };
    let has_times = match kind {
        // Those of a directory would change with everything that is written into it.
        EntryKind::Directory => false,
        EntryKind::Symlink => keeps_link_times,
        _ => true,
    };
    NewAttributes {
        mode,
        uid: metadata.owner.filter(|owner| *owner != made.uid),
        gid: metadata.group.filter(|group| *group != made.gid),
        mtime: metadata.mtime.filter(|_| has_times),
        atime: metadata.atime.filter(|_| has_times),
    }
}

/// What is to be set once more: a change of owner takes set-user-id away.
pub(super) fn set_id_again(new: &NewAttributes) -> Option<NewAttributes> {
    let is_owned_anew = new.uid.is_some() || new.gid.is_some();
    let mode = new.mode.filter(|mode| mode & SET_ID != 0 && is_owned_anew);
    mode.map(|mode| NewAttributes {
        mode: Some(mode),
        ..NewAttributes::default()
    })
}

impl NfsDestination {
    /// Gives what was made owner, permissions and times.
    pub(super) async fn dress(
        &self,
        handle: &[u8],
        made: (EntryKind, &Attributes),
        metadata: &PosixMetadata,
    ) -> Result<(), EndpointError> {
        let new = dress(made, metadata, self.abilities.keeps_link_times);
        self.set(handle, &new).await?;
        match set_id_again(&new) {
            Some(again) => self.set(handle, &again).await,
            None => Ok(()),
        }
    }

    pub(super) async fn set(
        &self,
        handle: &[u8],
        new: &NewAttributes,
    ) -> Result<(), EndpointError> {
        if *new == NewAttributes::default() {
            return Ok(());
        }
        let set = self.tree.changes().set_attributes(handle, new, None).await;
        set.map_err(|error| refused_owner(error, new))
    }
}

/// Says what to do about an owner that this agent may not give.
pub(super) fn refused_owner(error: EndpointError, new: &NewAttributes) -> EndpointError {
    if error.kind != ErrorKind::PermissionDenied || (new.uid.is_none() && new.gid.is_none()) {
        return error;
    }
    let word = |number: Option<u32>| number.map_or("as it is".to_owned(), |n| n.to_string());
    let detail = format!(
        "{}; it was to belong to user {} and group {}, which only root may arrange: {OWNERS_ADVICE}",
        error.detail,
        word(new.uid),
        word(new.gid)
    );
    EndpointError { detail, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_owner_says_what_to_do_and_nothing_else_does() {
        let refused = || EndpointError::new(ErrorKind::PermissionDenied, "SETATTR", "nas:/", "no");
        let owner = NewAttributes {
            uid: Some(7),
            ..NewAttributes::default()
        };
        let detail = refused_owner(refused(), &owner).detail;
        assert!(
            detail.contains("no_root_squash") && detail.contains("user 7"),
            "{detail}"
        );
        assert_eq!(
            refused_owner(refused(), &NewAttributes::default()).detail,
            "no"
        );
    }
}
