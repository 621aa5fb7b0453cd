//! What changes an export, in whatever version is spoken.

use bytes::Bytes;
use datasync_endpoint::{
    Acl, Attributes, DeviceNumbers, EndpointError, EntryKind, ErrorKind, Timestamp,
};

use crate::client::Client;
use crate::v4;
use crate::xdr::Malformed;

/// Tells a server's lives apart: what it had not committed may be lost once it changes
/// (RFC 1813 §3.3.7, `writeverf3`).
pub(crate) type Verifier = [u8; 8];

/// Attributes that are set; those that are absent stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NewAttributes {
    /// Permission bits.
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mtime: Option<Timestamp>,
    pub(crate) atime: Option<Timestamp>,
}

/// What the server takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteLimits {
    /// Bytes of one WRITE.
    pub(crate) write_max: u32,
    /// Bytes of a file; `None` where the server does not say.
    pub(crate) file_max: Option<u64>,
}

/// What a WRITE came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes from the beginning of the data; at least 1.
    pub(crate) count: u32,
    /// Whether they need no COMMIT.
    pub(crate) is_stable: bool,
    pub(crate) verifier: Verifier,
}

/// An entry that was made: its handle and attributes.
pub(crate) type Made = (Bytes, Attributes);

/// A file that was made, written and read by one call.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) made: Made,
    pub(crate) written: Written,
    /// What was read, at most as much as was written.
    pub(crate) content: Bytes,
}

/// The calls of the version that is spoken. Each is made once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Changes<'a> {
    V3(&'a Client),
    V4(&'a v4::Client),
}

impl Changes<'_> {
    /// Makes an empty file with these permission bits; one that is there already is a
    /// `Precondition`.
    pub(crate) async fn make_file(
        self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        match self {
            Self::V3(client) => client.make_file(directory, name, mode).await,
            Self::V4(client) => client.make_file(directory, name, mode).await,
        }
    }

    pub(crate) async fn make_directory(
        self,
        directory: &[u8],
        name: &[u8],
        mode: u32,
    ) -> Result<Made, EndpointError> {
        match self {
            Self::V3(client) => client.make_directory(directory, name, mode).await,
            Self::V4(client) => client.make_directory(directory, name, mode).await,
        }
    }

    pub(crate) async fn make_link(
        self,
        directory: &[u8],
        name: &[u8],
        target: &[u8],
    ) -> Result<Made, EndpointError> {
        match self {
            Self::V3(client) => client.make_link(directory, name, target).await,
            Self::V4(client) => client.make_link(directory, name, target).await,
        }
    }

    /// Makes a block device, or a character device where `kind` is one.
    pub(crate) async fn make_device(
        self,
        directory: &[u8],
        name: &[u8],
        (kind, numbers): (EntryKind, DeviceNumbers),
        mode: u32,
    ) -> Result<Made, EndpointError> {
        let device = (kind == EntryKind::BlockDevice, numbers);
        match self {
            Self::V3(client) => client.make_device(directory, name, device, mode).await,
            Self::V4(client) => client.make_device(directory, name, device, mode).await,
        }
    }

    /// Writes the beginning of `data` at least; to stable storage, if `is_stable`.
    pub(crate) async fn write(
        self,
        file: &[u8],
        offset: u64,
        data: &[u8],
        is_stable: bool,
    ) -> Result<Written, EndpointError> {
        match self {
            Self::V3(client) => client.write(file, offset, data, is_stable).await,
            Self::V4(client) => client.write(file, offset, data, is_stable).await,
        }
    }

    /// Makes a file with these permission bits and this content on stable storage and reads it back, where
    /// the version has one call for that; otherwise `None`.
    pub(crate) async fn make_whole_file(
        self,
        directory: &[u8],
        name: &[u8],
        (mode, content): (u32, &[u8]),
    ) -> Result<Option<Whole>, EndpointError> {
        match self {
            Self::V3(_) => Ok(None),
            Self::V4(client) => {
                let new = (mode, content);
                client.make_whole_file(directory, name, new).await
            }
        }
    }

    /// Brings everything that was written to the file to stable storage.
    pub(crate) async fn commit(self, file: &[u8]) -> Result<Verifier, EndpointError> {
        match self {
            Self::V3(client) => client.commit(file).await,
            Self::V4(client) => client.commit(file).await,
        }
    }

    /// Sets attributes; with `unchanged_since`, only while the ctime is this one (a `Precondition`
    /// otherwise; version 4 does not look).
    pub(crate) async fn set_attributes(
        self,
        entry: &[u8],
        new: &NewAttributes,
        unchanged_since: Option<Timestamp>,
    ) -> Result<(), EndpointError> {
        match self {
            Self::V3(client) => client.set_attributes(entry, new, unchanged_since).await,
            Self::V4(client) => client.set_attributes(entry, new).await,
        }
    }

    /// Sets the access control list; version 3 has none.
    pub(crate) async fn set_acl(self, entry: &[u8], acl: &Acl) -> Result<(), EndpointError> {
        match self {
            Self::V3(_) => Err(lacking("SETATTR")),
            Self::V4(client) => client.set_acl(entry, acl).await,
        }
    }

    /// Sets an extended attribute of the namespace `user`; version 4.2 alone has them.
    pub(crate) async fn set_xattr(
        self,
        entry: &[u8],
        name: &[u8],
        value: &[u8],
    ) -> Result<(), EndpointError> {
        match self {
            Self::V3(_) => Err(lacking("SETXATTR")),
            Self::V4(client) => client.set_xattr(entry, name, value).await,
        }
    }

    /// Removes an extended attribute.
    pub(crate) async fn remove_xattr(self, entry: &[u8], name: &[u8]) -> Result<(), EndpointError> {
        match self {
            Self::V3(_) => Err(lacking("REMOVEXATTR")),
            Self::V4(client) => client.remove_xattr(entry, name).await,
        }
    }

    /// Replaces what has the new name, unless that is a directory.
    pub(crate) async fn rename(
        self,
        (from_directory, from): (&[u8], &[u8]),
        (to_directory, to): (&[u8], &[u8]),
    ) -> Result<(), EndpointError> {
        let (from, to) = ((from_directory, from), (to_directory, to));
        match self {
            Self::V3(client) => client.rename(from, to).await,
            Self::V4(client) => client.rename(from, to).await,
        }
    }

    /// Sets attributes and renames as [`Changes::rename`] does. Gives the attributes, if they came with the
    /// answer; the error's operation is the one that was refused.
    pub(crate) async fn set_and_rename(
        self,
        (entry, new): (&[u8], &NewAttributes),
        from: (&[u8], &[u8]),
        to: (&[u8], &[u8]),
    ) -> Result<Option<Attributes>, EndpointError> {
        match self {
            Self::V3(client) => {
                if *new != NewAttributes::default() {
                    client.set_attributes(entry, new, None).await?;
                }
                client.rename(from, to).await?;
                Ok(None)
            }
            Self::V4(client) => client.set_and_rename((entry, new), from, to).await,
        }
    }

    /// Gives the entry one more name; one that is taken is a `Precondition`.
    pub(crate) async fn link(
        self,
        entry: &[u8],
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        match self {
            Self::V3(client) => client.link(entry, directory, name).await,
            Self::V4(client) => client.link(entry, directory, name).await,
        }
    }

    /// Removes a name of anything but a directory.
    pub(crate) async fn remove(self, directory: &[u8], name: &[u8]) -> Result<(), EndpointError> {
        match self {
            Self::V3(client) => client.remove(directory, name).await,
            Self::V4(client) => client.remove(directory, name).await,
        }
    }

    /// Removes a directory that is empty.
    pub(crate) async fn remove_directory(
        self,
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), EndpointError> {
        match self {
            Self::V3(client) => client.remove_directory(directory, name).await,
            // REMOVE is for both kinds (RFC 8881 §18.25).
            Self::V4(client) => client.remove(directory, name).await,
        }
    }
}

