//! `netcrab rerun`: recomputes days from events_raw after a rule changed, and reports the difference.
//!
//!     events_raw ─▶ the chain with today's rules ─┬─▶ rows of the requested days ─▶ compared, committed
//!     the table as it stands ─────────────────────┘
//!
//! The whole history is sessionized, so that session numbers and sessions that began the day before come out as in a
//! full run; only the requested days are replaced.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::lit;
use datafusion::prelude::{DataFrame, SessionContext, col};
use jiff::civil::Date;
use netcrab_operators::chain;
use netcrab_operators::rules::Rules;
use netcrab_operators::session::columns_of_facts;
use netcrab_schema::{Table, tables as schema};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Replace, RunId, Sink};
use xxhash_rust::xxh3::Xxh3;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::plans::events_exec::{EventsExec, Rejects, RowCounts};
use crate::plans::resources::{batch_sizes, task_context};
use crate::plans::table_order::in_table_order;
use crate::progress::Progress;
use crate::run::{refuse_streamed_tables, stored_events};
use crate::tables;

/// The tables that depend on rules; events and dimensions do not.
const RECOMPUTED: [&Table; 5] = [
    &schema::FACT_SESSIONS,
    &schema::FACT_INCIDENTS,
    &schema::FACT_TASKS,
    &schema::FACT_SCREEN_HOTSPOTS,
    &schema::FACT_FLOWS,
];

/// What to recompute.
#[derive(Debug, Clone)]
pub struct Scope {
    /// First day.
    pub from: Date,
    /// Last day, included.
    pub to: Date,
    /// Only this organisation.
    pub org: Option<String>,
    /// Only this product.
    pub product: Option<String>,
}

/// How a re-run changes one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    /// The table.
    pub table: &'static str,
    /// Rows of the scope before and after.
    pub rows: (i64, i64),
    /// Rows whose key is new.
    pub added: i64,
    /// Rows whose key is gone.
    pub removed: i64,
    /// Rows whose key stayed and whose values changed.
    pub changed: i64,
}

/// Recomputes the scope and reports how each table changes; writes nothing where `dry_run`.
///
/// # Errors
/// [`Error::DaysSwapped`], [`Error::NoStoredEvents`] or [`Error::FedByStream`]; otherwise whatever a plan or the sink gives.
pub async fn rerun(
    sink: &DeltaSink,
    config: &Config,
    rules: Rules,
    scope: &Scope,
    dry_run: bool,
    progress: Arc<Progress>,
) -> Result<Vec<TableDifference>> {
    if scope.to < scope.from {
        return Err(Error::DaysSwapped { from: scope.from, to: scope.to });
    }
    if !dry_run {
        refuse_streamed_tables(sink).await?;
    }
    let Some(source) = stored_events(sink, config).await? else {
        return Err(Error::NoStoredEvents);
    };
    let days = (days_since_1970(scope.from), days_since_1970(scope.to));
    let run = run_id(sink, &rules, scope).await?;
    let rejects = Arc::new(Rejects::new(0));
    let sizes = batch_sizes(source.rows_hint(), config);
    let threads = config.run.threads();
    let counts = Arc::new(RowCounts::default());
    let leaf = EventsExec::new(Arc::new(source), threads, Some(columns_of_facts()), progress, counts, rejects);
    let plans = chain::plans(Arc::new(leaf), &Arc::new(rules), sizes, &RECOMPUTED)?;
    let context = task_context(config)?;
    let computed = plans.into_iter().map(|(table, plan)| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Error>((table, datafusion::physical_plan::collect(plan, context).await?)) }
    });
    let computed = futures::future::try_join_all(computed).await?;
    let session = tables::session(sink, &config.run).await?;
    let mut changes = Vec::new();
    let mut staged = Vec::new();
    for (table, batches) in computed {
        let fresh = recomputed(&session, table, batches)?;
        let fresh = scope.of(days, fresh)?;
        let Ok(before) = session.table(table.name).await else { continue };
        changes.push(compare(table, scope.of(days, before.clone())?, fresh.clone()).await?);
        if !dry_run {
            let kept = before.filter(in_days(days).and(scope.owner().unwrap_or(lit(true)).is_not_true()))?;
            let rows = fresh.union(to_store(table, kept)?)?;
            let plan = in_table_order(table, rows.create_physical_plan().await?)?;
            staged.push((table, sink.stage(table, &run, plan.execute(0, session.task_ctx())?).await?));
        }
    }
    for (table, staged) in &staged {
        sink.commit(table, &run, staged, Replace::Dates(days.0, days.1)).await?;
    }
    Ok(changes)
}

