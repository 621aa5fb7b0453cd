//! NFS and MOUNT statuses as errors of the seam.

use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind};
use nfs3_types::mount::mountstat3;
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::xdr_codec::Unpack;

use crate::xdr::{Malformed, Reply};

/// What a server says at the edge of a file system that is mounted in another.
pub(crate) const XDEV: &str =
    "another file system is mounted there, which needs a location of its own";

/// An NFS status other than NFS3_OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(u32);

impl Status {
    /// Reads a status; `None` for NFS3_OK.
    pub(crate) fn read(reply: &mut Reply) -> Result<Option<Self>, Malformed> {
        let value = reply.u32("the status")?;
        Ok((value != 0).then_some(Self(value)))
    }

    fn word(self) -> Option<nfsstat3> {
        nfsstat3::unpack(&mut self.0.to_be_bytes().as_slice())
            .ok()
            .map(|(status, _)| status)
    }

    pub(crate) fn kind(self) -> ErrorKind {
        use nfsstat3 as S;
        match self.word() {
            Some(S::NFS3ERR_NOENT) => ErrorKind::NotFound,
            Some(S::NFS3ERR_PERM | S::NFS3ERR_ACCES | S::NFS3ERR_ROFS) => {
                ErrorKind::PermissionDenied
            }
            Some(S::NFS3ERR_EXIST | S::NFS3ERR_NOT_SYNC) => ErrorKind::Precondition,
            Some(S::NFS3ERR_STALE | S::NFS3ERR_BADHANDLE) => ErrorKind::Stale,
            Some(S::NFS3ERR_JUKEBOX) => ErrorKind::Busy,
            Some(S::NFS3ERR_BAD_COOKIE) => ErrorKind::BadCookie,
            Some(S::NFS3ERR_IO | S::NFS3ERR_SERVERFAULT | S::NFS3ERR_NXIO | S::NFS3ERR_NODEV) => {
                ErrorKind::ServerFault
            }
            Some(S::NFS3ERR_NOTSUPP | S::NFS3ERR_REMOTE | S::NFS3ERR_XDEV | S::NFS3ERR_BADTYPE) => {
                ErrorKind::NotSupported
            }
            Some(S::NFS3ERR_NAMETOOLONG) => ErrorKind::InvalidName,
            Some(S::NFS3ERR_NOSPC | S::NFS3ERR_DQUOT) => ErrorKind::NoSpace,
            Some(S::NFS3ERR_FBIG) => ErrorKind::TooLarge,
            Some(
                S::NFS3ERR_NOTDIR
                | S::NFS3ERR_ISDIR
                | S::NFS3ERR_INVAL
                | S::NFS3ERR_NOTEMPTY
                | S::NFS3ERR_MLINK,
            ) => ErrorKind::Invalid,
            _ => ErrorKind::Protocol,
        }
    }

    fn text(self, uid: u32) -> String {
        let word = match self.word() {
            Some(word) => word.to_string(),
            None => format!("NFS status {}, which RFC 1813 does not know", self.0),
        };
        match self.kind() {
            _ if self.word() == Some(nfsstat3::NFS3ERR_ROFS) => {
                format!("{word}: the file system is exported or mounted read-only")
            }
            _ if self.word() == Some(nfsstat3::NFS3ERR_XDEV) => format!("{word}: {XDEV}"),
            ErrorKind::PermissionDenied => denied(&word, uid),
            ErrorKind::Stale => format!("{word}: the file handle means nothing any more"),
            _ => word,
        }
    }

    pub(crate) fn error(self, operation: &'static str, target: String, uid: u32) -> EndpointError {
        EndpointError::new(self.kind(), operation, target, self.text(uid))
    }
}

/// A refusal in words that say what to do.
pub(crate) fn denied(status: &str, uid: u32) -> String {
    let advice = match uid {
        0 => "export with no_root_squash, or give everybody the right",
        _ => "give that user the right",
    };
    format!(
        "{status}: the server does not let uid {uid} do this (mode bits, root squash, the export's \
         client list): {advice}"
    )
}