/// The error of an operation that version 3 has not.
fn lacking(operation: &'static str) -> EndpointError {
    let detail = "NFS version 3 has no such operation";
    EndpointError::new(ErrorKind::NotSupported, operation, "", detail)
}

/// `FILE_SYNC` (RFC 1813 §3.3.7, RFC 8881 §18.32): content and metadata are on stable storage.
const FILE_SYNC: u32 = 2;

/// A WRITE's results: some of the bytes that it `asked` for, and no more.
pub(crate) fn written(
    count: u32,
    committed: u32,
    verifier: Verifier,
    asked: u32,
) -> Result<Written, Malformed> {
    if count == 0 || count > asked {
        return Err(Malformed::Other(format!(
            "a WRITE of {asked} bytes that wrote {count}"
        )));
    }
    if committed > FILE_SYNC {
        return Err(Malformed::Meaningless {
            what: "how a WRITE was committed",
            value: committed,
        });
    }
    Ok(Written {
        count,
        is_stable: committed == FILE_SYNC,
        verifier,
    })
}

/// The error of a call that changes something: it may have, where the server did not say.
pub(crate) fn unsure(error: EndpointError) -> EndpointError {
    match error.kind {
        ErrorKind::Unreachable
        | ErrorKind::Timeout
        | ErrorKind::ServerFault
        | ErrorKind::Protocol => error.with_unknown_effect(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_wrote_something_and_no_more_than_it_was_given() {
        let of = |count, committed| written(count, committed, [1; 8], 10);
        let whole = of(10, 2).unwrap();
        assert!(whole.is_stable && whole.count == 10 && whole.verifier == [1; 8]);
        assert!(!of(3, 0).unwrap().is_stable);
        assert!(!of(3, 1).unwrap().is_stable, "DATA_SYNC has no metadata");
        for (count, committed) in [(0, 2), (11, 2), (10, 3)] {
            assert!(of(count, committed).is_err(), "{count} {committed}");
        }
    }

    #[test]
    fn only_what_the_server_did_not_say_is_unsure() {
        use datasync_endpoint::Effect;
        for (kind, effect) in [
            (ErrorKind::Timeout, Effect::Unknown),
            (ErrorKind::Unreachable, Effect::Unknown),
            (ErrorKind::Protocol, Effect::Unknown),
            (ErrorKind::Busy, Effect::None),
            (ErrorKind::NoSpace, Effect::None),
        ] {
            let error = unsure(EndpointError::new(kind, "RENAME", "nas:/", ""));
            assert_eq!(error.effect, effect, "{kind:?}");
        }
    }
}
