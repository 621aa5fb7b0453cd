//! Bundles of releases: three lines and a program.
//!
//! The first line names the format, the second is a manifest in JSON, the third has the id of a key
//! and its Ed25519 signature over the first two lines with their ends. After it comes the program, of
//! which the manifest has the length and the SHA-256.

use datasync_model::ReleaseVersion;
use serde::{Deserialize, Serialize};

/// The first line.
pub const BUNDLE_FORMAT: &str = "datasync-update-1";
/// The largest program, in bytes.
pub const PROGRAM_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest three lines, in bytes.
pub const BUNDLE_HEADER_BYTES_MAX: usize =
    BUNDLE_FORMAT.len() + MANIFEST_BYTES_MAX + SEAL_BYTES_MAX + 3;
/// The largest bundle, in bytes.
pub const BUNDLE_BYTES_MAX: u64 = PROGRAM_BYTES_MAX + BUNDLE_HEADER_BYTES_MAX as u64;
/// Digits of a key's id: of the SHA-256 of its public half in DER.
pub const KEY_ID_DIGITS: usize = 16;

const MANIFEST_BYTES_MAX: usize = 4096;
const SEAL_BYTES_MAX: usize = KEY_ID_DIGITS + 1 + 128;
/// The longest text in a manifest, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// What a bundle says of its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// The program's name: `datasync-agent`.
    pub product: String,
    /// Its version.
    pub version: ReleaseVersion,
    /// What it runs on, as `uname -m` says it.
    pub architecture: String,
    /// Its length in bytes; at most [`PROGRAM_BYTES_MAX`].
    pub size: u64,
    /// Its SHA-256, in 64 hexadecimal digits.
    pub sha256: String,
    /// When it was made, in the form of RFC 3339.
    pub made_at: String,
}

/// The three lines of a bundle. That the signature is good is for others to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleHeader {
    /// The second line.
    pub manifest: BundleManifest,
    /// Which key is said to have signed.
    pub key_id: String,
    /// The signature, 64 bytes.
    pub signature: [u8; 64],
    /// All three lines, as they are.
    text: Vec<u8>,
    /// How many bytes of them are signed.
    signed: usize,
}

/// Bytes that are not the beginning of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Another format.
    #[error("it is not a bundle of this kind: it does not begin with {BUNDLE_FORMAT}")]
    Format,
    /// An end within the three lines.
    #[error("it is cut off: it ends before its program begins")]
    Truncated,
    /// A line that is longer than any good one.
    #[error("its {0} is too long")]
    TooLong(&'static str),
    /// A manifest that cannot be used.
    #[error("its manifest cannot be used: {0}")]
    Manifest(String),
    /// A third line in another form.
    #[error("its signature is not {KEY_ID_DIGITS} and 128 hexadecimal digits")]
    Signature,
}

impl BundleHeader {
    /// Reads the three lines at the beginning of `bytes`, which may have anything after them.
    ///
    /// # Errors
    /// [`BundleError`]; [`BundleError::Truncated`] if more bytes may help.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let (format, rest) = line(bytes, "first line", BUNDLE_FORMAT.len()).map_err(|error| {
            let begins = BUNDLE_FORMAT.as_bytes().starts_with(bytes);
            if begins { error } else { BundleError::Format }
        })?;
        if format != BUNDLE_FORMAT.as_bytes() {
            return Err(BundleError::Format);
        }
        let (manifest, rest) = line(rest, "manifest", MANIFEST_BYTES_MAX)?;
        let signed = bytes.len() - rest.len();
        let (seal, rest) = line(rest, "signature", SEAL_BYTES_MAX)?;
        let (key_id, signature) = read_seal(seal).ok_or(BundleError::Signature)?;
        let manifest: BundleManifest = serde_json::from_slice(manifest)
            .map_err(|error| BundleError::Manifest(error.to_string()))?;
        check(&manifest).map_err(BundleError::Manifest)?;
        Ok(Self {
            manifest,
            key_id,
            signature,
            text: bytes[..bytes.len() - rest.len()].to_vec(),
            signed,
        })
    }

    /// What the signature is over.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        &self.text[..self.signed]
    }

    /// The three lines: the program begins after them.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The length of the whole bundle, in bytes.
    #[must_use]
    pub fn bundle_bytes(&self) -> u64 {
        self.text.len() as u64 + self.manifest.size
    }
}

/// A line without its end, and what comes after it.
fn line<'a>(
    bytes: &'a [u8],
    what: &'static str,
    bytes_max: usize,
) -> Result<(&'a [u8], &'a [u8]), BundleError> {
    let seen = &bytes[..bytes.len().min(bytes_max + 1)];
    match seen.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok((&bytes[..end], &bytes[end + 1..])),
        None if seen.len() > bytes_max => Err(BundleError::TooLong(what)),
        None => Err(BundleError::Truncated),
    }
}

