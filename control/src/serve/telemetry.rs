//! The address of health and metrics, and the collector that metrics are pushed to, where they are set.

use std::net::SocketAddr;
use std::sync::Arc;

use datasync_telemetry::{OtlpSettings, Resource, Source, listen, push_metrics};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServeError;
use crate::config::Config;
use crate::state::control_id;

/// What is wanted; the address is open.
pub(super) struct Telemetry {
    listener: Option<TcpListener>,
    collector: Option<(OtlpSettings, Resource)>,
    /// Where it really listens.
    address: Option<SocketAddr>,
}

impl Telemetry {
    /// `now` is when control was started.
    pub(super) async fn open(config: &Config, now: Timestamp) -> Result<Self, ServeError> {
        let listener = match config.telemetry_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let address = listener.as_ref().and_then(|open| open.local_addr().ok());
        let collector = match &config.otlp {
            Some(settings) => Some((settings.clone(), resource(config, now)?)),
            None => None,
        };
        Ok(Self {
            listener,
            collector,
            address,
        })
    }

    /// Answers and pushes from `source` until `shutdown`; says where it listens.
    pub(super) fn serve(
        self,
        source: impl Source,
        tasks: &mut JoinSet<Result<(), ServeError>>,
        shutdown: CancellationToken,
    ) -> Option<SocketAddr> {
        let source = Arc::new(source);
        if let Some((settings, resource)) = self.collector {
            let (source, shutdown) = (Arc::clone(&source), shutdown.clone());
            tasks.spawn(async move {
                push_metrics(settings, resource, source, shutdown.clone()).await;
                // Control serves on where nothing can be pushed.
                shutdown.cancelled().await;
                Ok(())
            });
        }
        if let Some(listener) = self.listener {
            tasks.spawn(async move {
                datasync_telemetry::serve(listener, source, shutdown).await;
                Ok(())
            });
        }
        self.address
    }
}

fn resource(config: &Config, now: Timestamp) -> Result<Resource, ServeError> {
    Ok(Resource {
        name: "datasync-control",
        version: env!("CARGO_PKG_VERSION"),
        instance_id: control_id(&config.state_dir)?,
        started: now.into(),
    })
}
