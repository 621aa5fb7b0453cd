use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A server that is a program: it logs to stderr, says on stdout where it listens once it does,
/// and ends by SIGTERM or SIGINT.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What goes before the address in the line that is printed, such as `http://`.
    pub scheme: &'static str,
    /// What is logged where `RUST_LOG` does not say.
    pub filter: &'static str,
}

impl Program {
    /// Serves until a signal, which cancels the token that `serve` gets; its own error is logged.
    pub async fn run<F>(self, serve: impl FnOnce(TcpListener, CancellationToken) -> F) -> ExitCode
    where
        F: Future<Output = io::Result<()>>,
    {
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(self.filter));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .init();
        match self.serve(serve).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("the server stopped: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn serve<F>(
        self,
        serve: impl FnOnce(TcpListener, CancellationToken) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            let text = format!("cannot listen on {}: {error}", self.listen);
            io::Error::new(error.kind(), text)
        })?;
        let address = listener.local_addr()?;
        let mut terminate = signal(SignalKind::terminate())?;
        writeln!(io::stdout(), "listening on {}{address}", self.scheme)?;
        let shutdown = CancellationToken::new();
        let mut serving = std::pin::pin!(serve(listener, shutdown.clone()));
        tokio::select! {
            ended = &mut serving => return ended,
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        shutdown.cancel();
        serving.await
    }
}
