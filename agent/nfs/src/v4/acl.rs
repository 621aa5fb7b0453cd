//! `fattr4_acl` (RFC 7530 §6.2.1, RFC 8881 §6.2.1) as a list of the seam.

use datasync_endpoint::{ACES_MAX, Ace, AceKind, Acl, WHO_MAX};

use super::attributes::{not_asked_for, read_bitmap_words, read_fattr};
use super::owners::Owners;
use crate::xdr::{Malformed, Reply};

/// Attributes beyond POSIX's; each is a bit of the bitmap.
const SUPPORTED_ATTRS: u32 = 0;
const ACL: u32 = 12;
const ACLSUPPORT: u32 = 13;
/// RFC 8276 §8.2.1.
const XATTR_SUPPORT: u32 = 82;

/// The most bytes that a list takes on the wire.
pub(super) const ACL_SIZE_MAX: usize = 64 << 10;

/// What a server tells of lists and extended attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExtendedValues {
    /// Of an entry; `None` if it has none.
    pub(super) acl: Option<Acl>,
    /// Whether lists are offered at all.
    pub(super) has_acls: bool,
    pub(super) has_xattrs: bool,
}

impl ExtendedValues {
    /// Reads `fattr4`.
    pub(super) fn read(reply: &mut Reply, owners: &Owners) -> Result<Self, Malformed> {
        let mut read = Self::default();
        let (mut is_named, mut kinds) = (false, 0);
        read_fattr(reply, ACL_SIZE_MAX, |attribute, values| {
            match attribute {
                SUPPORTED_ATTRS => {
                    let words = read_bitmap_words(values)?;
                    is_named = words.first().is_some_and(|word| word & (1 << ACL) != 0);
                }
                ACL => read.acl = Some(read_acl(values, owners)?),
                ACLSUPPORT => kinds = values.u32("aclsupport")?,
                XATTR_SUPPORT => read.has_xattrs = values.flag("xattr_support")?,
                other => return Err(not_asked_for(other)),
            }
            Ok(())
        })?;
        read.has_acls = is_named && kinds != 0;
        Ok(read)
    }
}

/// The bitmap of the list alone.
pub(super) const ACL_BITMAP: [u32; 2] = [1, 1 << ACL];
/// That of what tells whether a server has lists, and in minor version 2 extended attributes.
pub(super) const SUPPORT_BITMAP: [u32; 4] = [
    3,
    1 << SUPPORTED_ATTRS | 1 << ACLSUPPORT,
    0,
    1 << (XATTR_SUPPORT - 64),
];

/// Reads a list. Owners and groups whose numbers are known become numbers, as elsewhere; other names
/// stay as they are, since they need not mean anything here.
pub(super) fn read_acl(reply: &mut Reply, owners: &Owners) -> Result<Acl, Malformed> {
    let count = reply.u32("the length of an access control list")? as usize;
    if count > ACES_MAX {
        return Err(Malformed::Other(format!(
            "an access control list of {count} entries; at most {ACES_MAX} are taken"
        )));
    }
    let aces = (0..count).map(|_| read_ace(reply, owners));
    Ok(Acl(aces.collect::<Result<_, _>>()?))
}

fn read_ace(reply: &mut Reply, owners: &Owners) -> Result<Ace, Malformed> {
    let what = "the type of an entry of an access control list";
    let kind = reply.u32(what)?;
    let kind = AceKind::of(kind).ok_or(Malformed::Meaningless { what, value: kind })?;
    let ace = Ace {
        kind,
        flags: reply.u32("the flags of an entry of an access control list")?,
        mask: reply.u32("the permissions of an entry of an access control list")?,
        who: reply
            .opaque(WHO_MAX, "whom an entry of an access control list is about")?
            .to_vec(),
    };
    Ok(Ace {
        who: numbered(&ace, owners),
        ..ace
    })
}

fn numbered(ace: &Ace, owners: &Owners) -> Vec<u8> {
    if ace.is_special() {
        return ace.who.clone();
    }
    let number = if ace.is_of_group() {
        owners.group(&ace.who)
    } else {
        owners.user(&ace.who)
    };
    number.map_or_else(
        |_| ace.who.clone(),
        |number| number.to_string().into_bytes(),
    )
}

