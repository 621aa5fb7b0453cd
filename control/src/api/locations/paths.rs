//! Subdirectories in the form in which they are kept.

use super::super::check;
use super::super::error::ApiError;

/// A path on a file system: begins and ends with `/`.
pub(super) fn directory(text: &str) -> Result<String, ApiError> {
    check::subdirectory(text)?;
    let inner = text.trim_matches('/');
    if inner.split('/').any(|part| part == "..") {
        return Err(ApiError::invalid(format!(
            "Subdirectory {text:?} may not contain '..'."
        )));
    }
    Ok(if inner.is_empty() {
        "/".to_owned()
    } else {
        format!("/{inner}/")
    })
}

/// A key prefix: empty, or ends with `/`. One leading slash is forgiven: everybody sends it.
pub(in crate::api) fn prefix(text: &str) -> Result<String, ApiError> {
    check::subdirectory(text)?;
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() && text.len() < 2 {
        return Ok(String::new());
    }
    if inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ApiError::invalid(format!(
            "Subdirectory {text:?} may not contain '//', '/./' or '/../'."
        )));
    }
    Ok(format!("{inner}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kept_in_one_form() {
        for (given, kept) in [
            ("/", "/"),
            ("a", "/a/"),
            ("/a/b", "/a/b/"),
            ("/a/b/", "/a/b/"),
        ] {
            assert_eq!(directory(given).unwrap(), kept, "{given}");
        }
        for (given, kept) in [("", ""), ("/", ""), ("/p", "p/"), ("p/q/", "p/q/")] {
            assert_eq!(prefix(given).unwrap(), kept, "{given}");
        }
        for bad in ["//", "a//b", "a/./b", "../a", "a*b", "//a"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert!(directory("/a/../b").is_err());
        assert!(directory(&"a".repeat(4097)).is_err());
    }
}
