//! NFSv4 statuses (RFC 8881 §15.1) as errors of the seam.

use datasync_endpoint::{EndpointError, ErrorKind};

use crate::lacking::Lack;
use crate::status::{XDEV, denied};
use crate::xdr::{Malformed, Reply};

/// A status other than NFS4_OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(u32);

/// Number, name and kind.
const KNOWN: &[(u32, &str, ErrorKind)] = &[
    (1, "NFS4ERR_PERM", ErrorKind::PermissionDenied),
    (2, "NFS4ERR_NOENT", ErrorKind::NotFound),
    (5, "NFS4ERR_IO", ErrorKind::ServerFault),
    (6, "NFS4ERR_NXIO", ErrorKind::ServerFault),
    (13, "NFS4ERR_ACCESS", ErrorKind::PermissionDenied),
    (17, "NFS4ERR_EXIST", ErrorKind::Precondition),
    (18, "NFS4ERR_XDEV", ErrorKind::NotSupported),
    (20, "NFS4ERR_NOTDIR", ErrorKind::Invalid),
    (21, "NFS4ERR_ISDIR", ErrorKind::Invalid),
    (22, "NFS4ERR_INVAL", ErrorKind::Invalid),
    (27, "NFS4ERR_FBIG", ErrorKind::TooLarge),
    (28, "NFS4ERR_NOSPC", ErrorKind::NoSpace),
    (30, "NFS4ERR_ROFS", ErrorKind::PermissionDenied),
    (31, "NFS4ERR_MLINK", ErrorKind::Invalid),
    (63, "NFS4ERR_NAMETOOLONG", ErrorKind::InvalidName),
    (66, "NFS4ERR_NOTEMPTY", ErrorKind::Invalid),
    (69, "NFS4ERR_DQUOT", ErrorKind::NoSpace),
    (70, "NFS4ERR_STALE", ErrorKind::Stale),
    (10001, "NFS4ERR_BADHANDLE", ErrorKind::Stale),
    (10003, "NFS4ERR_BAD_COOKIE", ErrorKind::BadCookie),
    (10004, "NFS4ERR_NOTSUPP", ErrorKind::NotSupported),
    (10005, "NFS4ERR_TOOSMALL", ErrorKind::Protocol),
    (10006, "NFS4ERR_SERVERFAULT", ErrorKind::ServerFault),
    (10007, "NFS4ERR_BADTYPE", ErrorKind::NotSupported),
    (10008, "NFS4ERR_DELAY", ErrorKind::Busy),
    (10011, "NFS4ERR_EXPIRED", ErrorKind::Busy),
    (10012, "NFS4ERR_LOCKED", ErrorKind::Busy),
    (10013, "NFS4ERR_GRACE", ErrorKind::Busy),
    (10014, "NFS4ERR_FHEXPIRED", ErrorKind::Stale),
    (10015, "NFS4ERR_SHARE_DENIED", ErrorKind::Busy),
    (10016, "NFS4ERR_WRONGSEC", ErrorKind::PermissionDenied),
    (10017, "NFS4ERR_CLID_INUSE", ErrorKind::Busy),
    (10018, "NFS4ERR_RESOURCE", ErrorKind::Busy),
    (10019, "NFS4ERR_MOVED", ErrorKind::NotSupported),
    (10020, "NFS4ERR_NOFILEHANDLE", ErrorKind::Protocol),
    (
        10021,
        "NFS4ERR_MINOR_VERS_MISMATCH",
        ErrorKind::NotSupported,
    ),
    (10022, "NFS4ERR_STALE_CLIENTID", ErrorKind::Busy),
    (10023, "NFS4ERR_STALE_STATEID", ErrorKind::Busy),
    (10024, "NFS4ERR_OLD_STATEID", ErrorKind::Busy),
    (10025, "NFS4ERR_BAD_STATEID", ErrorKind::Busy),
    (10026, "NFS4ERR_BAD_SEQID", ErrorKind::Busy),
    (10027, "NFS4ERR_NOT_SAME", ErrorKind::BadCookie),
    (10029, "NFS4ERR_SYMLINK", ErrorKind::Invalid),
    (10032, "NFS4ERR_ATTRNOTSUPP", ErrorKind::NotSupported),
    (10036, "NFS4ERR_BADXDR", ErrorKind::Protocol),
    (10038, "NFS4ERR_OPENMODE", ErrorKind::Busy),
    (10039, "NFS4ERR_BADOWNER", ErrorKind::Invalid),
    (10040, "NFS4ERR_BADCHAR", ErrorKind::InvalidName),
    (10041, "NFS4ERR_BADNAME", ErrorKind::InvalidName),
    (10044, "NFS4ERR_OP_ILLEGAL", ErrorKind::NotSupported),
    (10046, "NFS4ERR_FILE_OPEN", ErrorKind::Busy),
    (10047, "NFS4ERR_ADMIN_REVOKED", ErrorKind::Busy),
    (10052, "NFS4ERR_BADSESSION", ErrorKind::Busy),
    (10053, "NFS4ERR_BADSLOT", ErrorKind::Busy),
    (10054, "NFS4ERR_COMPLETE_ALREADY", ErrorKind::Protocol),
    (10055, "NFS4ERR_CONN_NOT_BOUND_TO_SESSION", ErrorKind::Busy),
    (10063, "NFS4ERR_SEQ_MISORDERED", ErrorKind::Busy),
    (10065, "NFS4ERR_REQ_TOO_BIG", ErrorKind::Protocol),
    (10066, "NFS4ERR_REP_TOO_BIG", ErrorKind::Protocol),
    (10068, "NFS4ERR_RETRY_UNCACHED_REP", ErrorKind::Busy),
    (10070, "NFS4ERR_TOO_MANY_OPS", ErrorKind::Protocol),
    (10071, "NFS4ERR_OP_NOT_IN_SESSION", ErrorKind::Protocol),
    (10074, "NFS4ERR_CLIENTID_BUSY", ErrorKind::Busy),
    (10076, "NFS4ERR_SEQ_FALSE_RETRY", ErrorKind::Busy),
    (10078, "NFS4ERR_DEADSESSION", ErrorKind::Busy),
    (10090, "NFS4ERR_UNION_NOTSUPP", ErrorKind::NotSupported),
    (10095, "NFS4ERR_NOXATTR", ErrorKind::NotFound),
    (10096, "NFS4ERR_XATTR2BIG", ErrorKind::TooLarge),
];

