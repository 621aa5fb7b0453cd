//! SIMPLE_PATTERN filters (DataSync user guide, "Filtering data transferred by AWS DataSync").
//!
//! Patterns are matched against the bytes of the path relative to the source location, written
//! with a leading `/` (a directory has no trailing one). A pattern matches an item and everything
//! below it. DataSync allows `*` only at the end of include patterns; here it may be anywhere.

use serde::{Deserialize, Serialize};

/// The longest filter value, in characters.
const VALUE_LENGTH_MAX: usize = 102_400;

/// Why a filter value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Longer than the API allows.
    #[error("a filter value has at most {VALUE_LENGTH_MAX} characters")]
    TooLong,
    /// NUL cannot occur in a path.
    #[error("a filter value cannot contain the NUL character")]
    Nul,
    /// A pattern that can match nothing.
    #[error("pattern {0:?} can match no path: begin it with '/' or with '*'")]
    NeverMatches(String),
    /// Folders alone cannot be meant: nobody knows a folder by its name.
    #[error("pattern {0:?} ends with '*/': leave out the '/'")]
    StarSlash(String),
}

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// These bytes, exactly.
    Literal(Vec<u8>),
    /// Any bytes, `/` included.
    Star,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    pieces: Vec<Piece>,
}

/// Patterns of which one must match; none at all means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Includes {
    value: String,
    patterns: Vec<Pattern>,
}

/// Patterns of which none may match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Excludes {
    value: String,
    patterns: Vec<Pattern>,
}

/// Whether patterns that can match nothing are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    AsGiven,
    /// Earlier releases took a star before the last slash.
    AsStored,
}

fn parse(value: &str, strictness: Strictness) -> Result<Vec<Pattern>, FilterError> {
    if value.chars().count() > VALUE_LENGTH_MAX {
        return Err(FilterError::TooLong);
    }
    if value.contains('\0') {
        return Err(FilterError::Nul);
    }
    if value.is_empty() {
        return Ok(Vec::new());
    }
    split_alternatives(value)
        .into_iter()
        .map(|text| Pattern::parse(text, strictness))
        .collect()
}

/// Splits at each `|` that no backslash escapes.
fn split_alternatives(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, character) in value.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => {
                parts.push(&value[start..index]);
                start = index + 1;
            }
            _ => escaped = false,
        }
    }
    parts.push(&value[start..]);
    parts
}

impl Pattern {
    fn parse(text: &str, strictness: Strictness) -> Result<Self, FilterError> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' => {
                    if let Some(next @ ('*' | '|' | '\\')) = characters.peek().copied() {
                        literal.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
                        characters.next();
                    }
                }
                '*' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    if pieces.last() != Some(&Piece::Star) {
                        pieces.push(Piece::Star);
                    }
                }
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        while literal.len() > 1 && literal.last() == Some(&b'/') {
            literal.pop();
        }
        match (literal.as_slice(), pieces.is_empty()) {
            // The root and everything below it.
            (b"/", true) => pieces.push(Piece::Star),
            (b"/", false) if strictness == Strictness::AsGiven => {
                return Err(FilterError::StarSlash(text.to_owned()));
            }
            (b"", _) => {}
            _ => pieces.push(Piece::Literal(literal)),
        }
        match pieces.first() {
            Some(Piece::Star) => Ok(Self { pieces }),
            Some(Piece::Literal(bytes)) if bytes.first() == Some(&b'/') => Ok(Self { pieces }),
            _ => Err(FilterError::NeverMatches(text.to_owned())),
        }
    }

    /// Whether the pattern matches `path` itself; ancestors are the caller's affair.
    fn matches(&self, path: &[u8]) -> bool {
        let mut rest = path;
        let last = self.pieces.len() - 1;
        let mut after_star = false;
        for (index, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Star => after_star = true,
                Piece::Literal(bytes) => {
                    let found = match (after_star, index == last) {
                        (false, false) => rest.starts_with(bytes).then_some(0),
                        (false, true) => (rest == bytes.as_slice()).then_some(0),
                        (true, true) => rest.ends_with(bytes).then(|| rest.len() - bytes.len()),
                        (true, false) => find(rest, bytes),
                    };
                    let Some(at) = found else { return false };
                    rest = &rest[at + bytes.len()..];
                    after_star = false;
                }
            }
        }
        after_star || rest.is_empty()
    }

    /// Whether the pattern may match a path that begins with `start`: a star, once reached, takes
    /// any bytes, and what follows it may come later.
    fn may_match_from(&self, start: &[u8]) -> bool {
        let (fixed, has_star) = match self.pieces.as_slice() {
            [Piece::Literal(bytes), rest @ ..] => (bytes.as_slice(), !rest.is_empty()),
            _ => (&[][..], true),
        };
        fixed.starts_with(start) || (has_star && start.starts_with(fixed))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// `/a`, `/a/b`, `/a/b/c` for `/a/b/c`.
fn self_and_ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(i, _)| i);
    ends.chain(std::iter::once(path.len()))
        .map(|end| &path[..end])
}

