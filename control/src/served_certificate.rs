//! The certificates that control shows, looked after while it runs: files that were replaced are
//! read again, certificates of control's own CA are renewed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ca::{Authorities, CaError, ServerIdentity, read_identity};
use crate::expiry::life_of;
use crate::records::Life;

/// How often certificates are looked at.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// So many times as often, the CAs that issue them.
const AUTHORITY_LOOKS: u32 = 12;

/// Where a certificate comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Control's own CA, for these names besides localhost.
    OwnCa {
        authorities: Arc<Authorities>,
        names: Vec<String>,
    },
    /// PEM files that somebody else keeps.
    Files { certificate: PathBuf, key: PathBuf },
}

impl Source {
    fn load(&self, now: Timestamp) -> Result<CertifiedKey, CaError> {
        let ServerIdentity { chain, key } = match self {
            Self::OwnCa { authorities, names } => {
                authorities.trusted().issuer().server_identity(names, now)?
            }
            Self::Files { certificate, key } => read_identity(certificate, key)?,
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| CaError::Broken {
            what: self.to_string(),
            reason: error.to_string(),
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OwnCa { .. } => f.write_str("server certificate of control's CA"),
            Self::Files { certificate, key } => {
                write!(f, "{} and {}", certificate.display(), key.display())
            }
        }
    }
}

/// The certificate that new connections are shown.
#[derive(Debug)]
pub(crate) struct ServedCertificate {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServedCertificate {
    /// Blocks on the disk: call it before serving.
    ///
    /// # Errors
    /// [`CaError`]: files that cannot be read or written, or that do not belong together.
    pub(crate) fn load(source: Source, now: Timestamp) -> Result<Arc<Self>, CaError> {
        let current = RwLock::new(Arc::new(source.load(now)?));
        Ok(Arc::new(Self { source, current }))
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long the shown certificate is good.
    ///
    /// # Errors
    /// [`CaError`]: it cannot be parsed.
    pub(crate) fn life(&self) -> Result<Life, CaError> {
        let current = self.current();
        let leaf = current.cert.first().ok_or_else(|| CaError::Broken {
            what: self.source.to_string(),
            reason: "it is empty".to_owned(),
        })?;
        life_of(leaf)
    }

    /// Takes over what the source has now. Whether that is another certificate. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// See [`Self::load`]; then the certificate stays what it was.
    fn renew(&self, now: Timestamp) -> Result<bool, CaError> {
        let fresh = self.source.load(now)?;
        if fresh.cert == self.current().cert {
            return Ok(false);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(fresh);
        Ok(true)
    }

    fn renew_and_log(&self, now: Timestamp) {
        match self.renew(now) {
            Ok(true) => {
                tracing::info!(source = %self.source, event = "certificate.replaced", "another certificate is shown")
            }
            Ok(false) => {}
            // Two files are not replaced at once: the next look may find them whole.
            Err(error) => {
                tracing::warn!(%error, event = "certificate.renewal_failed", "a certificate cannot be renewed: the old one is shown")
            }
        }
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Looks at the certificates each `interval` until `shutdown`, and as soon as another CA issues.
pub(crate) async fn keep_current(
    authorities: Arc<Authorities>,
    certificates: Vec<Arc<ServedCertificate>>,
    interval: Duration,
    shutdown: CancellationToken,
) {
    let mut looks = JoinSet::new();
    let mut changes = authorities.changes();
    let mut due = Instant::now() + interval;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(interval / AUTHORITY_LOOKS) => {}
        }
        if let Err(error) = authorities.look(Timestamp::now()).await {
            tracing::warn!(%error, "the CAs cannot be looked up: those of before are used");
        }
        let has_changed = changes.has_changed().is_ok_and(|changed| changed);
        changes.mark_unchanged();
        if !has_changed && Instant::now() < due {
            continue;
        }
        due = Instant::now() + interval;
        for certificate in &certificates {
            let certificate = certificate.clone();
            looks.spawn_blocking(move || certificate.renew_and_log(Timestamp::now()));
            // One after the other: two of the same CA would write the same files.
            while let Some(looked) = looks.join_next().await {
                if let Err(error) = looked {
                    tracing::error!(%error, "looking at a certificate broke off");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ca::Authority;
    use crate::state::State;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const PATIENCE: Duration = Duration::from_secs(30);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// The files of another CA's server certificate, as somebody would put them in place.
    fn put(directory: &Path, certificate: bool, key: bool) {
        let elsewhere = tempfile::tempdir().unwrap();
        let authority = Authority::open(elsewhere.path(), now()).unwrap();
        authority.server_identity(&[], now()).unwrap();
        for (name, wanted) in [("server.pem", certificate), ("server.key.pem", key)] {
            if wanted {
                std::fs::copy(elsewhere.path().join("ca").join(name), directory.join(name))
                    .unwrap();
            }
        }
    }

    fn files(directory: &Path) -> Source {
        Source::Files {
            certificate: directory.join("server.pem"),
            key: directory.join("server.key.pem"),
        }
    }

    async fn authorities(directory: &Path) -> Arc<Authorities> {
        let state = State::open(directory, now()).unwrap();
        state.authorities(now()).await.unwrap()
    }

    #[tokio::test]
    async fn certificates_of_our_ca_are_renewed_before_they_expire() {
        let directory = tempfile::tempdir().unwrap();
        let authorities = authorities(directory.path()).await;
        let names = vec!["control.example".to_owned()];
        let source = Source::OwnCa { authorities, names };
        let served = ServedCertificate::load(source, now()).unwrap();
        let first = served.current();
        assert!(!served.renew(now() + DAY * 200).unwrap());
        assert_eq!(served.current().cert, first.cert);
        assert!(served.renew(now() + DAY * 300).unwrap());
        assert_ne!(served.current().cert, first.cert);
    }

    #[test]
    fn half_replaced_files_leave_the_old_certificate() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), true, true);
        let served = ServedCertificate::load(files(directory.path()), now()).unwrap();
        let first = served.current();
        put(directory.path(), true, false);
        assert!(
            served.renew(now()).is_err(),
            "the key is of another certificate"
        );
        assert_eq!(served.current().cert, first.cert);
        std::fs::remove_file(directory.path().join("server.pem")).unwrap();
        assert!(served.renew(now()).is_err());
        put(directory.path(), true, true);
        assert!(served.renew(now()).unwrap());
        assert_ne!(served.current().cert, first.cert);
        assert!(!served.renew(now()).unwrap());
    }

    #[tokio::test]
    async fn replaced_files_are_noticed_while_control_runs() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), true, true);
        let served = ServedCertificate::load(files(directory.path()), now()).unwrap();
        let first = served.current();
        let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        let pause = Duration::from_millis(5);
        let state = tempfile::tempdir().unwrap();
        let authorities = authorities(state.path()).await;
        let certificates = vec![served.clone()];
        tasks.spawn(keep_current(
            authorities,
            certificates,
            pause,
            shutdown.clone(),
        ));
        put(directory.path(), true, true);
        let noticed = async {
            while served.current().cert == first.cert {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::time::timeout(PATIENCE, noticed).await.unwrap();
        shutdown.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }
}
