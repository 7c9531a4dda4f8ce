//! Listens, serves, and stops without cutting an answer short.

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{Config, Error};
use crate::routes::router;
use crate::state::AppState;
use crate::store::InsightStore;

/// Serves until `shutdown` resolves, then lets open requests finish for at most `drain_ms`.
pub async fn serve(
    config: Config,
    store: Arc<dyn InsightStore>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let drain = Duration::from_millis(config.limits.drain_ms);
    let router = router(AppState::new(&config, store)?);
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|source| Error::Listen { listen, source })?;
    let listen = listener.local_addr().map_err(Error::Serve)?;
    tracing::info!(%listen, "api listens");

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.map_err(Error::Serve),
        () = shutdown => {}
    }
    let _ = stop.send(());
    match tokio::time::timeout(drain, server).await {
        Ok(ended) => ended.map_err(Error::Serve),
        Err(_) => {
            tracing::warn!(drain_ms = drain.as_millis() as u64, "requests were still open and are cut off");
            Ok(())
        }
    }
}