/// `fattr4_acl` of a list that is set.
pub(super) fn acl_value(acl: &Acl) -> Vec<u8> {
    // At most 1,024 entries, with names of 1,024 bytes.
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut value = word(acl.0.len()).to_vec();
    for ace in &acl.0 {
        for number in [ace.kind.number(), ace.flags, ace.mask] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value.extend_from_slice(&word(ace.who.len()));
        value.extend_from_slice(&ace.who);
        value.resize(value.len().next_multiple_of(4), 0);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Xdr;

    fn read(wire: Vec<u8>, owners: &Owners) -> Result<Acl, Malformed> {
        read_acl(&mut Reply::new(wire.into()), owners)
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let text = "A::OWNER@:rwatTcCy,D:fdg:50:wx,U:S:anna@example:r,A::GROUP@:+800000,A::%FF:r";
        let acl: Acl = text.parse().unwrap();
        assert_eq!(read(acl_value(&acl), &Owners::default()), Ok(acl));
        let empty = Acl::default();
        assert_eq!(read(acl_value(&empty), &Owners::default()), Ok(empty));
    }

    #[test]
    fn names_that_have_numbers_become_numbers() {
        let owners = Owners {
            users: [("anna@example".to_owned(), 7)].into(),
            groups: [("staff".to_owned(), 50)].into(),
        };
        let told =
            "A::anna@example:r,A:g:staff@example:r,A::staff@example:r,A::root@x:r,A::bert@x:r";
        let acl: Acl = told.parse().unwrap();
        let read = read(acl_value(&acl), &owners).unwrap();
        let numbered = "A::7:r,A:g:50:r,A::staff@example:r,A::0:r,A::bert@x:r";
        assert_eq!(read.to_string(), numbered);
    }

    #[test]
    fn a_server_says_whether_it_has_lists_and_attributes() {
        let told = |supported: u32, kinds: u32, has_xattrs: u32| {
            let values = Xdr::default().words(&[2, supported, 0, kinds, has_xattrs]);
            let wire = Xdr::default().words(&SUPPORT_BITMAP).opaque(&values.0);
            ExtendedValues::read(&mut Reply::new(wire.0.into()), &Owners::default())
        };
        let found = told(1 << ACL, 3, 1).unwrap();
        assert!(found.has_acls && found.has_xattrs && found.acl.is_none());
        assert!(!told(0, 3, 0).unwrap().has_acls, "not among its attributes");
        assert!(!told(1 << ACL, 0, 0).unwrap().has_acls, "of no kind");
        assert!(told(1 << ACL, 3, 2).is_err());
    }

    #[test]
    fn an_entry_has_a_list_or_none() {
        let read =
            |wire: Xdr| ExtendedValues::read(&mut Reply::new(wire.0.into()), &Owners::default());
        let acl: Acl = "A::OWNER@:rw".parse().unwrap();
        let with = Xdr::default().words(&ACL_BITMAP).opaque(&acl_value(&acl));
        assert_eq!(read(with).unwrap().acl, Some(acl));
        let without = Xdr::default().words(&[1, 0]).opaque(b"");
        assert_eq!(read(without).unwrap().acl, None);
        let too_long = Xdr::default().words(&ACL_BITMAP);
        let too_long = too_long.opaque(&vec![0; ACL_SIZE_MAX + 4]);
        assert!(matches!(read(too_long), Err(Malformed::TooLong { .. })));
        let other = Xdr::default().words(&[1, 2]).opaque(&[0; 4]);
        assert!(read(other).is_err());
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let ace = |kind: u32, who: &[u8]| Xdr::default().words(&[kind, 0, 1]).opaque(who);
        let list = |count: u32, aces: &Xdr| [&count.to_be_bytes()[..], &aces.0].concat();
        let one = ace(0, b"EVERYONE@");
        let owners = Owners::default();
        assert!(read(list(1, &one), &owners).is_ok());
        assert!(read(list(2, &one), &owners).is_err(), "cut");
        assert!(read(list(u32::MAX, &one), &owners).is_err());
        assert!(read(list(1, &ace(4, b"x")), &owners).is_err(), "a type");
        let long = ace(0, &[b'x'; WHO_MAX + 1]);
        assert!(read(list(1, &long), &owners).is_err());
    }
}
