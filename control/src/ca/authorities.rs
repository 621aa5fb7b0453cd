//! The CA that issues now, and those that are trusted: one, or two while a rotation is under way.
//! Rows are the truth; every control looks at them every few seconds, and before it issues.

use std::sync::{Arc, Mutex, PoisonError};

use datasync_model::AgentArn;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::rotation::Stage;
use super::{Authority, CaError};
use crate::records::{AuthorityRotation, SharedAuthority};
use crate::store::{SealError, Sealer, Store, StoreError};

/// Why the rows' CAs cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("looking at the files of the CA broke off")]
    BrokenOff,
}

/// The CAs of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    present: Arc<Authority>,
    next: Option<Next>,
}

#[derive(Debug, Clone)]
struct Next {
    authority: Arc<Authority>,
    stage: Stage,
    began: Timestamp,
}

/// A rotation as sessions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub(crate) stage: Stage,
    /// Fingerprint of the next CA.
    pub(crate) next: String,
    pub(crate) began: Timestamp,
}

impl Trusted {
    /// The CA that issues.
    pub(crate) fn issuer(&self) -> &Arc<Authority> {
        match &self.next {
            Some(next) if next.stage == Stage::Issuing => &next.authority,
            _ => &self.present,
        }
    }

    /// Every CA whose certificates are good.
    pub(crate) fn anchors(&self) -> impl Iterator<Item = &Arc<Authority>> {
        std::iter::once(&self.present).chain(self.next.iter().map(|next| &next.authority))
    }

    /// PEM of all [`Self::anchors`].
    pub(crate) fn anchors_pem(&self) -> String {
        self.anchors().map(|anchor| anchor.pem()).collect()
    }

    pub(crate) fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.anchors().map(|anchor| anchor.certificate())
    }

    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.anchors().map(|anchor| anchor.fingerprint()).collect()
    }

    pub(crate) fn under_way(&self) -> Option<UnderWay> {
        self.next.as_ref().map(|next| UnderWay {
            stage: next.stage,
            next: next.authority.fingerprint(),
            began: next.began,
        })
    }

    /// The same CAs, with the same one issuing.
    fn is_same(&self, other: &Self) -> bool {
        self.present.pem() == other.present.pem() && self.under_way() == other.under_way()
    }
}

/// The CAs as they were last looked up.
#[derive(Debug)]
pub(crate) struct Authorities {
    store: Store,
    sealer: Arc<Sealer>,
    trusted: watch::Sender<Arc<Trusted>>,
    /// Whoever has it looks at the files, and may write them.
    files: Arc<Mutex<()>>,
}

impl Authorities {
    /// The CAs of `store`, in which `present` is the one in the state directory.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub(crate) async fn load(
        store: Store,
        sealer: Arc<Sealer>,
        present: Arc<Authority>,
        now: Timestamp,
    ) -> Result<Arc<Self>, AuthoritiesError> {
        let alone = Trusted {
            present,
            next: None,
        };
        let authorities = Self {
            store,
            sealer,
            trusted: watch::Sender::new(Arc::new(alone)),
            files: Arc::default(),
        };
        authorities.look(now).await?;
        Ok(Arc::new(authorities))
    }

    /// As they were at the last look.
    pub(crate) fn trusted(&self) -> Arc<Trusted> {
        self.trusted.borrow().clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Trusted>> {
        self.trusted.subscribe()
    }

    /// Looks at the rows.
    ///
    /// # Errors
    /// [`AuthoritiesError`]; then they stay what they were.
    pub(crate) async fn look(&self, now: Timestamp) -> Result<Arc<Trusted>, AuthoritiesError> {
        let rows = self.store.read(|rows| {
            let shared = rows.get::<SharedAuthority>(SharedAuthority::ID)?;
            let rotation = rows.get::<AuthorityRotation>(AuthorityRotation::ID)?;
            Ok::<_, StoreError>((shared, rotation))
        });
        let (shared, rotation) = rows.await?;
        let looked = Looked {
            before: self.trusted(),
            sealer: self.sealer.clone(),
            files: self.files.clone(),
            shared: shared.map(|row| row.record),
            rotation: rotation.map(|row| row.record),
        };
        let mut looking = JoinSet::new();
        looking.spawn_blocking(move || looked.trusted(now));
        let found = looking
            .join_next()
            .await
            .ok_or(AuthoritiesError::BrokenOff)?;
        let (before, found) = found.map_err(|_| AuthoritiesError::BrokenOff)??;
        if !found.is_same(&before) {
            self.trusted.send_replace(found.clone());
        }
        Ok(found)
    }
}

