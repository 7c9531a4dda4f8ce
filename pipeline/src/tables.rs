//! The Delta tables of a folder as a DataFusion session.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use netcrab_schema::Table;
use netcrab_sinks::delta::DeltaSink;
use url::Url;

use crate::config::RunSettings;
use crate::error::{Error, Result};
use crate::plans::resources::runtime;

/// The address of a folder of tables: a path or a URL.
///
/// # Errors
/// [`Error::Address`] where `tables` is neither.
pub fn address(tables: &str) -> Result<Url> {
    type Cause = Box<dyn std::error::Error + Send + Sync>;
    let refuse = |expected, source: Option<Cause>| Error::Address { address: tables.to_owned(), expected, source };
    if tables.contains("://") {
        netcrab_sinks::s3::register(
            |uri, bucket| netcrab_sources::s3_store(uri, bucket).map_err(Into::into),
            netcrab_sources::store_hint,
        );
        let folder = format!("{}/", tables.trim_end_matches('/'));
        let expected = "an address of tables; give a folder or a URL";
        return Url::parse(&folder).map_err(|error| refuse(expected, Some(error.into())));
    }
    let path = std::path::absolute(Path::new(tables)).map_err(|error| refuse("a folder", Some(error.into())))?;
    Url::from_directory_path(&path).map_err(|()| refuse("a folder", None))
}

/// Settings of sessions over the tables.
pub fn settings(run: &RunSettings) -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(run.threads())
        .with_sort_spill_reservation_bytes((run.memory_mib << 20) / 128)
        .with_information_schema(true)
}

/// A DataFusion session over every table that exists in the folder of `sink`.
///
/// # Errors
/// [`Error::Sink`] where a Delta log cannot be read; [`Error::SpillFolder`].
pub async fn session(sink: &DeltaSink, run: &RunSettings) -> Result<SessionContext> {
    session_with(settings(run), sink, run).await
}

/// The same, with other settings.
///
/// # Errors
/// [`Error::Sink`] where a Delta log cannot be read; [`Error::SpillFolder`].
pub async fn session_with(settings: SessionConfig, sink: &DeltaSink, run: &RunSettings) -> Result<SessionContext> {
    let state = SessionStateBuilder::new_with_default_features().with_config(settings).with_runtime_env(runtime(run)?);
    let state = state.build();
    // A Delta scan of partition columns alone takes a limit upon itself and does not keep it (deltalake 1.1,
    // `DeltaScanMetaExec`).
    let rules = state.physical_optimizers().iter().filter(|rule| rule.name() != "LimitPushdown").cloned().collect();
    let state = SessionStateBuilder::from(state).with_physical_optimizer_rules(rules).build();
    let context = SessionContext::new_with_state(state);
    for table in netcrab_schema::all_tables() {
        register(&context, sink, table).await?;
    }
    Ok(context)
}

async fn register(context: &SessionContext, sink: &DeltaSink, table: &'static Table) -> Result<()> {
    if let Some(opened) = sink.open(table).await? {
        let provider = opened.table_provider().with_session(Arc::new(context.state())).await?;
        context.register_table(table.name, provider)?;
    }
    Ok(())
}
