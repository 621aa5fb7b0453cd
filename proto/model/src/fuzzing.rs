//! What the fuzz targets of `tests/fuzz` call: texts of clients, and what must hold of them.

use jiff::{SignedDuration, Timestamp};

use crate::{Excludes, Includes, Schedule, Scope};

/// What is longer tells nothing that is not told by shorter ones: the plain reading takes its time.
const PATH_BYTES_MAX: usize = 128;
const PATTERNS_BYTES_MAX: usize = 512;
/// Starts of one schedule that are looked at.
const STARTS: usize = 8;

/// Filters: `includes NUL excludes NUL path`. What is excluded is never entered, what is in scope
/// is reached, and patterns match as a plain reading of them says.
pub fn filters(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (includes, excludes, path) = (next(), next(), next());
    let (Ok(includes), Ok(excludes)) = (str::from_utf8(includes), str::from_utf8(excludes)) else {
        return;
    };
    let (Ok(parsed_in), Ok(parsed_ex)) = (Includes::parse(includes), Excludes::parse(excludes))
    else {
        return;
    };
    if includes.len().max(excludes.len()) > PATTERNS_BYTES_MAX {
        return;
    }
    // What is accepted is stored, and read again as the same.
    assert!(Includes::try_from(includes.to_owned()) == Ok(parsed_in.clone()));
    assert!(Excludes::try_from(excludes.to_owned()) == Ok(parsed_ex.clone()));
    let path = plain_path(path);
    let everything = Scope::new(Includes::default(), Excludes::default());
    let included = Scope::new(parsed_in.clone(), Excludes::default());
    let not_excluded = Scope::new(Includes::default(), parsed_ex.clone());
    let scope = Scope::new(parsed_in, parsed_ex);
    if everything.contains(&path) {
        let wanted = includes.is_empty() || covered(includes, &path);
        assert_eq!(included.contains(&path), wanted, "{includes:?} {path:?}");
        let kept = excludes.is_empty() || !covered(excludes, &path);
        assert_eq!(not_excluded.contains(&path), kept, "{excludes:?} {path:?}");
        assert_eq!(scope.contains(&path), wanted && kept);
    } else {
        assert!(!scope.contains(&path));
    }
    for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let above = if end == 0 { b"/" } else { &path[..end] };
        assert!(!scope.contains(&path) || scope.descends(above), "{path:?}");
        assert!(!scope.descends(&path) || scope.descends(above), "{path:?}");
    }
}

/// A path as the walk makes them: names that are not empty, each behind a slash.
fn plain_path(bytes: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    let names = bytes[..bytes.len().min(PATH_BYTES_MAX)].split(|byte| *byte == b'/');
    for name in names.filter(|name| !name.is_empty()) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// Whether one of the patterns matches the path or a directory above it, read without cleverness.
fn covered(patterns: &str, path: &[u8]) -> bool {
    let ends = (1..path.len()).filter(|at| path[*at] == b'/');
    let above: Vec<&[u8]> = ends.chain([path.len()]).map(|end| &path[..end]).collect();
    let mut pattern = Vec::new();
    let mut patterns_read = Vec::new();
    let mut characters = patterns.chars().peekable();
    while let Some(character) = characters.next() {
        let bytes = |character: char| character.to_string().into_bytes().into_iter().map(Some);
        match character {
            '\\' => {
                if let Some(escaped) = characters.next_if(|next| "*|\\".contains(*next)) {
                    pattern.extend(bytes(escaped));
                }
            }
            '*' => pattern.push(None),
            '|' => patterns_read.push(std::mem::take(&mut pattern)),
            other => pattern.extend(bytes(other)),
        }
    }
    patterns_read.push(pattern);
    patterns_read.iter().any(|pattern| {
        let pattern = without_last_slashes(pattern);
        above.iter().any(|path| matches(&pattern, path))
    })
}

/// `/a/` means `/a`, and `/` everything.
fn without_last_slashes(pattern: &[Option<u8>]) -> Vec<Option<u8>> {
    let mut pattern = pattern.to_vec();
    while pattern.len() > 1 && pattern.ends_with(&[Some(b'/')]) {
        pattern.pop();
    }
    if pattern == [Some(b'/')] {
        pattern.push(None);
    }
    pattern
}

/// `None` takes any bytes. By the table of all prefixes of both.
fn matches(pattern: &[Option<u8>], path: &[u8]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for piece in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match piece {
                None => reached[at] || (at > 0 && next[at - 1]),
                Some(byte) => at > 0 && reached[at - 1] && path[at - 1] == *byte,
            };
        }
        reached = next;
    }
    reached[path.len()]
}

/// Schedule expressions, behind eight bytes of a time in seconds: each start comes after the one
/// before by at least what the schedule says of itself, and none is left out.
pub fn schedule(data: &[u8]) {
    let Some((seconds, expression)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Ok(expression) = str::from_utf8(expression) else {
        return;
    };
    let parsed = expression.parse::<Schedule>();
    let Ok(schedule) = parsed else {
        return;
    };
    // From 1970 to 2200: clocks of controls.
    let seconds = u64::from_le_bytes(*seconds) % (230 * 365 * 86_400);
    let Ok(anchor) = Timestamp::from_second(seconds.cast_signed()) else {
        return;
    };
    let apart = schedule.interval_min();
    assert!(!apart.is_zero());
    let mut after = anchor;
    let mut before: Option<Timestamp> = None;
    for _ in 0..STARTS {
        let Some(start) = schedule.next_after(after, anchor) else {
            return;
        };
        assert!(start > after, "{expression}: {start} is not after {after}");
        if let Some(before) = before {
            let distance = start.duration_since(before).unsigned_abs();
            assert!(distance >= apart, "{expression}: {before}, {start}");
        }
        let middle = after + start.duration_since(after) / 2;
        let just_before = start - SignedDuration::from_secs(1);
        for between in [middle, just_before] {
            let again = (after <= between).then(|| schedule.next_after(between, anchor));
            assert!(
                again.is_none_or(|again| again == Some(start)),
                "{expression}"
            );
        }
        before = Some(start);
        after = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Target = fn(&[u8]);

    #[test]
    fn seeds_are_no_findings() {
        let targets: [(&str, Target); 2] = [("filters", filters), ("schedule", schedule)];
        for (target, run) in targets {
            let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/");
            let seeds: Vec<_> = std::fs::read_dir(format!("{seeds}{target}"))
                .unwrap()
                .collect();
            assert!(!seeds.is_empty());
            for seed in seeds {
                run(&std::fs::read(seed.unwrap().path()).unwrap());
            }
        }
    }
}
