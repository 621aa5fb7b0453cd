//! The address of health and metrics, where one is set.

use std::net::SocketAddr;
use std::sync::Arc;

use datasync_telemetry::{Source, listen};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServeError;
use crate::config::Config;

/// Open, or not wanted.
pub(super) struct Telemetry {
    listener: Option<TcpListener>,
    /// Where it really listens.
    pub(super) address: Option<SocketAddr>,
}

impl Telemetry {
    pub(super) async fn open(config: &Config) -> Result<Self, ServeError> {
        let listener = match config.telemetry_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let address = listener.as_ref().and_then(|open| open.local_addr().ok());
        Ok(Self { listener, address })
    }

    /// Answers from `source` until `shutdown`.
    pub(super) fn serve(
        self,
        source: impl Source,
        tasks: &mut JoinSet<Result<(), ServeError>>,
        shutdown: CancellationToken,
    ) {
        let Some(listener) = self.listener else {
            return;
        };
        tasks.spawn(async move {
            datasync_telemetry::serve(listener, Arc::new(source), shutdown).await;
            Ok(())
        });
    }
}