impl Includes {
    /// Parses patterns joined by `|`; an empty value includes everything.
    ///
    /// # Errors
    /// Over-long values, NUL, patterns that can match nothing.
    pub fn parse(value: &str) -> Result<Self, FilterError> {
        Ok(Self {
            value: value.to_owned(),
            patterns: parse(value, Strictness::AsGiven)?,
        })
    }

    /// Whether everything is included.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The value as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    fn covers(&self, path: &[u8]) -> bool {
        self.is_everything()
            || self
                .patterns
                .iter()
                .any(|pattern| self_and_ancestors(path).any(|part| pattern.matches(part)))
    }

    /// Whether something below the directory `path` may be included.
    fn reaches_below(&self, path: &[u8]) -> bool {
        if path == b"/" || self.covers(path) {
            return true;
        }
        let start = [path, b"/"].concat();
        self.patterns
            .iter()
            .any(|pattern| pattern.may_match_from(&start))
    }
}

impl Excludes {
    /// Parses patterns joined by `|`; an empty value excludes nothing.
    ///
    /// # Errors
    /// Over-long values, NUL, patterns that can match nothing.
    pub fn parse(value: &str) -> Result<Self, FilterError> {
        Ok(Self {
            value: value.to_owned(),
            patterns: parse(value, Strictness::AsGiven)?,
        })
    }

    /// The value as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    fn covers(&self, path: &[u8]) -> bool {
        self.patterns
            .iter()
            .any(|pattern| self_and_ancestors(path).any(|part| pattern.matches(part)))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = FilterError;

            /// As stored: a pattern that is refused now, and matched nothing before, matches nothing.
            fn try_from(value: String) -> Result<Self, Self::Error> {
                let patterns = parse(&value, Strictness::AsStored)?;
                Ok(Self { value, patterns })
            }
        }

        impl From<$name> for String {
            fn from(filter: $name) -> Self {
                filter.value
            }
        }
    };
}
as_text!(Includes);
as_text!(Excludes);

/// What one execution may touch: includes, excludes and what DataSync always leaves out.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    includes: Includes,
    excludes: Excludes,
}

impl Scope {
    /// A scope of the given filters.
    #[must_use]
    pub fn new(includes: Includes, excludes: Excludes) -> Self {
        Self { includes, excludes }
    }

    /// Whether the item at `path` (with a leading `/`, no trailing one) is to be handled.
    #[must_use]
    pub fn contains(&self, path: &[u8]) -> bool {
        !self.is_excluded(path) && self.includes.covers(path)
    }

    /// Whether the directory at `path` is to be read: something below may be in scope.
    #[must_use]
    pub fn descends(&self, path: &[u8]) -> bool {
        !self.is_excluded(path) && self.includes.reaches_below(path)
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        is_always_excluded(path) || self.excludes.covers(path)
    }
}

/// Paths that DataSync leaves out without being told: `.snapshot` anywhere, and its own and ZFS's
/// directories at the root.
fn is_always_excluded(path: &[u8]) -> bool {
    let mut components = path.split(|byte| *byte == b'/').skip(1);
    let first: &[u8] = components.clone().next().unwrap_or_default();
    matches!(first, b".aws-datasync" | b".awssync" | b".zfs")
        || components.any(|component| component == b".snapshot")
}

#[cfg(test)]
mod tests;
