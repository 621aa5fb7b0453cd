//! A bundle on its way in: read from its beginning to its end, verified, its program written.

use std::path::{Path, PathBuf};

use datasync_model::ReleaseVersion;
use datasync_proto::{BUNDLE_HEADER_BYTES_MAX, BundleError, BundleHeader, BundleManifest};
use sha2::{Digest, Sha256};

use super::disk::{Disk, Growing};
use super::keys::{ReleaseKeys, SignatureError};
use crate::state::StateError;

/// The only program that is updated.
const PRODUCT: &str = "datasync-agent";

/// Why a bundle is not installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the bundle is refused: {0}")]
    Bundle(#[from] BundleError),
    #[error("the bundle is refused: {0}")]
    Signature(#[from] SignatureError),
    #[error("the bundle is refused: it is of {0}, not of {PRODUCT}")]
    Product(String),
    #[error("the bundle is refused: it is for {wanted}, and this machine is {here}")]
    Architecture { wanted: String, here: String },
    #[error(
        "the bundle is refused: {version} is older than {running}, which runs; --allow-downgrade \
         installs it all the same"
    )]
    Older {
        version: ReleaseVersion,
        running: ReleaseVersion,
    },
    #[error("the bundle is refused: {0} runs already")]
    Same(ReleaseVersion),
    #[error("the bundle is refused: it is cut off after {got} of {wanted} bytes of its program")]
    Truncated { got: u64, wanted: u64 },
    #[error("the bundle is refused: bytes come after its program")]
    TooLong,
    #[error("the bundle is refused: its program was damaged, its SHA-256 is another one")]
    Damaged,
    #[error(transparent)]
    State(#[from] StateError),
}

/// What decides whether a release suits.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) architecture: String,
    /// The version that runs.
    pub(super) running: ReleaseVersion,
}

/// Whether a bundle with this beginning may be installed here.
pub(super) fn check(
    header: &BundleHeader,
    keys: &ReleaseKeys,
    here: &Here,
    allow_downgrade: bool,
) -> Result<(), Refusal> {
    keys.verify(header)?;
    let manifest = &header.manifest;
    suits(manifest, &here.architecture)?;
    let (version, running) = (manifest.version.clone(), here.running.clone());
    if version == running {
        return Err(Refusal::Same(version));
    }
    if version < running && !allow_downgrade {
        return Err(Refusal::Older { version, running });
    }
    Ok(())
}

fn suits(manifest: &BundleManifest, architecture: &str) -> Result<(), Refusal> {
    if manifest.product != PRODUCT {
        return Err(Refusal::Product(manifest.product.clone()));
    }
    if manifest.architecture != architecture {
        return Err(Refusal::Architecture {
            wanted: manifest.architecture.clone(),
            here: architecture.to_owned(),
        });
    }
    Ok(())
}

/// Whether a release that was installed is still what was signed. Reads the program whole.
pub(super) fn verify_installed(
    directory: &Path,
    keys: &ReleaseKeys,
    architecture: &str,
) -> Result<BundleManifest, Refusal> {
    let read = |path: &Path, e| Refusal::State(StateError::new("read", path, e));
    let path = directory.join(HEADER);
    let text = std::fs::read(&path).map_err(|e| read(&path, e))?;
    let header = BundleHeader::read(&text)?;
    keys.verify(&header)?;
    suits(&header.manifest, architecture)?;
    let path = directory.join(PROGRAM);
    let mut file = std::fs::File::open(&path).map_err(|e| read(&path, e))?;
    let mut sum = Summed(Sha256::new());
    // One byte more than it may have tells that it has too many.
    let mut limited = std::io::Read::take(&mut file, header.manifest.size + 1);
    let got = std::io::copy(&mut limited, &mut sum).map_err(|e| read(&path, e))?;
    if got != header.manifest.size || hex::encode(sum.0.finalize()) != header.manifest.sha256 {
        return Err(Refusal::Damaged);
    }
    Ok(header.manifest)
}

/// The three lines of the bundle, in a release's directory.
pub(super) const HEADER: &str = "header";
/// The program, in a release's directory.
pub(super) const PROGRAM: &str = "datasync-agent";

struct Summed(Sha256);

impl std::io::Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes a bundle in, piece by piece. Nothing is written before its signature is good.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    disk: &'a Disk,
    directory: PathBuf,
    keys: &'a ReleaseKeys,
    here: &'a Here,
    allow_downgrade: bool,
    /// Of the lines, until they are complete.
    beginning: Vec<u8>,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    header: BundleHeader,
    program: Growing,
    sum: Sha256,
    got: u64,
}

impl<'a> Intake<'a> {
    /// Its files will be in `directory`, which is made anew.
    pub(super) fn new(
        disk: &'a Disk,
        directory: PathBuf,
        keys: &'a ReleaseKeys,
        (here, allow_downgrade): (&'a Here, bool),
    ) -> Self {
        Self {
            disk,
            directory,
            keys,
            here,
            allow_downgrade,
            beginning: Vec::new(),
            begun: None,
        }
    }

    /// The next bytes. Blocks on the disk.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(begun) = &mut self.begun {
            return begun.take(bytes);
        }
        let room = (BUNDLE_HEADER_BYTES_MAX + 1).saturating_sub(self.beginning.len());
        let (more, rest) = bytes.split_at(room.min(bytes.len()));
        self.beginning.extend_from_slice(more);
        let header = match BundleHeader::read(&self.beginning) {
            Ok(header) => header,
            Err(BundleError::Truncated) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        check(&header, self.keys, self.here, self.allow_downgrade)?;
        self.disk.remove_directory(&self.directory)?;
        self.disk.make_directory(&self.directory)?;
        let mut begun = Begun {
            program: self.disk.create(&self.directory.join(PROGRAM), 0o700)?,
            sum: Sha256::new(),
            got: 0,
            header,
        };
        let beginning = std::mem::take(&mut self.beginning);
        begun.take(&beginning[begun.header.text().len()..])?;
        begun.take(rest)?;
        self.begun = Some(begun);
        Ok(())
    }

    /// All of it has come: its files are complete and on the disk.
    pub(super) fn finish(self) -> Result<BundleManifest, Refusal> {
        let begun = self.begun.ok_or(BundleError::Truncated)?;
        let manifest = begun.header.manifest.clone();
        if begun.got != manifest.size {
            return Err(Refusal::Truncated {
                got: begun.got,
                wanted: manifest.size,
            });
        }
        if hex::encode(begun.sum.finalize()) != manifest.sha256 {
            return Err(Refusal::Damaged);
        }
        begun.program.finish()?;
        let mut header = self.disk.create(&self.directory.join(HEADER), 0o600)?;
        header.append(begun.header.text())?;
        header.finish()?;
        self.disk.sync_directory(&self.directory)?;
        Ok(manifest)
    }
}

impl Begun {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.got += bytes.len() as u64;
        if self.got > self.header.manifest.size {
            return Err(Refusal::TooLong);
        }
        self.sum.update(bytes);
        Ok(self.program.append(bytes)?)
    }
}
