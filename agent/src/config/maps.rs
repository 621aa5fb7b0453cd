//! Settings with an entry for each name: tables in the file, `NAME=VALUE,…` elsewhere.

use std::collections::BTreeMap;

/// Those that are tables in the file.
pub(super) const MEMBERS: &[&str] = &["nfs.users", "nfs.groups", "efs.addresses"];

/// Entries of one setting.
pub(super) const ENTRIES_MAX: usize = 4096;
/// The longest name of an owner that version 4 of NFS is read with.
const NAME_BYTES_MAX: usize = 1024;

/// `NAME=VALUE`, separated by commas or, as from a table of the file, by line ends. Spaces around
/// names and values do not count.
pub(super) fn entries<T>(
    text: &str,
    value: impl Fn(&str, &str) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    let mut entries = BTreeMap::new();
    for entry in text.split([',', '\n']).map(str::trim) {
        if entry.is_empty() {
            continue;
        }
        let (name, given) = entry
            .rsplit_once('=')
            .map(|(name, given)| (name.trim(), given.trim()))
            .filter(|(name, _)| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
            .ok_or_else(|| format!("{entry:?} is not NAME=VALUE"))?;
        let value = value(name, given)?;
        if entries.insert(name.to_owned(), value).is_some() {
            return Err(format!("{name:?} stands there twice"));
        }
        if entries.len() > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
    }
    Ok(entries)
}

/// A table as text, an entry in a line, and what is wrong with it.
pub(super) fn text(table: toml::Table) -> (String, Vec<String>) {
    let (mut text, mut faults) = (String::new(), Vec::new());
    for (name, value) in table {
        let value = match value {
            toml::Value::String(value) => value,
            toml::Value::Integer(number) => number.to_string(),
            _ => {
                faults.push(format!("{name:?} must be a string or a whole number"));
                continue;
            }
        };
        if name.contains([',', '\n']) || value.contains([',', '\n']) {
            faults.push(format!("{name:?} must have no comma and no line end"));
        } else {
            text.push_str(&format!("{name}={value}\n"));
        }
    }
    (text, faults)
}