fn read_seal(seal: &[u8]) -> Option<(String, [u8; 64])> {
    let (key_id, signature) = std::str::from_utf8(seal).ok()?.split_once(' ')?;
    let is_id = key_id.len() == KEY_ID_DIGITS && key_id.bytes().all(is_digit);
    let digits = signature.as_bytes();
    if !is_id || digits.len() != 128 || !digits.iter().copied().all(is_digit) {
        return None;
    }
    let mut bytes = [0; 64];
    for (byte, pair) in bytes.iter_mut().zip(signature.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((key_id.to_owned(), bytes))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn check(manifest: &BundleManifest) -> Result<(), String> {
    let texts = [
        ("product", &manifest.product),
        ("architecture", &manifest.architecture),
        ("made_at", &manifest.made_at),
    ];
    for (name, text) in texts {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || !plain {
            return Err(format!(
                "{name} is not 1 to {TEXT_BYTES_MAX} plain characters"
            ));
        }
    }
    if manifest.size == 0 || manifest.size > PROGRAM_BYTES_MAX {
        let size = manifest.size;
        return Err(format!(
            "a program of {size} bytes: it has 1 to {PROGRAM_BYTES_MAX}"
        ));
    }
    let digest = &manifest.sha256;
    if digest.len() != 64 || !digest.bytes().all(is_digit) {
        return Err("sha256 is not 64 hexadecimal digits in lower case".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> BundleManifest {
        BundleManifest {
            product: "datasync-agent".to_owned(),
            version: "1.2.3".parse().unwrap(),
            architecture: "x86_64".to_owned(),
            size: 7,
            sha256: "ab".repeat(32),
            made_at: "2026-11-26T00:00:00Z".to_owned(),
        }
    }

    fn text(manifest: &BundleManifest) -> Vec<u8> {
        let manifest = serde_json::to_string(manifest).unwrap();
        let seal = format!("{} {}", "0a".repeat(8), "1f".repeat(64));
        format!("{BUNDLE_FORMAT}\n{manifest}\n{seal}\n").into_bytes()
    }

    #[test]
    fn the_three_lines_are_read_and_what_is_signed_is_the_first_two() {
        let lines = text(&manifest());
        let bundle = [&lines[..], b"program\nand"].concat();
        let header = BundleHeader::read(&bundle).unwrap();
        assert_eq!(header.manifest, manifest());
        assert_eq!(header.text(), lines);
        assert_eq!(header.key_id, "0a".repeat(8));
        assert_eq!(header.signature, [0x1f; 64]);
        assert!(lines.starts_with(header.signed()));
        let ends = header.signed().iter().filter(|byte| **byte == b'\n');
        assert_eq!(ends.count(), 2);
        assert_eq!(header.bundle_bytes(), lines.len() as u64 + 7);
        assert!(lines.len() <= BUNDLE_HEADER_BYTES_MAX);
    }

    #[test]
    fn an_end_anywhere_in_the_lines_is_told_as_one() {
        let lines = text(&manifest());
        for length in 0..lines.len() {
            let read = BundleHeader::read(&lines[..length]);
            assert_eq!(read, Err(BundleError::Truncated), "{length}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_bounds() {
        let long = |head: &str, count: usize| [head.as_bytes(), &vec![b'x'; count]].concat();
        assert_eq!(BundleHeader::read(b"#!/bin/sh\n"), Err(BundleError::Format));
        assert_eq!(BundleHeader::read(&long("", 99)), Err(BundleError::Format));
        let format = format!("{BUNDLE_FORMAT}\n");
        let read = BundleHeader::read(&long(&format, MANIFEST_BYTES_MAX + 1));
        assert_eq!(read, Err(BundleError::TooLong("manifest")));
        let read = BundleHeader::read(&long(&format!("{format}{{}}\n"), SEAL_BYTES_MAX + 1));
        assert_eq!(read, Err(BundleError::TooLong("signature")));
        let read = BundleHeader::read(format!("{format}{{}}\n{}\n", "0".repeat(145)).as_bytes());
        assert_eq!(read, Err(BundleError::Signature));
    }

    #[test]
    fn a_manifest_that_cannot_be_true_is_refused() {
        let changes: [fn(&mut BundleManifest); 6] = [
            |manifest| manifest.size = 0,
            |manifest| manifest.size = PROGRAM_BYTES_MAX + 1,
            |manifest| manifest.sha256 = "AB".repeat(32),
            |manifest| manifest.architecture = "../x".to_owned(),
            |manifest| manifest.product = String::new(),
            |manifest| manifest.made_at = "x".repeat(65),
        ];
        for change in changes {
            let mut changed = manifest();
            change(&mut changed);
            let read = BundleHeader::read(&text(&changed));
            assert!(matches!(read, Err(BundleError::Manifest(_))), "{changed:?}");
        }
        let lines = String::from_utf8(text(&manifest())).unwrap();
        let wrong = lines.replace("1.2.3", "../..");
        let read = BundleHeader::read(wrong.as_bytes());
        assert!(matches!(read, Err(BundleError::Manifest(_))), "{read:?}");
    }
}
