//! Opens ClickHouse, as a sink of the stream and as the store of the API.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use netcrab_api::{ApiConfig, ClickHouseStore, InsightStore, StoreKind};
use netcrab_pipeline::config::Config;
use netcrab_sinks::clickhouse::ClickHouse;

/// ClickHouse with its tables created, where it is configured.
pub(in crate::commands) async fn clickhouse(config: &Config) -> Result<Option<ClickHouse>> {
    if config.clickhouse.hosts.is_empty() { Ok(None) } else { Ok(Some(prepared(config).await?)) }
}

/// ClickHouse with its tables created.
///
/// # Errors
/// Where it is not configured, with the setting to make; where the server refuses.
pub(in crate::commands) async fn prepared(config: &Config) -> Result<ClickHouse> {
    let server = ClickHouse::new(&config.clickhouse)?;
    server.prepare().await?;
    Ok(server)
}

/// The store of the API in ClickHouse, where `api.store` says so.
pub(in crate::commands) async fn clickhouse_store(
    api: &ApiConfig,
    config: &Config,
) -> Result<Option<Arc<dyn InsightStore>>> {
    if api.store != StoreKind::Clickhouse {
        return Ok(None);
    }
    let server = prepared(config).await.context("`api.store` is \"clickhouse\"")?;
    Ok(Some(Arc::new(ClickHouseStore::open(server).await)))
}