/// What the rows say, to be compared with the files in the state directory.
struct Looked {
    before: Arc<Trusted>,
    sealer: Arc<Sealer>,
    files: Arc<Mutex<()>>,
    shared: Option<SharedAuthority>,
    rotation: Option<AuthorityRotation>,
}

impl Looked {
    /// What was trusted before, and what is now. Blocks on the disk.
    fn trusted(&self, now: Timestamp) -> Result<(Arc<Trusted>, Arc<Trusted>), AuthoritiesError> {
        let _files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.present(now)?;
        let next = match &self.rotation {
            // What is the present one already is not the next: a rotation whose end was cut off.
            Some(rotation) if rotation.certificate_pem != present.pem() => {
                Some(self.next(rotation, now)?)
            }
            _ => None,
        };
        Ok((self.before.clone(), Arc::new(Trusted { present, next })))
    }

    fn present(&self, now: Timestamp) -> Result<Arc<Authority>, AuthoritiesError> {
        let before = &self.before.present;
        let state_dir = before.state_dir();
        match &self.shared {
            Some(shared) if shared.certificate_pem == before.pem() => Ok(before.clone()),
            Some(shared) => {
                let key = shared.open_key(&self.sealer)?;
                Ok(Arc::new(Authority::adopt(state_dir, &key, shared, now)?))
            }
            None if Authority::certificate_in(state_dir)? == before.pem() => Ok(before.clone()),
            None => Ok(Arc::new(Authority::open(state_dir, now)?)),
        }
    }

    fn next(&self, rotation: &AuthorityRotation, now: Timestamp) -> Result<Next, AuthoritiesError> {
        let known = self.before.next.as_ref().map(|next| &next.authority);
        let authority = match known.filter(|known| known.pem() == rotation.certificate_pem) {
            Some(known) => known.clone(),
            None => {
                let key = rotation.open_key(&self.sealer)?;
                let state_dir = self.before.present.state_dir();
                let pem = &rotation.certificate_pem;
                Arc::new(Authority::of_pem(state_dir, &key, pem, now)?)
            }
        };
        Ok(Next {
            authority,
            stage: rotation.standing().stage,
            began: Timestamp::from_millisecond(rotation.began_ms).unwrap_or_default(),
        })
    }
}

/// A certificate as it is issued.
#[derive(Debug, Clone)]
pub(crate) struct IssuedToAgent {
    /// PEM, with the CA's certificate behind it.
    pub(crate) chain_pem: String,
    /// PEM of what the agent is to trust.
    pub(crate) anchors_pem: String,
    pub(crate) record: crate::records::AgentCertificate,
}

impl Trusted {
    /// A client certificate for `agent` over `key`.
    ///
    /// # Errors
    /// [`CaError::Broken`] if the key cannot be certified.
    pub(crate) fn issue_agent(
        &self,
        agent: &AgentArn,
        key: &super::PublicKey,
        now: Timestamp,
        lifetime: std::time::Duration,
    ) -> Result<IssuedToAgent, CaError> {
        let issuer = self.issuer();
        let (chain_pem, certificate) = issuer.issue_agent(agent, key, now, lifetime)?;
        Ok(IssuedToAgent {
            chain_pem,
            anchors_pem: self.anchors_pem(),
            record: crate::records::AgentCertificate {
                agent: agent.id().to_owned(),
                sha256: super::fingerprint_of(&certificate),
                issuer: issuer.fingerprint(),
                anchors: self.fingerprints(),
                ends_at_ms: (now + lifetime).as_millisecond(),
                is_shown: false,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::State;
    use crate::stuck::StuckFile;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let state = State::open(directory.path(), now).unwrap();
        let authorities = state.authorities(now).await.unwrap();
        let stuck = StuckFile::put(&state.authority.pem_path());
        let mut looking = std::pin::pin!(authorities.look(now));
        tokio::select! {
            _ = &mut looking => panic!("there is nothing to read yet"),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        assert!(stuck.release(), "the runtime waited with it");
        let found = looking.await.unwrap();
        assert_eq!(found.issuer().pem(), state.authority.pem());
    }
}
