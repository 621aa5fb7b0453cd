use super::*;

fn excluded(value: &str, path: &str) -> bool {
    !Scope::new(Includes::default(), Excludes::parse(value).unwrap()).contains(path.as_bytes())
}

fn included(value: &str, path: &str) -> bool {
    Scope::new(Includes::parse(value).unwrap(), Excludes::default()).contains(path.as_bytes())
}

#[test]
fn excludes_match_as_the_guide_says() {
    let paths = ["/logs/a.tmp", "/tmp/x", "/a/tmp/x", "/tmpfile"];
    for (value, out) in [
        ("*.tmp", [true, false, false, false]),
        ("*/tmp", [false, true, true, false]),
        ("/tmp", [false, true, false, false]),
        ("/tmp/", [false, true, false, false]),
        ("/tmp*", [false, true, false, true]),
        ("*.tmp|/tmp", [true, true, false, false]),
        ("*", [true, true, true, true]),
        ("/", [true, true, true, true]),
    ] {
        for (path, out) in paths.iter().zip(out) {
            assert_eq!(excluded(value, path), out, "{value} on {path}");
        }
    }
}

#[test]
fn includes_limit_the_walk_to_their_trees() {
    assert!(included("/tmp*", "/tmp/x"));
    assert!(included("/tmp*", "/tmpfile"));
    assert!(!included("/tmp*", "/a/tmp/x"));
    assert!(included("/a/b|/c", "/a/b/deep/file"));
    assert!(!included("/a/b|/c", "/a/bb"));
    let scope = Scope::new(
        Includes::parse("/a/b|/c").unwrap(),
        Excludes::parse("/c/x").unwrap(),
    );
    for (path, descends) in [
        ("/", true),
        ("/a", true),
        ("/a/b", true),
        ("/a/c", false),
        ("/c/x", false),
        ("/d", false),
    ] {
        assert_eq!(scope.descends(path.as_bytes()), descends, "{path}");
    }
}

#[test]
fn some_directories_are_always_left_out() {
    for path in [
        "/.snapshot",
        "/a/.snapshot/b",
        "/.aws-datasync/x",
        "/.zfs",
        "/.awssync",
    ] {
        assert!(!Scope::default().contains(path.as_bytes()), "{path}");
    }
    for path in ["/a/.zfs", "/snapshot", "/a.snapshotted"] {
        assert!(Scope::default().contains(path.as_bytes()), "{path}");
    }
}

#[test]
fn escapes_make_stars_and_bars_literal() {
    assert!(excluded(r"/a\*b", "/a*b"));
    assert!(!excluded(r"/a\*b", "/axb"));
    assert!(excluded(r"/a\|b", "/a|b"));
    assert!(excluded(r"/a\\", r"/a\"));
}

#[test]
fn patterns_that_cannot_work_are_refused() {
    assert_eq!(
        Excludes::parse("transfer_this"),
        Err(FilterError::NeverMatches("transfer_this".to_owned()))
    );
    for empty in ["|/a", "/a||/b", "/a|", "\\"] {
        assert!(Includes::parse(empty).is_err(), "{empty}");
    }
    let longest = format!("/{}", "ä".repeat(VALUE_LENGTH_MAX - 1));
    assert!(Includes::parse(&longest).is_ok());
    assert_eq!(Includes::parse(&(longest + "a")), Err(FilterError::TooLong));
    assert_eq!(Excludes::parse("/a\0"), Err(FilterError::Nul));
    assert_eq!(
        Excludes::parse("/a*/"),
        Err(FilterError::StarSlash("/a*/".to_owned()))
    );
}

#[test]
fn a_star_may_be_anywhere_in_an_include() {
    for (value, path, is_in) in [
        ("*.txt", "/a/b.txt", true),
        ("*.txt", "/a/b.txt/below", true),
        ("*.txt", "/a/b.text", false),
        ("/home/*/work", "/home/me/work", true),
        ("/home/*/work", "/home/me/deeper/work/file", true),
        ("/home/*/work", "/home/me", false),
        ("/home/*/work", "/home/work", false),
        ("/a*b*c", "/axbyc", true),
        ("/a*b*c", "/acb", false),
        ("/folder/*", "/folder/x", true),
        ("/folder/*", "/folder", false),
    ] {
        assert_eq!(included(value, path), is_in, "{value} on {path}");
    }
}

#[test]
fn a_lone_backslash_is_ignored() {
    assert!(excluded(r"/a\b", "/ab") && excluded(r"/ab\", "/ab"));
    assert!(included(r"/a\*", "/a*") && !included(r"/a\*", "/ab"));
    assert!(included(r"/a\|b|/c", "/c"));
}

#[test]
fn upper_and_lower_case_differ() {
    assert!(excluded("/Temp", "/Temp/x") && !excluded("/Temp", "/temp/x"));
}

/// Every text of at most `length` of the letters.
fn texts(letters: &[char], length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..length {
        last = last
            .iter()
            .flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}")))
            .collect();
        all.extend(last.clone());
    }
    all
}

#[test]
fn every_directory_on_the_way_to_an_included_item_is_read() {
    let paths: Vec<String> = texts(&['a', 'b', '/'], 5)
        .into_iter()
        .map(|text| format!("/{text}"))
        .filter(|path| !path.ends_with('/') && !path.contains("//"))
        .collect();
    for value in texts(&['a', '/', '*'], 5) {
        let Ok(includes) = Includes::parse(&value) else {
            continue;
        };
        let scope = Scope::new(includes, Excludes::default());
        for path in paths.iter().filter(|path| scope.contains(path.as_bytes())) {
            for parent in self_and_ancestors(path.as_bytes()) {
                let is_read = parent == path.as_bytes() || scope.descends(parent);
                assert!(
                    is_read,
                    "{value}: {path} is included, {parent:?} is not read"
                );
            }
        }
    }
}

#[test]
fn a_stored_pattern_that_is_refused_now_is_read_and_matches_nothing() {
    let stored: Excludes = serde_json::from_str("\"/a*/|/b\"").unwrap();
    assert_eq!(stored.as_str(), "/a*/|/b");
    let covered = ["/a", "/ab", "/a/c", "/b"].map(|path| stored.covers(path.as_bytes()));
    assert_eq!(covered, [false, false, false, true]);
}