impl Status {
    pub(super) const EXPIRED: Self = Self(10011);
    /// No data any more behind an offset (RFC 7862 §15.11).
    pub(super) const NXIO: Self = Self(6);
    pub(super) const BADSESSION: Self = Self(10052);
    pub(super) const BADSLOT: Self = Self(10053);
    pub(super) const COMPLETE_ALREADY: Self = Self(10054);
    pub(super) const CONN_NOT_BOUND: Self = Self(10055);
    /// There is no such extended attribute (RFC 8276 §8.3.1).
    pub(super) const NO_XATTR: Self = Self(10095);
    pub(super) const DELAY: Self = Self(10008);
    pub(super) const DEADSESSION: Self = Self(10078);
    pub(super) const MINOR_VERS_MISMATCH: Self = Self(10021);
    pub(super) const RETRY_UNCACHED_REP: Self = Self(10068);
    pub(super) const SEQ_FALSE_RETRY: Self = Self(10076);
    pub(super) const SEQ_MISORDERED: Self = Self(10063);
    #[cfg(test)]
    pub(super) const STALE: Self = Self(70);
    pub(super) const STALE_CLIENTID: Self = Self(10022);

    /// Reads a status; `None` for NFS4_OK.
    pub(super) fn read(reply: &mut Reply) -> Result<Option<Self>, Malformed> {
        let value = reply.u32("the status")?;
        Ok((value != 0).then_some(Self(value)))
    }

    fn known(self) -> Option<(&'static str, ErrorKind)> {
        let found = KNOWN.iter().find(|(number, ..)| *number == self.0);
        found.map(|(_, name, kind)| (*name, *kind))
    }

    pub(super) fn kind(self) -> ErrorKind {
        self.known().map_or(ErrorKind::Protocol, |(_, kind)| kind)
    }

    fn text(self, uid: u32) -> String {
        let Some((name, kind)) = self.known() else {
            return format!("NFS status {}, which nobody expects here", self.0);
        };
        match (self.0, kind) {
            (10016, _) => format!(
                "{name}: the export does not take AUTH_SYS from this agent; allow sec=sys for it"
            ),
            (10019, _) => format!(
                "{name}: the file system is on another server (a referral), which is not followed: \
                 make a location of that server"
            ),
            (18, _) => format!("{name}: {XDEV}"),
            (30, _) => format!("{name}: the file system is exported or mounted read-only"),
            (10039, _) => format!(
                "{name}: the server does not take owners and groups as numbers; turn its id mapping \
                 off, or run the task with Uid and Gid NONE"
            ),
            (_, ErrorKind::PermissionDenied) => denied(name, uid),
            (_, ErrorKind::Stale) => format!("{name}: the file handle means nothing any more"),
            _ => name.to_owned(),
        }
    }

    pub(super) fn error(self, operation: &'static str, target: String, uid: u32) -> EndpointError {
        let error = EndpointError::new(self.kind(), operation, target, self.text(uid));
        if self == Self::MINOR_VERS_MISMATCH {
            return error.caused_by(Lack::Minor);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_kinds_and_say_what_to_do() {
        for (status, kind, text) in [
            (70, ErrorKind::Stale, "file handle"),
            (10008, ErrorKind::Busy, "DELAY"),
            (10013, ErrorKind::Busy, "GRACE"),
            (13, ErrorKind::PermissionDenied, "uid 7"),
            (10016, ErrorKind::PermissionDenied, "sec=sys"),
            (10019, ErrorKind::NotSupported, "referral"),
            (18, ErrorKind::NotSupported, "another file system"),
            (10021, ErrorKind::NotSupported, "MINOR_VERS"),
            (4711, ErrorKind::Protocol, "4711"),
        ] {
            let error = Status(status).error("READ", "nas:/".to_owned(), 7);
            assert_eq!(error.kind, kind, "{status}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn no_status_stands_twice() {
        assert!(KNOWN.is_sorted_by(|one, other| one.0 < other.0));
    }
}
