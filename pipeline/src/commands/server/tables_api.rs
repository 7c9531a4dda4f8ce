//! Serves the API over tables that another process writes.

use std::sync::Arc;

use anyhow::Result;
use netcrab_api::open_sessions::{OpenSessionsView, StoreWithOpenSessions};
use netcrab_api::{ApiConfig, AppState, Companion, DeltaLimits, DeltaStore, InsightStore, Server};
use netcrab_pipeline::stream::open_sessions::feed;

use super::signals::stop_signal;

/// Serves until Ctrl-C or SIGTERM, then lets open requests finish.
pub(in crate::commands) async fn serve(api: ApiConfig, tables: &str) -> Result<()> {
    serve_tables(api, tables, None, None, stop_signal()).await
}

/// Serves the tables, and the open sessions that `netcrab process` feeds, until `shutdown`.
pub(in crate::commands) async fn serve_tables(
    api: ApiConfig,
    tables: &str,
    clickhouse: Option<Arc<dyn InsightStore>>,
    companion: Option<Arc<dyn Companion>>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let sink = crate::commands::sink(tables)?;
    let folder = crate::commands::folder(&sink).await?;
    let store = Arc::new(DeltaStore::open_url(sink.root(), DeltaLimits::default()).await?);
    let live = Arc::new(OpenSessionsView::new(usize::MAX));
    let following = tokio::spawn(feed::follow(folder, Arc::clone(&live), Arc::clone(&store)));
    let state = AppState::new(&api, Arc::new(StoreWithOpenSessions::new(clickhouse.unwrap_or(store), live)))?;
    if let Some(companion) = companion {
        state.accompany(companion);
    }
    let served = Server::bind(&api, state).await?.run(shutdown).await;
    following.abort();
    Ok(served?)
}
