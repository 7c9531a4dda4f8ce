//! Applies a committed epoch: to the Delta tables, to ClickHouse, to the result topics.
//!
//!     epoch-n.json ─▶ Delta, one transaction a table ─▶ ClickHouse ─▶ result topics ─▶ epoch-n.applied
//!
//! Each step is idempotent: Delta and ClickHouse know the epoch by its position, and a listener of the result topics
//! sees a row at least once. So a restart repeats them all.

use std::collections::BTreeMap;

use netcrab_schema::Table;
use netcrab_schema::tables::EVENTS_RAW;
use netcrab_sinks::{Position, Sink, StagedTable, TableChange};

use super::epoch::StepTimer;
use crate::checkpoints::Checkpoints;
use crate::checkpoints::manifest::{Manifest, history};
use crate::error::{Error, Result};
use crate::stream::context::StreamContext;
use crate::stream::crash_points::{self, Step};
use crate::stream::publish;

/// The table under which ClickHouse stores the last epoch of each shard, for all tables.
pub const POSITION_TABLE: &Table = &EVENTS_RAW;

/// The mark in the transactions of tables that names the [`history`] of the shard.
pub(super) const HISTORY: &str = "history";

/// The name of a shard in the transactions of tables.
pub fn writer(shard: u32) -> String {
    format!("netcrab/shard-{shard:04}")
}

/// Refuses a ClickHouse that lacks epochs whose files may be removed already.
///
/// # Errors
/// [`Error::ClickHouseBehind`], or what the server or the shard's files give.
pub(super) async fn check_clickhouse(context: &StreamContext, shard: u32, checkpoints: &Checkpoints) -> Result<()> {
    let Some(server) = &context.clickhouse else { return Ok(()) };
    let inserted = server.position(POSITION_TABLE, &writer(shard)).await?.unwrap_or(0);
    let applied = checkpoints.last_applied().await?;
    if inserted >= applied as i64 {
        return Ok(());
    }
    Err(Error::ClickHouseBehind { shard, inserted, applied })
}

/// Makes the staged files durable.
pub(in crate::stream) async fn sync(context: &StreamContext, tables: &BTreeMap<String, TableChange>) -> Result<()> {
    for (name, change) in tables {
        let staged = StagedTable { files: change.staged_files().cloned().collect() };
        context.sink.sync(table(name)?, &staged).await?;
    }
    Ok(())
}

/// Applies a committed epoch everywhere and marks it applied; what was applied before is skipped. `bytes` are those of
/// its manifest.
pub(in crate::stream) async fn apply(
    context: &StreamContext,
    checkpoints: &Checkpoints,
    manifest: &Manifest,
    bytes: &[u8],
    timer: &mut StepTimer,
) -> Result<()> {
    let marks = vec![(HISTORY, history(bytes))];
    let position = Position { writer: writer(manifest.shard), number: manifest.epoch as i64, marks };
    for (name, change) in manifest.tables.iter().filter(|(_, change)| !change.is_empty()) {
        crash_points::before(Step::Apply);
        context.sink.apply(table(name)?, &position, change).await?;
        crash_points::after(Step::Apply);
    }
    timer.record(Step::Apply);
    crash_points::before(Step::Insert);
    insert(context, manifest, &position).await?;
    timer.done(Step::Insert);
    crash_points::before(Step::Publish);
    publish::publish(context, manifest).await?;
    timer.done(Step::Publish);
    crash_points::before(Step::Applied);
    checkpoints.mark_applied(manifest.epoch).await?;
    timer.done(Step::Applied);
    Ok(())
}

/// Inserts an epoch into ClickHouse, all tables at once; skips an epoch that the server has.
async fn insert(context: &StreamContext, manifest: &Manifest, position: &Position) -> Result<()> {
    let Some(server) = &context.clickhouse else { return Ok(()) };
    if server.position(POSITION_TABLE, &position.writer).await?.is_some_and(|number| number >= position.number) {
        return Ok(());
    }
    let inserts = manifest.tables.iter().map(|(name, change)| async move {
        server.write(table(name)?, manifest.shard, position, change, &context.sink).await?;
        Ok::<_, Error>(())
    });
    futures::future::try_join_all(inserts).await?;
    server.note(POSITION_TABLE, position).await?;
    Ok(())
}

fn table(name: &str) -> Result<&'static Table> {
    netcrab_schema::by_name(name).ok_or_else(|| Error::UnknownTable { table: name.to_owned() })
}
