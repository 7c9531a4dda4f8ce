//! Retracts sessions from every table: rewrites the files with their rows, and negates what they added to sums.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::{Expr, col, lit};
use netcrab_operators::chain;
use netcrab_schema::Table;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::EVENT;
use netcrab_schema::tables::{
    DIM_TASK_TYPES, EVENTS_SESSIONIZED, FACT_FLOWS, FACT_INCIDENTS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS, FACT_TASKS,
};
use netcrab_sinks::{StagedFile, TableChange, negated_sums};

use super::closed::ClosedSession;
use crate::error::{Error, Result};
use crate::plans::resources::ACTIONS_MAX;
use crate::stream::maintenance_context::{MaintenanceContext, ProductDay, rewritten};

/// Tables with rows of one session each.
const OF_SESSIONS: [&Table; 4] = [&EVENTS_SESSIONIZED, &FACT_SESSIONS, &FACT_INCIDENTS, &FACT_TASKS];

/// Tables that are summed by product and day.
const SUMMED: [&Table; 2] = [&FACT_SCREEN_HOTSPOTS, &FACT_FLOWS];

/// Retracts sessions from every table; the sums of the days in `recomputed` are recomputed.
pub(super) async fn retract(
    context: &MaintenanceContext<'_>,
    retracted: &[&ClosedSession],
    recomputed: &BTreeSet<ProductDay<'_>>,
    changes: &mut BTreeMap<String, TableChange>,
) -> Result<()> {
    let all: Vec<&str> = retracted.iter().map(|closed| closed.session_key.as_str()).collect();
    let touched = rewrite_files(context, retracted, changes).await?;
    if let Some(tasks) = context.rows(&FACT_TASKS, &touched[FACT_TASKS.name]).await? {
        context.register("tasks", rows_of(tasks, &all)?)?;
        let counted = context.session.sql(UNCOUNTED_TASKS).await?;
        let change = changes.entry(DIM_TASK_TYPES.name.to_owned()).or_default();
        change.added.extend(context.stage(&DIM_TASK_TYPES, counted, "uncounted").await?);
    }
    if let Some(events) = context.rows(&EVENTS_SESSIONIZED, &touched[EVENTS_SESSIONIZED.name]).await? {
        let subtracted = retracted.iter().filter(|closed| !recomputed.contains(&closed.day()));
        let subtracted: Vec<&str> = subtracted.map(|closed| closed.session_key.as_str()).collect();
        for (table, rows) in sums(context, rows_of(events, &subtracted)?).await? {
            let rows = rows.iter().map(|rows| negated_sums(table, rows)).collect::<Result<Vec<_>, _>>()?;
            let change = changes.entry(table.name.to_owned()).or_default();
            change.added.extend(context.stage(table, context.session.read_batches(rows)?, "taken out").await?);
        }
    }
    if recomputed.is_empty() { Ok(()) } else { recompute_days(context, &all, recomputed, changes).await }
}

/// Rewrites each file that has rows of the retracted sessions without them; returns these files by table.
async fn rewrite_files<'a>(
    context: &MaintenanceContext<'a>,
    retracted: &[&ClosedSession],
    changes: &mut BTreeMap<String, TableChange>,
) -> Result<BTreeMap<&'static str, Vec<&'a StagedFile>>> {
    let sessions = Arc::new(retracted.iter().map(|closed| closed.session_key.clone()).collect::<HashSet<String>>());
    let dates: BTreeSet<i32> = retracted.iter().map(|closed| closed.date).collect();
    let mut touched: BTreeMap<&str, Vec<&StagedFile>> = BTreeMap::new();
    for table in OF_SESSIONS {
        let touched = touched.entry(table.name).or_default();
        for part in context.files.on(table, &dates) {
            if !context.contains_any(table, part, &sessions).await? {
                continue;
            }
            let change = changes.entry(table.name.to_owned()).or_default();
            change.removed.push(part.path.clone());
            // The remaining rows keep their order.
            let stays = context.filter_file(table, part, &sessions, false).await?;
            change.added.extend(rewritten(context.stage_rows(table, stays, &format!("stays of {}", part.path)).await?));
            if context.needs_deleted_rows {
                let deleted = context.filter_file(table, part, &sessions, true).await?;
                let staged = context.stage_rows(table, deleted, &format!("lost of {}", part.path)).await?;
                change.deleted_rows.extend(staged);
            }
            touched.push(part);
        }
    }
    Ok(touched)
}

