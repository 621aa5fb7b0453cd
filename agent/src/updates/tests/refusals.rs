//! What is refused, and as what.

use datasync_proto::{BundleError, BundleManifest};

use super::super::bundle::{Here, Refusal};
use super::super::disk::Disk;
use super::super::keys::{ReleaseKeys, SignatureError};
use super::super::shelf::Shelf;
use super::{Signer, bundle, lines, manifest};

const PROGRAM: &[u8] = b"#!/bin/sh\nexit 0\n";

fn here(running: &str) -> Here {
    Here {
        architecture: std::env::consts::ARCH.to_owned(),
        running: running.parse().unwrap(),
    }
}

struct Taken {
    refusal: Option<Refusal>,
    /// Whether anything was written.
    wrote: bool,
}

/// Takes a bundle in where 1.2.0 runs, in pieces of `piece` bytes.
fn take(keys: &ReleaseKeys, bytes: &[u8], allow_downgrade: bool, piece: usize) -> Taken {
    let scratch = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(scratch.path(), keys.clone()).on(Disk::default());
    let here = here("1.2.0");
    let mut intake = shelf.intake(&here, allow_downgrade);
    let fed = bytes.chunks(piece).try_for_each(|part| intake.take(part));
    let refusal = fed.and_then(|()| intake.finish().map(|_| ())).err();
    Taken {
        refusal,
        wrote: scratch.path().join("releases").exists(),
    }
}

fn changed(signer: &Signer, change: impl FnOnce(&mut BundleManifest)) -> Vec<u8> {
    let mut manifest = manifest("1.3.0", PROGRAM);
    change(&mut manifest);
    [&lines(signer, &manifest), PROGRAM].concat()
}

#[test]
fn a_good_bundle_is_taken_in_whatever_its_pieces() {
    let signer = Signer::new();
    let made = bundle(&signer, "1.3.0", PROGRAM);
    for piece in [1, 7, 400, 100_000] {
        let taken = take(&signer.keys(), &made, false, piece);
        assert!(taken.refusal.is_none(), "{:?}", taken.refusal);
        assert!(taken.wrote);
    }
}

#[test]
fn each_fault_has_its_own_words_and_nothing_unsigned_is_written() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let good = bundle(&signer, "1.3.0", PROGRAM);
    let refused = |bytes: &[u8]| {
        let taken = take(&signer.keys(), bytes, false, 50);
        (taken.refusal.expect("it is refused"), taken.wrote)
    };
    let (refusal, wrote) = refused(&bundle(&stranger, "1.3.0", PROGRAM));
    let unknown = SignatureError::UnknownKey(stranger.id().to_owned());
    assert!(matches!(refusal, Refusal::Signature(e) if e == unknown) && !wrote);
    let mut altered = good.clone();
    let place = good.windows(5).position(|w| w == b"1.3.0").unwrap();
    altered[place] = b'9';
    let (refusal, wrote) = refused(&altered);
    let wrong = SignatureError::Wrong(signer.id().to_owned());
    assert!(matches!(refusal, Refusal::Signature(e) if e == wrong) && !wrote);
    let (refusal, wrote) = refused(&changed(&signer, |m| {
        m.product = "datasync-control".to_owned()
    }));
    assert!(matches!(refusal, Refusal::Product(_)) && !wrote);
    let (refusal, wrote) = refused(&changed(&signer, |m| m.architecture = "vax".to_owned()));
    assert!(matches!(refusal, Refusal::Architecture { .. }) && !wrote);
    let (refusal, wrote) = refused(&bundle(&signer, "1.2.0", PROGRAM));
    assert!(matches!(refusal, Refusal::Same(_)) && !wrote);
    let (refusal, wrote) = refused(&bundle(&signer, "1.1.9", PROGRAM));
    assert!(matches!(refusal, Refusal::Older { .. }) && !wrote);
    let (refusal, wrote) = refused(b"#!/bin/sh\n");
    assert!(matches!(refusal, Refusal::Bundle(BundleError::Format)) && !wrote);
    let (refusal, _) = refused(&good[..good.len() - 1]);
    assert!(matches!(refusal, Refusal::Truncated { .. }), "{refusal}");
    let (refusal, _) = refused(&[&good[..], b"x"].concat());
    assert!(matches!(refusal, Refusal::TooLong), "{refusal}");
    let mut damaged = good.clone();
    damaged[good.len() - 1] ^= 1;
    let (refusal, _) = refused(&damaged);
    assert!(matches!(refusal, Refusal::Damaged), "{refusal}");
}

#[test]
fn without_a_key_nothing_is_installed_and_an_older_one_only_if_that_is_allowed() {
    let signer = Signer::new();
    let made = bundle(&signer, "1.3.0", PROGRAM);
    let taken = take(&ReleaseKeys::default(), &made, false, 50);
    let told = taken.refusal.unwrap().to_string();
    assert!(told.contains("release_keys") && !taken.wrote, "{told}");
    let older = bundle(&signer, "1.1.0", PROGRAM);
    assert!(take(&signer.keys(), &older, true, 50).refusal.is_none());
}
