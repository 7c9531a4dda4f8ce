//! Rebuilds a shard whose state, tables and bus are not of one history: `netcrab stream repair`.
//!
//!     events_raw ─▶ chain of the batch ─▶ all derived tables of the shard ─┐
//!     bus        ─▶ first offset whose event is not in events_raw          ├─▶ epoch n+1 ─▶ tables, state
//!     bus        ─▶ entries that are no events, and that rejects lacks     ┘
//!
//! events_raw has every event that the stream has read, so the other tables follow from it, whatever epochs they lack.
//! All sessions are closed, as at the end of a stream. A later event that may belong to one of them is late, and a
//! repair of late events opens it again ([`super::repair`]); so the tables become those of a batch over all events.
//!
//! The result is an epoch like any other, numbered after all that state and tables know: killed before its commit it
//! has changed nothing, after it the next start applies it.
//!
//! **Retention.** Where events have expired, the sessions of those dates stay as they are, and so do tables without
//! dates, for they count those sessions too. Sessions of the later dates are numbered from 0 again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use netcrab_bus::{Fault, ShardAssignment};
use netcrab_operators::chain::{self, DERIVED};
use netcrab_operators::rules::Rules;
use netcrab_operators::session::{DAY_MS, day_of};
use netcrab_operators::sessionize::batch::Sizes;
use netcrab_operators::sessionize::streaming::OpenSessions;
use netcrab_schema::Table;
use netcrab_schema::arrow::{event_in_flight, in_flight_type};
use netcrab_schema::events::EVENT;
use netcrab_schema::session_key::session_or_user_sql;
use netcrab_schema::tables::{EVENTS_RAW, FACT_SESSIONS, REJECTS};
use netcrab_sinks::{RunId, StagedFile, TableChange};
use xxhash_rust::xxh3::xxh3_128;

use super::context::StreamContext;
use super::maintenance_context::MaintenanceContext;
use super::shard::apply::{apply, sync};
use super::shard::check::stored_changes;
use super::shard::epoch::{StepTimer, digest_of_rules, last_event, lost, rejects};
use super::table_files::TableFiles;
use crate::checkpoints::Checkpoints;
use crate::checkpoints::folder::Folder;
use crate::checkpoints::manifest::{FORMAT, LateKeys, Manifest, NO_WATERMARK};
use crate::error::{Error, Result};
use crate::plans::resources::ACTIONS_MAX;
use crate::plans::staging::{Staging, stage_all};
use crate::plans::table_order::in_table_order;

/// Bytes of the packed events of a shard that stay in memory; what is more spills.
const MEMORY_BYTES: usize = 192 << 20;

/// How long it may take until this process owns all shards.
const OWNERSHIP: Duration = Duration::from_secs(15);

/// What was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The shard.
    pub shard: u32,
    /// The epoch that holds the result.
    pub epoch: u64,
    /// Events of the shard in events_raw.
    pub events: u64,
    /// The offset of the bus from which the stream goes on.
    pub next: u64,
    /// Offsets after it that wait on the bus.
    pub waiting: u64,
}

/// Rebuilds all shards of the bus, one after the other; `rebuilt` is told of each.
///
/// # Errors
/// [`Error::StreamRuns`] where others work on the shards; otherwise as [`rebuild`].
pub async fn rebuild_all(
    context: &Arc<StreamContext>,
    rules: &Arc<Rules>,
    mut rebuilt: impl FnMut(Rebuilt),
) -> Result<()> {
    let mut membership = context.bus.join().await?;
    let mut owned: BTreeSet<u32> = BTreeSet::new();
    let until = tokio::time::Instant::now() + OWNERSHIP;
    while owned.len() < context.bus.shards() as usize {
        match tokio::time::timeout_at(until, membership.changed()).await {
            Err(_) => return Err(Error::StreamRuns),
            Ok(change) => match change? {
                ShardAssignment::Assigned(shards) => owned.extend(shards),
                ShardAssignment::Revoked(handover) => owned.retain(|shard| !handover.shards.contains(shard)),
            },
        }
    }
    for shard in owned {
        rebuilt(rebuild(context, shard, rules).await?);
    }
    Ok(())
}

