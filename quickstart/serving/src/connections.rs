use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Out of file descriptors, most likely: so long others have time to end.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Takes connections until `shutdown`, each a task, at most `most` at once; more wait in the
/// listener's backlog. What still runs then is returned: dropping it cuts it off.
pub async fn connections<F>(
    listener: TcpListener,
    most: usize,
    shutdown: &CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(most));
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = shutdown.cancelled() => return running,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "TCP_NODELAY");
                }
                let serving = serve(stream, peer);
                running.spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn exchange(client: &mut TcpStream) {
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.unwrap();
    }

    #[tokio::test]
    async fn as_many_are_served_as_there_are_places() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = AtomicUsize::new(0);
        let echo = |mut stream: TcpStream, _| {
            served.fetch_add(1, Ordering::Relaxed);
            async move {
                while let Ok(byte) = stream.read_u8().await {
                    stream.write_all(&[byte]).await.unwrap();
                }
            }
        };
        let clients = async {
            let mut first = TcpStream::connect(address).await.unwrap();
            exchange(&mut first).await;
            let mut second = TcpStream::connect(address).await.unwrap();
            for _ in 0..10 {
                exchange(&mut first).await;
            }
            assert_eq!(served.load(Ordering::Relaxed), 1);
            drop(first);
            exchange(&mut second).await;
            assert_eq!(served.load(Ordering::Relaxed), 2);
            shutdown.cancel();
            second
        };
        let serving = connections(listener, 1, &shutdown, echo);
        let (mut running, second) = tokio::join!(serving, clients);
        drop(second);
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    }
}
