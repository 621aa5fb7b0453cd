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
    assert_eq!(
        Includes::parse("*.txt"),
        Err(FilterError::StarInsideInclude("*.txt".to_owned()))
    );
    assert_eq!(Excludes::parse("/a\0"), Err(FilterError::Nul));
}
