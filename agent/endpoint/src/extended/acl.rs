//! Access control lists of NFS version 4 (RFC 7530 §6, RFC 8881 §6), as values and as text.

use std::fmt;
use std::str::FromStr;

use super::NotExtended;
use super::escape::{escaped, unescaped};

/// The most entries of a list that are taken.
pub const ACES_MAX: usize = 1024;
/// The longest name of whom an entry is about, in bytes.
pub const WHO_MAX: usize = 1024;

/// The text of a list without entries: stores drop empty values.
const NOBODY: &str = "-";

/// Bits and their letters, as `nfs4_getfacl` shows them.
type Letters = &'static [(u32, char)];

/// Flags (RFC 8881 §6.2.1.4). `I` stands for ACE4_INHERITED_ACE, which nfs4_setfacl has no letter for.
const FLAGS: Letters = &[
    (0x01, 'f'),
    (0x02, 'd'),
    (0x04, 'n'),
    (0x08, 'i'),
    (0x10, 'S'),
    (0x20, 'F'),
    (0x40, 'g'),
    (0x80, 'I'),
];
/// Of a flag: the entry is about a group.
const GROUP: u32 = 0x40;

/// Permissions (RFC 8881 §6.2.1.3).
const PERMISSIONS: Letters = &[
    (0x1, 'r'),
    (0x2, 'w'),
    (0x4, 'a'),
    (0x40, 'D'),
    (0x1_0000, 'd'),
    (0x20, 'x'),
    (0x80, 't'),
    (0x100, 'T'),
    (0x8, 'n'),
    (0x10, 'N'),
    (0x2_0000, 'c'),
    (0x4_0000, 'C'),
    (0x8_0000, 'o'),
    (0x10_0000, 'y'),
];

/// What an entry does (RFC 8881 §6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AceKind {
    /// Grants.
    Allow,
    /// Refuses.
    Deny,
    /// Has accesses logged.
    Audit,
    /// Has accesses raise an alarm.
    Alarm,
}

impl AceKind {
    const ALL: [(Self, u32, &'static str); 4] = [
        (Self::Allow, 0, "A"),
        (Self::Deny, 1, "D"),
        (Self::Audit, 2, "U"),
        (Self::Alarm, 3, "L"),
    ];

    /// `acetype4`.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The kind of an `acetype4`, if it is one.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, own, _)| *own == number);
        found.map(|(kind, ..)| *kind)
    }

    fn letter(self) -> &'static str {
        Self::ALL[self as usize].2
    }
}

/// One entry of a list (`nfsace4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ace {
    /// What it does.
    pub kind: AceKind,
    /// `aceflag4`.
    pub flags: u32,
    /// `acemask4`.
    pub mask: u32,
    /// Whom it is about: a number as text, a name, or one that ends in `@` and means the same
    /// everywhere (`OWNER@`). Bytes, since servers need not send UTF-8; at most [`WHO_MAX`].
    pub who: Vec<u8>,
}

impl Ace {
    /// Whether it is about a group.
    #[must_use]
    pub fn is_of_group(&self) -> bool {
        self.flags & GROUP != 0
    }

    /// Whether [`Ace::who`] means the same everywhere (RFC 8881 §6.2.1.5).
    #[must_use]
    pub fn is_special(&self) -> bool {
        self.who.ends_with(b"@")
    }
}

/// A list, in the order in which it is gone through; at most [`ACES_MAX`] entries.
///
/// As text it has the form of `nfs4_setfacl` on one line: `A:fd:1000:rwx,D:g:GROUP@:w`. Bits without a
/// letter follow as `+` and hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl(pub Vec<Ace>);

fn letters(bits: u32, known: Letters) -> String {
    let named = known.iter().filter(|(bit, _)| bits & bit != 0);
    let mut text: String = named.map(|(_, letter)| *letter).collect();
    let rest = known.iter().fold(bits, |rest, (bit, _)| rest & !bit);
    if rest != 0 {
        text.push_str(&format!("+{rest:x}"));
    }
    text
}

fn bits(text: &str, known: Letters) -> Option<u32> {
    let (named, rest) = match text.split_once('+') {
        Some((named, digits)) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            (named, u32::from_str_radix(digits, 16).ok()?)
        }
        Some(_) => return None,
        None => (text, 0),
    };
    named.chars().try_fold(rest, |bits, letter| {
        let found = known.iter().find(|(_, own)| *own == letter);
        Some(bits | found?.0)
    })
}

impl fmt::Display for Ace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flags, mask) = (letters(self.flags, FLAGS), letters(self.mask, PERMISSIONS));
        let (kind, who) = (self.kind.letter(), escaped(&self.who));
        write!(f, "{kind}:{flags}:{who}:{mask}")
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(NOBODY);
        }
        for (at, ace) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{ace}")?;
        }
        Ok(())
    }
}

fn ace(text: &str) -> Option<Ace> {
    let mut fields = text.split(':');
    let mut next = || fields.next();
    let (kind, flags, who, mask) = (next()?, next()?, next()?, next()?);
    let kind = AceKind::ALL.iter().find(|(.., letter)| *letter == kind)?.0;
    let ace = Ace {
        kind,
        flags: bits(flags, FLAGS)?,
        mask: bits(mask, PERMISSIONS)?,
        who: unescaped(who)?,
    };
    (next().is_none() && ace.who.len() <= WHO_MAX).then_some(ace)
}

impl FromStr for Acl {
    type Err = NotExtended;

    fn from_str(text: &str) -> Result<Self, NotExtended> {
        let wrong = |detail: String| NotExtended {
            what: "an access control list",
            detail,
        };
        if text == NOBODY {
            return Ok(Self::default());
        }
        let mut aces = Vec::new();
        for part in text.split(',') {
            if aces.len() == ACES_MAX {
                return Err(wrong(format!("more than {ACES_MAX} entries")));
            }
            aces.push(ace(part).ok_or_else(|| wrong(format!("{part:?} is no entry")))?);
        }
        Ok(Self(aces))
    }
}
