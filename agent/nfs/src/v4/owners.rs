//! Owners and groups, which version 4 tells as text (RFC 8881 §5.9).

use std::collections::BTreeMap;

/// Which numbers the names of owners and groups stand for. Numbers as text need no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// `name@domain`, or the name alone for every domain.
    pub users: BTreeMap<String, u32>,
    /// The same for groups.
    pub groups: BTreeMap<String, u32>,
}

/// An owner whose number nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server names the {role} \"{name}\", and no number is configured for it: map it in the \
     agent's setting {setting}, or have the server send numbers"
)]
pub(super) struct Unmapped {
    role: &'static str,
    setting: &'static str,
    name: String,
}

impl Owners {
    pub(super) fn user(&self, name: &[u8]) -> Result<u32, Unmapped> {
        number(&self.users, ("owner", "nfs.users"), name)
    }

    pub(super) fn group(&self, name: &[u8]) -> Result<u32, Unmapped> {
        number(&self.groups, ("group", "nfs.groups"), name)
    }
}

fn number(
    known: &BTreeMap<String, u32>,
    (role, setting): (&'static str, &'static str),
    name: &[u8],
) -> Result<u32, Unmapped> {
    let unmapped = || Unmapped {
        role,
        setting,
        name: crate::status::printable(name),
    };
    let name = std::str::from_utf8(name).map_err(|_| unmapped())?;
    if let Some(number) = as_number(name) {
        return Ok(number);
    }
    let short = name.split('@').next().unwrap_or(name);
    let configured = known.get(name).or_else(|| known.get(short)).copied();
    configured
        .or_else(|| well_known(short))
        .ok_or_else(unmapped)
}

/// Names that mean the same everywhere.
fn well_known(name: &str) -> Option<u32> {
    match name {
        "root" => Some(0),
        "nobody" | "nogroup" => Some(65534),
        _ => None,
    }
}

/// A number without sign and leading zeros, so that no name is taken for one by mistake.
fn as_number(name: &str) -> Option<u32> {
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_and_names_looked_up() {
        let owners = Owners {
            users: [("anna@example".to_owned(), 7), ("bert".to_owned(), 8)].into(),
            groups: [("staff".to_owned(), 50)].into(),
        };
        for (name, number) in [
            ("0", Some(0)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("007", None),
            ("+7", None),
            ("", None),
            ("anna@example", Some(7)),
            ("anna@elsewhere", None),
            ("bert@elsewhere", Some(8)),
            ("staff", None),
            ("root@example", Some(0)),
            ("nobody", Some(65534)),
        ] {
            assert_eq!(owners.user(name.as_bytes()).ok(), number, "{name}");
        }
        assert_eq!(owners.group(b"staff@example"), Ok(50));
        let error = owners.user(b"nobody\xff").unwrap_err().to_string();
        assert!(error.contains(r"nobody\xff"), "{error}");
    }
}
