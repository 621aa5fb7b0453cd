//! Extended attributes (RFC 8276 §8): what their operations answer.

use bytes::Bytes;
use datasync_endpoint::{XATTR_NAME_MAX, XATTRS_SIZE_MAX};

use crate::xdr::{Malformed, Reply};

/// The most bytes of names that one LISTXATTRS is asked for.
pub(super) const PAGE_MAX: u32 = 64 << 10;
/// Names of a page, at most: each takes eight bytes and more.
const PAGE_NAMES_MAX: u32 = PAGE_MAX / 8;

/// A page of names, without the `user.` that Linux puts before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePage {
    pub(super) names: Vec<Bytes>,
    /// Where to go on; `None` after the last page.
    pub(super) next: Option<u64>,
}

/// The result of a LISTXATTRS that asked for what comes after `cookie`.
pub(super) fn read_names(reply: &mut Reply, cookie: u64) -> Result<NamePage, Malformed> {
    let next = reply.u64("the cookie of a LISTXATTRS")?;
    let count = reply.u32("the number of names of extended attributes")?;
    if count > PAGE_NAMES_MAX {
        return Err(Malformed::Other(format!(
            "a page of {count} names of extended attributes; at most {PAGE_NAMES_MAX} are taken"
        )));
    }
    let mut names = Vec::new();
    for _ in 0..count {
        let name = reply.opaque(XATTR_NAME_MAX, "the name of an extended attribute")?;
        if name.is_empty() || name.contains(&0) {
            return Err(Malformed::Other(
                "the name of an extended attribute is empty or has a NUL in it".to_owned(),
            ));
        }
        names.push(name);
    }
    let eof = reply.flag("the eof of a LISTXATTRS")?;
    if !eof && (names.is_empty() || next == cookie) {
        return Err(Malformed::Other(
            "a listing of extended attributes that goes round in a circle".to_owned(),
        ));
    }
    Ok(NamePage {
        names,
        next: (!eof).then_some(next),
    })
}

/// The result of a GETXATTR.
pub(super) fn read_value(reply: &mut Reply) -> Result<Bytes, Malformed> {
    reply.opaque(XATTRS_SIZE_MAX, "the value of an extended attribute")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Xdr;

    fn page(cookie: u64, names: &[&[u8]], eof: u32) -> Result<NamePage, Malformed> {
        let count = u32::try_from(names.len()).unwrap();
        let wire = Xdr::default().long(cookie).words(&[count]);
        let wire = names.iter().fold(wire, |wire, name| wire.opaque(name));
        read_names(&mut Reply::new(wire.words(&[eof]).0.into()), 5)
    }

    #[test]
    fn a_page_has_names_and_says_where_to_go_on() {
        let found = page(9, &[b"colour", b"\xff"], 0).unwrap();
        assert_eq!((found.names.len(), found.next), (2, Some(9)));
        assert_eq!(page(5, &[], 1).unwrap().next, None);
    }

    #[test]
    fn listings_that_lie_are_refused() {
        assert!(page(9, &[], 0).is_err(), "nothing, and no end");
        assert!(page(5, &[b"a"], 0).is_err(), "no further");
        assert!(page(9, &[b""], 1).is_err());
        assert!(page(9, &[b"a\0b"], 1).is_err());
        assert!(page(9, &[&[b'n'; 256]], 1).is_err());
        assert!(page(9, &[b"a"], 2).is_err());
        let many = Xdr::default().long(9).words(&[u32::MAX]);
        assert!(read_names(&mut Reply::new(many.0.into()), 5).is_err());
        let long = Xdr::default().words(&[u32::MAX, 0]);
        assert!(read_value(&mut Reply::new(long.0.into())).is_err());
    }
}
