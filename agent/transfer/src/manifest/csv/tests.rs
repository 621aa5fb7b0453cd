use proptest::prelude::*;

use super::*;

fn decoded(pieces: &[&[u8]]) -> Result<Vec<Row>, Fault> {
    let (mut decoder, mut rows) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece, &mut rows)?;
    }
    decoder.finish(&mut rows)?;
    Ok(rows)
}

fn paths(text: &str) -> Vec<(u64, String)> {
    let rows = decoded(&[text.as_bytes()]).unwrap();
    rows.into_iter().map(|row| (row.line, row.path)).collect()
}

fn refused(text: &[u8]) -> String {
    decoded(&[text]).unwrap_err().to_string()
}

#[test]
fn lines_end_in_any_way_and_empty_ones_are_none() {
    let expected = [
        (1, "a".to_owned()),
        (2, "b c".to_owned()),
        (4, "d".to_owned()),
    ];
    for text in ["a\nb c\n\nd", "a\rb c\r\rd\r", "a\r\nb c\r\n\r\nd\r\n"] {
        assert_eq!(paths(text), expected, "{text:?}");
    }
    assert_eq!(paths(""), []);
    assert_eq!(paths("\n\r\n\r"), []);
    assert_eq!(paths("\u{feff}a"), [(1, "a".to_owned())]);
}

#[test]
fn quotes_hold_commas_quotes_and_line_ends() {
    let text = "\"a,b\"\n\"say \"\"hi\"\"\"\r\n\"two\r\nlines\"\nlast";
    let expected = [
        (1, "a,b".to_owned()),
        (2, "say \"hi\"".to_owned()),
        (3, "two\r\nlines".to_owned()),
        (5, "last".to_owned()),
    ];
    assert_eq!(paths(text), expected);
}

#[test]
fn the_second_field_is_a_version() {
    let rows = decoded(&[b"a,v1\n\"b\",\"v,2\"\nc,\n"]).unwrap();
    let versions: Vec<_> = rows.iter().map(|row| row.version.as_deref()).collect();
    assert_eq!(versions, [Some("v1"), Some("v,2"), None]);
}

#[test]
fn a_broken_rule_is_named_with_its_line() {
    assert!(refused(b"a\nb,c,d").starts_with("line 2: it has more than two fields"));
    assert!(refused(b"a\n\"b").starts_with("line 2: a quote is opened"));
    assert!(refused(b"\"a\"b").starts_with("line 1: something follows"));
    assert!(refused(b"a\"b").starts_with("line 1: a quote within"));
    assert!(refused(b"a\n\xff\n").starts_with("line 2: it is not UTF-8"));
    assert!(refused(b"\xef\xbb").starts_with("line 1: it is not UTF-8"));
    assert!(refused(b"\xef\xbbx").starts_with("line 1: it is not UTF-8"));
    assert!(refused(b",v1").starts_with("line 1: it names no path"));
    assert!(refused(b"a\n\"\"\n").starts_with("line 2: it names no path"));
    let long = "x".repeat(PATH_CHARACTERS_MAX + 1);
    assert!(refused(long.as_bytes()).contains("more than 4096 characters"));
    let version = format!("a,{}", "x".repeat(VERSION_CHARACTERS_MAX + 1));
    assert!(refused(version.as_bytes()).contains("more than 100 characters"));
    let endless = vec![b'x'; FIELD_BYTES_MAX + 1];
    assert!(refused(&endless).contains("longer than any path"));
    let longest = "é".repeat(PATH_CHARACTERS_MAX);
    assert_eq!(paths(&longest), [(1, longest)]);
}

fn quoted(path: &str, always: bool) -> String {
    if always || path.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", path.replace('"', "\"\""))
    } else {
        path.to_owned()
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_cut(
        lines in proptest::collection::vec(("[a-c,\"\n\r é/]{1,8}", any::<bool>(), 0usize..3), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        mark in any::<bool>(),
    ) {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (path, always, end) in &lines {
            text.push_str(&quoted(path, *always));
            text.push_str(["\n", "\r", "\r\n"][*end]);
        }
        let bytes = text.as_bytes();
        let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let rows = decoded(&pieces).unwrap();
        let read: Vec<_> = rows.iter().map(|row| row.path.as_str()).collect();
        let written: Vec<_> = lines.iter().map(|(path, ..)| path.as_str()).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn any_bytes_are_rows_or_a_fault(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r')], 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(bytes.len() + 1);
        prop_assert_eq!(decoded(&[&bytes]), decoded(&[&bytes[..cut], &bytes[cut..]]));
    }
}