/// Rebuilds `shard`: its derived tables from events_raw, and its state. No stream may run.
///
/// # Errors
/// Whatever reading events_raw and the bus, and writing the tables and the state gives.
pub async fn rebuild(context: &Arc<StreamContext>, shard: u32, rules: &Arc<Rules>) -> Result<Rebuilt> {
    context.sink.add_columns().await?;
    let folder = Folder::of(&context.sink)?;
    folder.register(&context.task.runtime_env());
    let checkpoints = Checkpoints::open(&folder, shard)?;
    let changed = stored_changes(&context.sink, shard).await?;
    let last_epoch = checkpoints.epochs().await?.last().copied().unwrap_or(0);
    let epoch = 1 + changed.values().map(|change| change.epoch).fold(last_epoch, u64::max);
    let files = TableFiles::read(&context.sink, shard).await?;
    // The same files give the same epoch, so an attempt that was killed leaves nothing that the next does not use.
    let rules_digest = digest_of_rules(rules)?;
    let name = format!("rebuild {shard} {epoch} {rules_digest} {}", names_of(&files));
    let run = RunId::of_shard(shard, xxh3_128(name.as_bytes()));
    let work = MaintenanceContext::new(context, &files, rules, &name, shard)?;

    let stored = StoredEvents::of(&work, context.settings.events_days).await?;
    let place = place_on_bus(context, shard, &work, &stored).await?;
    let mut tables = derived_changes(context, &work, &stored, &run).await?;
    let missing = missing_rejects(&work, &place.faults).await?;
    if !missing.is_empty() {
        let added = work.stage(&REJECTS, work.session.read_batch(rejects(&missing)?)?, "rejects").await?;
        tables.insert(REJECTS.name.to_owned(), TableChange { added, ..TableChange::default() });
    }
    sync(context, &tables).await?;

    let mut open = OpenSessions::new(event_in_flight().fields(), rules.sessionize.clone(), ACTIONS_MAX)?;
    // Before this, an event may belong to a session that is closed now.
    let forgotten_ms = stored.latest_ms.saturating_add(rules.sessionize.gap_ms).saturating_add(1);
    open.forget(forgotten_ms);
    let draft = checkpoints.draft(|file| open.write(file))?;
    let state = checkpoints.publish(draft, "state", epoch, &run).await?;
    let manifest = Manifest {
        format: FORMAT,
        shard,
        epoch,
        parent: String::new(),
        from: place.next,
        to: place.next,
        events: 0,
        watermark_ms: i64::MAX,
        latest_ms: stored.latest_ms,
        forgotten_ms,
        state: Some(state),
        reopened: None,
        late: LateKeys::new(),
        late_before: LateKeys::new(),
        repairing_before: LateKeys::new(),
        repair_begins: false,
        repaired: false,
        tables,
        changed: Some(changed),
        last_event: place.last_event,
        lost: lost(&place.faults),
        rules: rules_digest,
        rules_since_ms: NO_WATERMARK,
    };
    let bytes = manifest.to_bytes()?;
    checkpoints.commit(epoch, &bytes).await?;
    apply(context, &checkpoints, &manifest, &bytes, &mut StepTimer::start()).await?;
    checkpoints.delete_before(epoch).await?;
    let waiting = place.end - place.next;
    Ok(Rebuilt { shard, epoch, events: stored.events, next: place.next, waiting })
}

/// The names of all files, digested.
fn names_of(files: &TableFiles) -> String {
    let names = files.all().flat_map(|(_, _, parts)| parts).map(|part| part.path.as_str());
    crate::checkpoints::manifest::digest(names.collect::<Vec<_>>().join("\n").as_bytes())
}

/// The events of the shard in events_raw.
struct StoredEvents {
    parts: Vec<StagedFile>,
    events: u64,
    /// The ts of the latest, ms; [`NO_WATERMARK`] without events.
    latest_ms: i64,
    /// The first date of which all events are there; `None` where none has expired.
    whole_since: Option<i32>,
}

