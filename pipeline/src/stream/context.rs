//! What all shards of a process share.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use netcrab_bus::{Bus, ResultSink};
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;

use super::open_sessions::feed::OpenSessionFeed;
use crate::config::stream::StreamSettings;

/// The bus, the sinks and the resources of a stream.
pub struct StreamContext {
    /// Where events come from.
    pub bus: Arc<dyn Bus>,
    /// Where results are sent beside the tables, if anywhere.
    pub results: Option<Arc<dyn ResultSink>>,
    /// The Delta tables.
    pub sink: DeltaSink,
    /// The same tables in ClickHouse, where it is configured.
    pub clickhouse: Option<ClickHouse>,
    /// Settings of the stream.
    pub settings: StreamSettings,
    /// Memory and threads of the plans.
    pub task: Arc<TaskContext>,
    /// Who is told of open sessions, if anybody.
    pub feed: Option<Arc<dyn OpenSessionFeed>>,
}
