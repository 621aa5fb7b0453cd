//! Looks at the lives of control's own certificates, so that a warning is told before they end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::ca::{Authority, CaError, CertificateFacts};
use crate::events;
use crate::records::Life;
use crate::served_certificate::ServedCertificate;
use crate::store::{Store, StoreError, Transaction};

const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Whose certificates these are.
pub(crate) struct Watched {
    /// As events call this control.
    pub(crate) control_arn: String,
    pub(crate) authority: Arc<Authority>,
    pub(crate) served: Vec<Arc<ServedCertificate>>,
}

/// Looks at once and then from time to time, until `shutdown`.
pub(crate) async fn keep_watched(store: Store, watched: Watched, shutdown: CancellationToken) {
    loop {
        look(&store, &watched, Timestamp::now()).await;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn look(store: &Store, watched: &Watched, now: Timestamp) {
    let served = watched.served.iter().map(|one| one.life());
    let served: Result<Vec<Life>, CaError> = served.collect();
    let authority = life_of(watched.authority.certificate());
    let (served, authority) = match (served, authority) {
        (Ok(served), Ok(authority)) => (served, authority),
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
