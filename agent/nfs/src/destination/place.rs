//! Where the object of a key is: plain functions of keys.

use datasync_endpoint::{EndpointError, ErrorKind, Key, decode_name};

/// The longest name that a server takes, in bytes.
const NAME_MAX: usize = 255;

/// A directory and a name in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The key of the directory.
    pub(super) directory: Key,
    pub(super) name: Vec<u8>,
}

/// Where `key` is; `None` for the location's own root.
///
/// # Errors
/// `InvalidName` for a key that is no path below the location, or has too long a name.
pub(super) fn place(key: &Key) -> Result<Option<Place>, EndpointError> {
    let refused = |detail: String| {
        let target = key.as_str().escape_debug().to_string();
        EndpointError::new(ErrorKind::InvalidName, "LOOKUP", target, detail)
    };
    if key.as_str().is_empty() {
        return Ok(None);
    }
    let path = key.as_str().strip_suffix('/').unwrap_or(key.as_str());
    let (above, segment) = path.rsplit_once('/').unwrap_or(("", path));
    let name = decode_name(segment)
        .ok_or_else(|| refused("the key is the key of no path: nothing is written".to_owned()))?;
    if name.len() > NAME_MAX {
        return Err(refused(format!(
            "a name of {} bytes: NFS servers take at most {NAME_MAX}",
            name.len()
        )));
    }
    let directory = if above.is_empty() {
        // A key that begins with a slash is no path either.
        if path.starts_with('/') {
            return Err(refused("the key is the key of no path".to_owned()));
        }
        Key::default()
    } else {
        Key::from_listing(format!("{above}/"))
    };
    Ok(Some(Place { directory, name }))
}

/// The keys of the directories from the root to this one, both left out of the first, included of
/// the last.
pub(super) fn ways(directory: &Key) -> Vec<Key> {
    let text = directory.as_str();
    let ends = text.match_indices('/').map(|(at, _)| at + 1);
    ends.map(|end| Key::from_listing(text[..end].to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::from_listing(text.to_owned())
    }

    #[test]
    fn a_key_names_a_directory_and_an_entry_of_it() {
        for (text, directory, name) in [
            ("a", "", "a"),
            ("a/", "", "a"),
            ("a/b", "a/", "b"),
            ("a/b/", "a/", "b"),
            ("a/b/c", "a/b/", "c"),
        ] {
            let found = place(&key(text)).unwrap().unwrap();
            assert_eq!(found.directory, key(directory), "{text}");
            assert_eq!(found.name, name.as_bytes(), "{text}");
        }
        assert_eq!(place(&key("")).unwrap(), None);
        let odd = place(&key("\u{10f7ff}x")).unwrap().unwrap();
        assert_eq!(odd.name, b"\xffx");
    }

    #[test]
    fn keys_that_lead_elsewhere_are_refused() {
        for text in [
            "/", "//", "/a", "a//", "..", "a/..", "a/.", "a\0", "../a/..",
        ] {
            let error = place(&key(text)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidName, "{text}");
        }
        assert!(place(&key(&"n".repeat(255))).is_ok());
        let error = place(&key(&"n".repeat(256))).unwrap_err();
        assert!(error.detail.contains("256 bytes"), "{error}");
    }

    #[test]
    fn the_way_to_a_directory_has_every_directory_once() {
        let found = ways(&key("a/b/c/"));
        assert_eq!(found, [key("a/"), key("a/b/"), key("a/b/c/")]);
        assert_eq!(ways(&key("")), []);
    }
}
