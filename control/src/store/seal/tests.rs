use super::*;

const PLACE: Place<'static> = Place {
    kind: "access-key",
    id: "AKID",
    field: "secret",
};

fn of_key(byte: u8) -> Sealer {
    let file = KeyFile::parse(&[byte; KEY_BYTES]).unwrap();
    Sealer {
        path: PathBuf::new(),
        known: RwLock::new(Known::of(&file, None).unwrap()),
    }
}

/// What a control that serves sees while another process replaces the key.
#[test]
fn a_replaced_key_is_noticed_and_the_former_opens_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = Sealer::default_path(directory.path());
    let serving = Sealer::open(directory.path()).unwrap();
    let before = serving.seal(PLACE, "CANARY").unwrap();
    assert_eq!(serving.seal_anew(PLACE, &before).unwrap(), None);
    let file = read_keys(&path).unwrap();
    let file = file.replacing(new_key().unwrap(), true).unwrap();
    write_keys(&path, &file).unwrap();
    let after = serving.seal_anew(PLACE, &before).unwrap().unwrap();
    assert_eq!(serving.seal_anew(PLACE, &after).unwrap(), None);
    for sealed in [&before, &after] {
        let opened = serving.open_secret(PLACE, sealed).unwrap();
        assert_eq!(opened.as_str(), "CANARY");
    }
    // A file that is no key leaves what is known.
    std::fs::write(&path, "nonsense").unwrap();
    assert!(serving.open_secret(PLACE, &before).is_ok());
    write_keys(&path, &file.replaced().unwrap()).unwrap();
    assert!(serving.open_secret(PLACE, &before).is_err());
    assert!(serving.open_secret(PLACE, &after).is_ok());
}

#[test]
fn a_sealed_secret_opens_only_in_its_place_and_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let sealer = Sealer::open(directory.path()).unwrap();
    let sealed = sealer.seal(PLACE, "CANARY").unwrap();
    assert!(!format!("{sealed:?}").contains("CANARY"));
    let again = Sealer::open(directory.path()).unwrap();
    assert_eq!(
        again.open_secret(PLACE, &sealed).unwrap().as_str(),
        "CANARY"
    );
    let elsewhere = Place {
        id: "AKID2",
        ..PLACE
    };
    assert!(again.open_secret(elsewhere, &sealed).is_err());
    let other = of_key(7);
    assert!(other.open_secret(PLACE, &sealed).is_err());
    assert_ne!(sealed, sealer.seal(PLACE, "CANARY").unwrap());
}

#[test]
fn the_key_file_is_private_and_checked() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    Sealer::open(directory.path()).unwrap();
    let path = directory.path().join(KEY_FILE);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&path, [0; KEY_BYTES + 1]).unwrap();
    assert!(matches!(
        Sealer::open(directory.path()),
        Err(SealError::BadKey { .. })
    ));
}

#[test]
fn damaged_texts_are_refused() {
    let sealer = of_key(1);
    for text in ["", "!", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(sealer.open_secret(PLACE, &Sealed(text.to_owned())).is_err());
    }
}
