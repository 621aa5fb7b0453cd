use nfs3_types::xdr_codec::{Opaque, Pack};
use proptest::prelude::*;

use super::*;

const START: Position = Position {
    cookie: 5,
    verifier: [1; 8],
};

struct Wire(Vec<u8>);

impl Wire {
    fn new() -> Self {
        let mut wire = Self(Vec::new());
        wire.word(0);
        wire.0.extend([9; 8]);
        wire
    }

    fn word(&mut self, word: u32) {
        word.pack(&mut self.0).unwrap();
    }

    fn entry(mut self, name: &[u8], cookie: u64, handle: Option<&[u8]>) -> Self {
        self.word(1);
        77u64.pack(&mut self.0).unwrap();
        Opaque::borrowed(name).pack(&mut self.0).unwrap();
        cookie.pack(&mut self.0).unwrap();
        self.word(0);
        match handle {
            None => self.word(0),
            Some(handle) => {
                self.word(1);
                Opaque::borrowed(handle).pack(&mut self.0).unwrap();
            }
        }
        self
    }

    fn end(mut self, eof: bool) -> Result<Page, Malformed> {
        self.word(0);
        self.word(u32::from(eof));
        parse(Reply::new(self.0.into()), START, Listing::Plus)
    }
}

fn refused(wire: Wire, eof: bool) -> String {
    wire.end(eof).unwrap_err().to_string()
}

#[test]
fn names_are_bytes_and_dots_are_dropped() {
    let long = [b'x'; 255];
    let page = Wire::new()
        .entry(b".", 6, None)
        .entry(b"..", 7, None)
        .entry(b"a\nb\xff\x01", 8, Some(b"h"))
        .entry(&long, 9, None)
        .end(false)
        .unwrap();
    let names: Vec<&[u8]> = page.entries.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(names, [b"a\nb\xff\x01".as_slice(), &long]);
    assert_eq!(page.entries[0].handle.as_deref(), Some(b"h".as_slice()));
    assert_eq!(page.entries[1].handle, None);
    let next = page.next.unwrap();
    assert_eq!((next.cookie, next.verifier), (9, [9; 8]));
}

#[test]
fn a_page_of_dots_alone_goes_on() {
    let page = Wire::new()
        .entry(b".", 6, None)
        .entry(b"..", 7, None)
        .end(false)
        .unwrap();
    assert!(page.entries.is_empty());
    assert_eq!(page.next.unwrap().cookie, 7);
}

#[test]
fn what_is_no_name_is_refused_and_shown() {
    for name in [b"a/b".as_slice(), b"/", b"a\0b", b""] {
        let text = refused(Wire::new().entry(name, 6, None), true);
        assert!(text.contains(&format!("\"{}\"", printable(name))), "{text}");
    }
    assert!(refused(Wire::new().entry(&[b'x'; 256], 6, None), true).contains("256"));
}

#[test]
fn handles_are_bounded() {
    assert!(refused(Wire::new().entry(b"a", 6, Some(&[0; 65])), true).contains("65"));
    assert!(refused(Wire::new().entry(b"a", 6, Some(&[])), true).contains("empty"));
    assert!(Wire::new().entry(b"a", 6, Some(&[0; 64])).end(true).is_ok());
}

#[test]
fn a_directory_that_does_not_move_on_is_refused() {
    assert!(refused(Wire::new(), false).contains("empty page"));
    assert!(refused(Wire::new().entry(b"a", START.cookie, None), false).contains("again"));
    assert!(refused(Wire::new().entry(b"a", 0, None), false).contains("again"));
    let looping = Wire::new()
        .entry(b"a", 6, None)
        .entry(b"b", 7, None)
        .entry(b"c", 6, None);
    assert!(refused(looping, false).contains("again"));
    assert!(Wire::new().end(true).unwrap().next.is_none());
}

#[test]
fn entries_per_page_are_bounded() {
    let mut wire = Wire::new();
    for cookie in 0..=ENTRIES_MAX as u64 {
        wire = wire.entry(b"n", 6 + cookie, None);
    }
    assert!(refused(wire, true).contains("more than 16384 entries"));
}

#[test]
fn pages_are_of_a_sensible_size() {
    assert_eq!(page_size(0), 64 << 10);
    assert_eq!(page_size(128 << 10), 128 << 10);
    assert_eq!(page_size(u32::MAX), 256 << 10);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..400), plus: bool) {
        let listing = if plus { Listing::Plus } else { Listing::Plain };
        if let Ok(page) = parse(Reply::new(body.into()), START, listing) {
            prop_assert!(page.entries.iter().all(|entry| is_name(&entry.name)));
        }
    }

    #[test]
    fn a_cut_page_is_an_error(names in proptest::collection::vec("[a-z]{1,9}", 1..6), cut in 1usize..40) {
        let mut wire = Wire::new();
        for (at, name) in names.iter().enumerate() {
            wire = wire.entry(name.as_bytes(), 6 + at as u64, Some(b"handle"));
        }
        wire.word(0);
        wire.word(1);
        let whole = wire.0;
        let length = whole.len().saturating_sub(cut);
        let cut = parse(Reply::new(whole[..length].to_vec().into()), START, Listing::Plus);
        prop_assert!(cut.is_err());
    }
}