impl StoredEvents {
    async fn of(work: &MaintenanceContext<'_>, events_days: u32) -> Result<Self> {
        let parts: Vec<StagedFile> = work.files.of(&EVENTS_RAW).flat_map(|(_, parts)| parts).cloned().collect();
        let events = parts.iter().map(|part| part.rows).sum();
        let mut latest_ms = NO_WATERMARK;
        if let Some(rows) = work.rows(&EVENTS_RAW, &parts.iter().collect::<Vec<_>>()).await? {
            let latest = rows.aggregate(Vec::new(), vec![max(col("ts")).alias("latest")])?.collect().await?;
            let latest = latest.first().and_then(|batch| {
                let latest = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
                (latest.len() > latest.null_count()).then(|| latest.value(0).div_euclid(1000))
            });
            latest_ms = latest.unwrap_or(NO_WATERMARK);
        }
        let first_raw = parts.iter().filter_map(|part| part.date).min().unwrap_or(i32::MAX);
        let first_kept = day_of(latest_ms.max(0)).saturating_sub(i32::try_from(events_days).unwrap_or(i32::MAX));
        let whole_since = if events_days > 0 { first_raw.max(first_kept) } else { first_raw };
        let first_fact = work.files.of(&FACT_SESSIONS).filter_map(|(date, _)| date).min();
        let expired = first_fact.is_some_and(|first_fact| first_fact < whole_since);
        Ok(Self { parts, events, latest_ms, whole_since: expired.then_some(whole_since) })
    }

    /// The events from which sessions are made: all, without those of sessions that stay as they are.
    async fn to_derive_from(&self, work: &MaintenanceContext<'_>) -> Result<Option<DataFrame>> {
        let parts = self.parts.iter().filter(|part| self.whole_since.is_none_or(|since| part.date >= Some(since)));
        let Some(events) = work.rows(&EVENTS_RAW, &parts.collect::<Vec<_>>()).await? else { return Ok(None) };
        let Some(since) = self.whole_since else { return Ok(Some(events)) };
        // A session that began before and ended after that date.
        let kept = work.files.of(&FACT_SESSIONS).filter(|(date, _)| date.is_some_and(|date| date < since));
        let kept: Vec<&StagedFile> = kept.flat_map(|(_, parts)| parts).collect();
        let Some(sessions) = work.rows(&FACT_SESSIONS, &kept).await? else { return Ok(Some(events)) };
        work.register("events", events)?;
        work.register("kept", sessions)?;
        let columns: Vec<String> = EVENT.iter().map(|column| format!("e.{}", column.name)).collect();
        let query = format!(
            "SELECT {} FROM events AS e LEFT ANTI JOIN
                 (SELECT org_id, product_id, {} AS owner, max(ended_at) AS until FROM kept AS k
                  WHERE CAST(ended_at AS BIGINT) >= {} GROUP BY 1, 2, 3) AS k
             ON e.org_id = k.org_id AND e.product_id = k.product_id AND {} = k.owner AND e.ts <= k.until",
            columns.join(", "),
            session_or_user_sql("k"),
            i64::from(since) * DAY_MS * 1000,
            session_or_user_sql("e"),
        );
        Ok(Some(work.session.sql(&query).await?))
    }
}

/// What the epoch changes in the derived tables: all files of the shard are replaced, of the dates that can be derived.
async fn derived_changes(
    context: &StreamContext,
    work: &MaintenanceContext<'_>,
    stored: &StoredEvents,
    run: &RunId,
) -> Result<BTreeMap<String, TableChange>> {
    let wanted: Vec<&'static Table> =
        DERIVED.into_iter().filter(|table| stored.whole_since.is_none() || table.by_date).collect();
    let mut changes: BTreeMap<String, TableChange> = BTreeMap::new();
    let Some(events) = stored.to_derive_from(work).await? else { return Ok(changes) };
    let columns = EVENT
        .iter()
        .map(|column| datafusion::logical_expr::cast(col(column.name), in_flight_type(column.kind)).alias(column.name));
    let source = events.select(columns.collect::<Vec<_>>())?.create_physical_plan().await?;
    let partitions = (stored.events / 65_536).clamp(16, 4096) as usize;
    let sizes = Sizes { partitions, memory_max: MEMORY_BYTES, actions_max: ACTIONS_MAX };
    let plans = chain::plans(source, work.rules, sizes, &wanted)?;
    let plans = plans.into_iter().map(|(table, plan)| Ok::<_, Error>((table, in_table_order(table, plan)?)));
    let plans = plans.collect::<Result<Vec<(_, Arc<dyn ExecutionPlan>)>>>()?;
    let mut staging = Staging { sink: &context.sink, staged: Vec::new() };
    stage_all(&context.sink, &plans, &work.session.task_ctx(), &|_: &Table| run, &mut staging).await?;
    for (table, staged) in staging.staged {
        changes.entry(table.name.to_owned()).or_default().added = staged.files;
    }
    for &table in &wanted {
        let replaced =
            work.files.of(table).filter(|(date, _)| stored.whole_since.is_none_or(|since| *date >= Some(since)));
        let replaced = replaced.flat_map(|(_, parts)| parts).map(|part| part.path.clone());
        changes.entry(table.name.to_owned()).or_default().removed = replaced.collect();
    }
    Ok(changes)
}

