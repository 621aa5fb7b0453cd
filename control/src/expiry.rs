//! Looks at the lives of control's own certificates, so that a warning is told before they end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::ca::{Authorities, CaError, CertificateFacts};
use crate::events;
use crate::records::Life;
use crate::served_certificate::ServedCertificate;
use crate::store::{Store, StoreError, Transaction};

const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Whose certificates these are.
pub(crate) struct Watched {
    /// As events call this control.
    pub(crate) control_arn: String,
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) served: Vec<Arc<ServedCertificate>>,
}

/// Looks at once, when the CAs change, and else from time to time, until `shutdown`.
pub(crate) async fn keep_watched(store: Store, watched: Watched, shutdown: CancellationToken) {
    let mut changes = watched.authorities.changes();
    loop {
        changes.mark_unchanged();
        look(&store, &watched, Timestamp::now()).await;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
            // `watched` has the sender, so that there is always one.
            Ok(()) = changes.changed() => {}
        }
    }
}

async fn look(store: &Store, watched: &Watched, now: Timestamp) {
    let served = watched.served.iter().map(|one| one.life());
    let served: Result<Vec<Life>, CaError> = served.collect();
    let authority = first_to_end(&watched.authorities);
    let (served, authority) = match (served, authority) {
        (Ok(served), Ok(Some(authority))) => (served, authority),
        (Ok(_), Ok(None)) => return,
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "the life of a certificate cannot be read");
            return;
        }
    };
    let (arn, now_ms) = (watched.control_arn.clone(), now.as_millisecond());
    let warn = move |rows: &Transaction<'_>| {
        events::warn_of_control(rows, &arn, (&served, authority), now_ms)
    };
    let warned: Result<(), StoreError> = store.commit(warn).await;
    if let Err(error) = warned {
        tracing::error!(%error, "a warning about certificates cannot be kept; trying again later");
    }
}

/// The CA whose life ends first of those that are trusted: control does not start with one that has
/// ended, and the old one counts until the last step of a rotation.
fn first_to_end(authorities: &Authorities) -> Result<Option<Life>, CaError> {
    let trusted = authorities.trusted();
    let lives = trusted
        .certificates()
        .map(|certificate| life_of(certificate));
    let lives: Vec<Life> = lives.collect::<Result<_, _>>()?;
    Ok(lives.into_iter().min_by_key(|life| life.until_ms))
}

/// The life of a certificate in DER.
///
/// # Errors
/// [`CaError::Request`] if it cannot be parsed.
pub(crate) fn life_of(der: &[u8]) -> Result<Life, CaError> {
    let facts = CertificateFacts::of(der)?;
    Ok(Life {
        from_ms: facts.not_before.as_millisecond(),
        until_ms: facts.not_after.as_millisecond(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::Authority;
    use crate::records::{Announced, AuthorityRotation, WarningKind};
    use crate::state::State;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[tokio::test]
    async fn the_warning_is_of_the_ca_that_there_is_now() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path(), now()).unwrap();
        let authorities = state.authorities(now()).await.unwrap();
        let watched = Watched {
            control_arn: "control".to_owned(),
            authorities: authorities.clone(),
            served: Vec::new(),
        };
        let warnings = async |at| {
            look(&state.store, &watched, at).await;
            let row = state.store.read(|rows| rows.get::<Announced>("control"));
            let row: Result<_, StoreError> = row.await;
            row.unwrap()
                .map_or_else(Vec::new, |row| row.record.warnings)
        };
        let late = now() + DAY * 3_600;
        assert_eq!(warnings(now()).await, []);
        assert_eq!(warnings(late).await, [WarningKind::AuthorityExpiring]);
        let (key, pem) = Authority::generate(late).unwrap();
        let rotation = AuthorityRotation::introduce(&state.sealer, &key, pem.clone(), late);
        let rotation = rotation.unwrap();
        let begun = state.store.commit(move |rows| rows.insert(&rotation));
        begun.await.unwrap();
        authorities.look(late).await.unwrap();
        let still = warnings(late).await;
        assert_eq!(
            still,
            [WarningKind::AuthorityExpiring],
            "it is not forgotten"
        );
        let next = Authority::of_pem(directory.path(), &key, &pem, late).unwrap();
        next.put_in_place(&key).unwrap();
        authorities.look(late).await.unwrap();
        assert_eq!(warnings(late).await, []);
    }
}
