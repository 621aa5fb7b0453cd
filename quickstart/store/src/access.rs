//! Who may call, and the point where scripted faults strike.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, Faults};

/// The access keys of the store.
pub(crate) struct AccessKeys(HashMap<String, SecretKey>);

impl AccessKeys {
    pub(crate) fn new(pairs: &[(String, String)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(id, key)| (id.clone(), SecretKey::from(key.as_str())))
                .collect(),
        )
    }
}

#[async_trait::async_trait]
impl S3Auth for AccessKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.get(access_key).cloned().ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )
        })
    }
}

/// What a fault asks of the connection and of the operation; one per request, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestControl {
    /// Cancelled to close the connection.
    pub(crate) connection: CancellationToken,
    lose_reply: Arc<AtomicBool>,
    flip_bit: Arc<AtomicBool>,
}

impl RequestControl {
    pub(crate) fn new(connection: CancellationToken) -> Self {
        Self {
            connection,
            lose_reply: Arc::default(),
            flip_bit: Arc::default(),
        }
    }

    pub(crate) fn loses_reply(&self) -> bool {
        self.lose_reply.load(Ordering::Relaxed)
    }

    /// Whether the content that this request stored is to be damaged.
    pub(crate) fn flips_bit(extensions: &http::Extensions) -> bool {
        extensions
            .get::<Self>()
            .is_some_and(|c| c.flip_bit.load(Ordering::Relaxed))
    }
}

/// Refuses unsigned requests and lets faults strike.
pub(crate) struct Gate(pub(crate) Option<Arc<Faults>>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() {
            return Err(s3_error!(
                AccessDenied,
                "Access Denied: the request is not signed."
            ));
        }
        let Some(faults) = &self.0 else { return Ok(()) };
        let key = cx.s3_path().get_object_key().unwrap_or_default();
        let Some(fault) = faults.meet(cx.s3_op().name(), key) else {
            return Ok(());
        };
        let control = cx.extensions_mut().get::<RequestControl>().cloned();
        match fault {
            Fault::SlowDown => return Err(s3_error!(SlowDown, "Please reduce your request rate.")),
            Fault::InternalError => {
                return Err(s3_error!(
                    InternalError,
                    "We encountered an internal error. Please try again."
                ));
            }
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Hang => std::future::pending().await,
            Fault::Drop => {
                if let Some(control) = control {
                    control.connection.cancel();
                }
                std::future::pending().await
            }
            Fault::LoseReply => {
                if let Some(control) = control {
                    control.lose_reply.store(true, Ordering::Relaxed);
                }
            }
            Fault::FlipBit => {
                if let Some(control) = control {
                    control.flip_bit.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }
}