/// Recomputes the sums of these days from the events of all sessions but the retracted ones.
async fn recompute_days(
    context: &MaintenanceContext<'_>,
    retracted: &[&str],
    days: &BTreeSet<ProductDay<'_>>,
    changes: &mut BTreeMap<String, TableChange>,
) -> Result<()> {
    let dates: BTreeSet<i32> = days.iter().map(|day| day.2).collect();
    for table in SUMMED {
        let parts = context.files.on(table, &dates);
        let Some(rows) = context.rows(table, &parts).await? else { continue };
        let change = changes.entry(table.name.to_owned()).or_default();
        change.removed.extend(parts.iter().map(|part| part.path.clone()));
        let stays = context.of_days(rows, days.iter().copied(), JoinType::LeftAnti)?;
        change.added.extend(rewritten(context.stage(table, stays, "stays").await?));
        change.recomputed_days.extend(days.iter().map(|day| (day.0.to_owned(), day.1.to_owned(), day.2)));
    }
    let events = context.files.on(&EVENTS_SESSIONIZED, &dates);
    let Some(events) = context.rows(&EVENTS_SESSIONIZED, &events).await? else { return Ok(()) };
    let stay = context.of_days(rows_not_of(events, retracted)?, days.iter().copied(), JoinType::LeftSemi)?;
    for (table, rows) in sums(context, stay).await? {
        let change = changes.entry(table.name.to_owned()).or_default();
        // Part of the name of the staged file, so it stays as it was.
        change.added.extend(context.stage(table, context.session.read_batches(rows)?, "anew").await?);
    }
    Ok(())
}

/// Adds the rows that other epochs added to recomputed days meanwhile: ClickHouse deletes such days whole, so these rows
/// are inserted again.
///
/// # Errors
/// Whatever a query or the sink gives.
pub async fn reinsert_concurrent_rows(
    context: &MaintenanceContext<'_>,
    changes: &mut BTreeMap<String, TableChange>,
) -> Result<()> {
    for table in SUMMED {
        let Some(change) = changes
            .get_mut(table.name)
            .filter(|change| context.needs_deleted_rows && !change.recomputed_days.is_empty())
        else {
            continue;
        };
        let dates: BTreeSet<i32> = change.recomputed_days.iter().map(|day| day.2).collect();
        let mut parts = context.files.on(table, &dates);
        parts.retain(|part| !change.removed.contains(&part.path));
        let Some(rows) = context.rows(table, &parts).await? else { continue };
        let days = change
            .recomputed_days
            .iter()
            .map(|(org_id, product_id, date)| (org_id.as_str(), product_id.as_str(), *date));
        let rows = context.of_days(rows, days, JoinType::LeftSemi)?;
        change.reinserted_rows = context.stage(table, rows, "meanwhile").await?;
    }
    Ok(())
}

/// Negated counts of the tasks of retracted sessions, by type. First and last seen stay.
const UNCOUNTED_TASKS: &str = "
    SELECT org_id, product_id, task_type,
           min(coalesce(started_at, completed_at)) AS first_seen_at,
           max(coalesce(completed_at, started_at)) AS last_seen_at,
           -count(started_at) AS starts,
           -count(completed_at) AS completions
    FROM tasks
    GROUP BY org_id, product_id, task_type";

/// Hotspots and flows of the events of whole sessions: one row for each key.
async fn sums(context: &MaintenanceContext<'_>, events: DataFrame) -> Result<Vec<(&'static Table, Vec<RecordBatch>)>> {
    let columns = EVENT.iter().map(|column| {
        let stored = col(column.name);
        datafusion::logical_expr::cast(stored, in_flight_type(column.kind)).alias(column.name)
    });
    let events = events.select(columns.collect::<Vec<_>>())?;
    let source = events.create_physical_plan().await?;
    let memory_max = 64 << 20;
    let sizes = netcrab_operators::sessionize::batch::Sizes { partitions: 64, memory_max, actions_max: ACTIONS_MAX };
    let plans = chain::plans(source, context.rules, sizes, &SUMMED)?;
    // The plans share one pass, so they run together.
    let collected = plans.into_iter().map(|(table, plan)| async move {
        let rows = datafusion::physical_plan::collect(plan, context.session.task_ctx()).await?;
        Ok::<_, Error>((table, rows))
    });
    futures::future::try_join_all(collected).await
}

/// The rows of these sessions.
fn rows_of(rows: DataFrame, sessions: &[&str]) -> Result<DataFrame> {
    Ok(rows.filter(of_sessions(sessions, false))?)
}

/// The rows of all other sessions.
fn rows_not_of(rows: DataFrame, sessions: &[&str]) -> Result<DataFrame> {
    Ok(rows.filter(of_sessions(sessions, true))?)
}

/// A filter that the scan evaluates, so that no join buffers rows.
fn of_sessions(sessions: &[&str], negated: bool) -> Expr {
    col("session_key").in_list(sessions.iter().map(|session| lit(*session)).collect(), negated)
}