/// What a name or a path looks like in a message.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Whether a MNT that was refused so may succeed for a directory above.
pub(crate) fn ancestor_may_mount(status: mountstat3) -> bool {
    use mountstat3 as S;
    matches!(
        status,
        S::MNT3ERR_NOENT | S::MNT3ERR_ACCES | S::MNT3ERR_NOTDIR
    )
}

/// The refusal of a MNT, in words that say what to do.
pub(crate) fn mount_error(status: mountstat3, host: &str, path: &str) -> EndpointError {
    use mountstat3 as S;
    let (kind, advice) = match status {
        S::MNT3ERR_NOENT => (
            ErrorKind::ContainerNotFound,
            "there is no such directory on the server; check the location's Subdirectory against \
             the server's list of exports (showmount -e)",
        ),
        S::MNT3ERR_NOTDIR => (
            ErrorKind::ContainerNotFound,
            "the path is not a directory; name the export or a directory below it",
        ),
        S::MNT3ERR_ACCES | S::MNT3ERR_PERM => (
            ErrorKind::PermissionDenied,
            "the server does not export this path to this agent; check that the path (or a \
             directory above it) is exported and that the export's client list has the agent's address",
        ),
        S::MNT3ERR_IO | S::MNT3ERR_SERVERFAULT => (
            ErrorKind::ServerFault,
            "the server failed inside; see its log",
        ),
        S::MNT3ERR_NAMETOOLONG => (ErrorKind::Invalid, "the path is too long for the server"),
        S::MNT3ERR_INVAL => (ErrorKind::Invalid, "the server does not take this path"),
        S::MNT3ERR_NOTSUPP => (ErrorKind::NotSupported, "the server does not support MOUNT"),
        S::MNT3_OK => (ErrorKind::Protocol, "a refusal without a reason"),
    };
    EndpointError::new(
        kind,
        "MNT",
        format!("{host}:{path}"),
        format!("{status}: {advice}"),
    )
}

/// A name as a server may be asked for it: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
pub(crate) fn is_name(name: &[u8]) -> bool {
    (1..=255).contains(&name.len())
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
        && !is_dot(name)
}

/// `.` or `..`.
pub(crate) fn is_dot(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// The longest handle (RFC 1813 §2.4, NFS3_FHSIZE).
pub(crate) const HANDLE_MAX: usize = 64;

/// Reads a handle: 1 to 64 bytes.
pub(crate) fn read_handle(reply: &mut Reply) -> Result<Bytes, Malformed> {
    let handle = reply.opaque(HANDLE_MAX, "a file handle")?;
    if handle.is_empty() {
        return Err(Malformed::Other("an empty file handle".to_owned()));
    }
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_kinds() {
        for (status, kind) in [
            (1, ErrorKind::PermissionDenied),
            (2, ErrorKind::NotFound),
            (5, ErrorKind::ServerFault),
            (13, ErrorKind::PermissionDenied),
            (20, ErrorKind::Invalid),
            (63, ErrorKind::InvalidName),
            (70, ErrorKind::Stale),
            (10_001, ErrorKind::Stale),
            (10_003, ErrorKind::BadCookie),
            (10_004, ErrorKind::NotSupported),
            (10_006, ErrorKind::ServerFault),
            (10_008, ErrorKind::Busy),
            (4711, ErrorKind::Protocol),
        ] {
            assert_eq!(Status(status).kind(), kind, "{status}");
        }
        let error = Status(13).error("READ", "nas:/e".to_owned(), 1000);
        assert!(
            error.to_string().starts_with("READ nas:/e: NFS3ERR_ACCES"),
            "{error}"
        );
        assert!(error.detail.contains("uid 1000"));
    }

    #[test]
    fn a_refused_mount_names_host_and_path() {
        let error = mount_error(mountstat3::MNT3ERR_NOENT, "nas", "/vol/a");
        assert_eq!(error.kind, ErrorKind::ContainerNotFound);
        assert!(error.to_string().contains("nas:/vol/a"), "{error}");
        let error = mount_error(mountstat3::MNT3ERR_ACCES, "nas", "/vol/a");
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
    }
}