/// Where the stream goes on.
struct PlaceOnBus {
    next: u64,
    end: u64,
    last_event: Option<String>,
    /// Entries before `next` that are no events.
    faults: Vec<Fault>,
}

/// Finds the first offset whose event is not in events_raw.
async fn place_on_bus(
    context: &StreamContext,
    shard: u32,
    work: &MaintenanceContext<'_>,
    stored: &StoredEvents,
) -> Result<PlaceOnBus> {
    let (bus, bytes_max) = (context.bus.as_ref(), context.settings.epoch_bytes_max);
    let bounds = bus.bounds(shard).await?;
    let mut unknown: HashSet<u128> = HashSet::new();
    let mut at = bounds.start;
    while at < bounds.end {
        let fetched = bus.read(shard, at, Some(bounds.end), bytes_max).await?;
        for batch in &fetched.batches {
            unknown.extend(event_hashes(batch)?);
        }
        if fetched.next == at {
            break;
        }
        at = fetched.next;
    }
    if let Some(rows) = work.rows(&EVENTS_RAW, &stored.parts.iter().collect::<Vec<_>>()).await?
        && !unknown.is_empty()
    {
        let mut rows = rows.select_columns(&["org_id", "event_id"])?.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            for hash in event_hashes(&batch?)? {
                unknown.remove(&hash);
            }
        }
    }
    let (mut at, mut last, mut faults) = (bounds.start, None, Vec::new());
    while at < bounds.end {
        // The range with the first such event is halved until it is the first offset.
        let mut to = bounds.end;
        let known = loop {
            let fetched = bus.read(shard, at, Some(to), bytes_max).await?;
            let mut hashes =
                fetched.batches.iter().map(event_hashes).collect::<Result<Vec<_>>>()?.into_iter().flatten();
            if !hashes.any(|hash| unknown.contains(&hash)) {
                break Some(fetched);
            }
            if to - at <= 1 || fetched.next <= at + 1 {
                break None;
            }
            to = at + (fetched.next.min(to) - at) / 2;
        };
        let Some(known) = known.filter(|known| known.next > at) else { break };
        last = last_event(&known)?.or(last);
        faults.extend(known.faults);
        at = known.next;
    }
    Ok(PlaceOnBus { next: at, end: bounds.end, last_event: last, faults })
}

/// The hashes of the identities of events: the organisation and the event id.
fn event_hashes(batch: &RecordBatch) -> Result<Vec<u128>> {
    let text = |name: &str| -> Result<_> {
        let column = batch.column_by_name(name).ok_or_else(|| Error::no_column(name))?;
        Ok(arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)?)
    };
    let (orgs, ids) = (text("org_id")?, text("event_id")?);
    let (orgs, ids) = (orgs.as_string::<i32>(), ids.as_string::<i32>());
    let hash = |row: usize| xxh3_128(format!("{}\n{}", orgs.value(row), ids.value(row)).as_bytes());
    Ok((0..batch.num_rows()).map(hash).collect())
}

/// Those of `faults` that the table rejects lacks.
async fn missing_rejects(work: &MaintenanceContext<'_>, faults: &[Fault]) -> Result<Vec<Fault>> {
    let Some(first) = faults.first() else { return Ok(Vec::new()) };
    let parts: Vec<&StagedFile> = work.files.of(&REJECTS).flat_map(|(_, parts)| parts).collect();
    let mut known: HashSet<i64> = HashSet::new();
    if let Some(rows) = work.rows(&REJECTS, &parts).await? {
        let of_shard = col("file").eq(lit(format!("bus/shard-{:04}", first.shard)));
        for batch in rows.filter(of_shard)?.select_columns(&["line"])?.collect().await? {
            known.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
    }
    let missing = faults.iter().filter(|fault| !known.contains(&(fault.offsets.start as i64)));
    Ok(missing.cloned().collect())
}