impl Scope {
    /// The condition on organisation and product, where there is one.
    fn owner(&self) -> Option<datafusion::logical_expr::Expr> {
        let org = self.org.as_ref().map(|org| col("org_id").eq(lit(org.clone())));
        let product = self.product.as_ref().map(|product| col("product_id").eq(lit(product.clone())));
        match (org, product) {
            (Some(org), Some(product)) => Some(org.and(product)),
            (org, product) => org.or(product),
        }
    }

    /// The rows of `frame` in the scope.
    fn of(&self, days: (i32, i32), frame: DataFrame) -> Result<DataFrame> {
        let frame = frame.filter(in_days(days))?;
        Ok(match self.owner() {
            Some(owner) => frame.filter(owner)?,
            None => frame,
        })
    }
}

fn in_days(days: (i32, i32)) -> datafusion::logical_expr::Expr {
    let day = |day| lit(ScalarValue::Date32(Some(day)));
    col("date").between(day(days.0), day(days.1))
}

/// Recomputed rows as a data frame.
fn recomputed(session: &SessionContext, table: &'static Table, batches: Vec<RecordBatch>) -> Result<DataFrame> {
    let rows = MemTable::try_new(table.to_store(), vec![batches])?;
    Ok(session.read_table(Arc::new(rows))?)
}

/// Stored rows, cast to the types of recomputed rows.
fn to_store(table: &'static Table, stored: DataFrame) -> Result<DataFrame> {
    let schema = table.to_store();
    let columns = schema.fields().iter();
    let columns = columns
        .map(|field| datafusion::logical_expr::cast(col(field.name()), field.data_type().clone()).alias(field.name()));
    Ok(stored.select(columns.collect::<Vec<_>>())?)
}

/// Counts the rows that differ between two states of a table, by its key.
async fn compare(table: &'static Table, before: DataFrame, after: DataFrame) -> Result<TableDifference> {
    let session = SessionContext::new();
    session.register_table("before", to_store(table, before)?.into_view())?;
    session.register_table("after", after.into_view())?;
    let row = session.sql(&comparison(table)).await?.collect().await?;
    let row = row.first().ok_or_else(|| Error::defect("a count without a row"))?;
    let number = |column: usize| row.column(column).as_primitive::<Int64Type>().value(0);
    Ok(TableDifference {
        table: table.name,
        rows: (number(0), number(1)),
        added: number(2),
        removed: number(3),
        changed: number(4),
    })
}

fn comparison(table: &Table) -> String {
    let key = table.key.iter().map(|name| format!("b.{name} = a.{name}")).collect::<Vec<_>>().join(" AND ");
    let mut differs = String::new();
    for column in table.columns().filter(|column| !table.key.contains(&column.name) && column.name != "row_version") {
        let name = column.name;
        let _ = match column.kind {
            netcrab_schema::Type::TextList => {
                write!(differs, "array_to_string(b.{name}, ',') IS DISTINCT FROM array_to_string(a.{name}, ','), ")
            }
            _ => write!(differs, "b.{name} IS DISTINCT FROM a.{name}, "),
        };
    }
    let first = table.key[0];
    format!(
        "SELECT count(b.{first}), count(a.{first}), \
         count(*) FILTER (WHERE b.{first} IS NULL), count(*) FILTER (WHERE a.{first} IS NULL), \
         count(*) FILTER (WHERE b.{first} IS NOT NULL AND a.{first} IS NOT NULL AND array_has(make_array({differs}false), true)) \
         FROM before b FULL JOIN after a ON {key}"
    )
}

fn days_since_1970(day: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    day.since(epoch).map_or(0, |span| span.get_days())
}

/// Identifies a re-run by scope, rules and the table versions it starts from. So going back to old rules is a new run.
async fn run_id(sink: &DeltaSink, rules: &Rules, scope: &Scope) -> Result<RunId> {
    let mut hasher = Xxh3::new();
    hasher.update(serde_json::to_string(rules)?.as_bytes());
    hasher.update(format!("{scope:?}").as_bytes());
    for table in RECOMPUTED {
        let version = sink.open(table).await?.and_then(|table| table.version()).unwrap_or_default();
        hasher.update(&(version as i64).to_le_bytes());
    }
    Ok(RunId::new(hasher.digest128()))
}
