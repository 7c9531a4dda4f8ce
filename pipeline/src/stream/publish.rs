//! Sends the rows of sessions that an epoch closed to the result topics.
//!
//!     epoch-n.json ─▶ its files of closed sessions ─▶ rows ─▶ events.sessionized, .incidents, .analytics
//!
//! The rows come from the files that the manifest references, so an epoch that is applied again sends the same rows
//! again: consumers receive each row at least once, and deduplicate by its key. A session that a late event opened
//! again is sent again when it closes, with the same key unless its first event changed.

use datafusion::prelude::SessionContext;
use futures::StreamExt;
use netcrab_bus::Results;
use netcrab_schema::Table;
use netcrab_schema::tables::{EVENTS_SESSIONIZED, FACT_INCIDENTS, FACT_SESSIONS, FACT_TASKS};

use super::context::StreamContext;
use super::table_files;
use crate::checkpoints::manifest::Manifest;
use crate::error::Result;

/// The topic of each table. Daily sums have none: what one epoch adds to them says little.
const SENT: [(&Table, Results); 4] = [
    (&EVENTS_SESSIONIZED, Results::Sessionized),
    (&FACT_INCIDENTS, Results::Incidents),
    (&FACT_SESSIONS, Results::Analytics),
    (&FACT_TASKS, Results::Analytics),
];

/// Sends the rows of the sessions that an epoch closed.
pub(super) async fn publish(context: &StreamContext, manifest: &Manifest) -> Result<()> {
    let Some(sink) = &context.results else { return Ok(()) };
    for (table, to) in SENT.into_iter().filter(|(_, to)| sink.sends(*to)) {
        let Some(change) = manifest.tables.get(table.name) else { continue };
        // Rows that compaction or a repair rewrote were sent before.
        let parts: Vec<_> = change.new_files().collect();
        let config = context.task.session_config().clone();
        let session = SessionContext::new_with_config_rt(config, context.task.runtime_env());
        let Some(rows) = table_files::rows(&session, &context.sink, table, &parts).await? else { continue };
        let mut rows = rows.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            sink.publish(to, table.name, &batch?).await?;
        }
    }
    Ok(())
}
