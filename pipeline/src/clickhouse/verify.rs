//! Compares the rows of the Delta tables with those in ClickHouse, by table and day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use futures::StreamExt;
use netcrab_schema::arrow::at_rest_type;
use netcrab_schema::{Engine, Table, Type};
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::RunSettings;
use crate::error::{Error, Result};

/// A day whose rows differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The day; empty where the table has none.
    pub day: String,
    /// Rows in Delta.
    pub delta: u64,
    /// Rows in ClickHouse.
    pub clickhouse: u64,
}

/// The result of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// Rows in Delta.
    pub rows: u64,
    /// Days compared.
    pub days: u64,
    /// Days whose rows differ.
    pub differences: Vec<Difference>,
}

/// For each day the number of rows and the sum of their hashes.
type DayDigests = BTreeMap<Option<i32>, (u64, u64)>;

/// Compares a table by day: every column of every row, in any order.
///
/// # Errors
/// Whatever reading either side gives.
pub async fn verify(
    table: &'static Table,
    sink: &DeltaSink,
    run: &RunSettings,
    server: &ClickHouse,
) -> Result<Compared> {
    let mut delta = DayDigests::new();
    let session = crate::tables::session(sink, run).await?;
    if session.table_exist(table.name)? {
        let mut rows = session.sql(&table.folded(table.name)).await?.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            add(table, &batch?, &mut delta)?;
        }
    }
    let mut there = DayDigests::new();
    server.each_batch(&format!("SELECT * FROM {}", table.name), |batch| add(table, batch, &mut there)).await??;
    let days: BTreeSet<Option<i32>> = delta.keys().chain(there.keys()).copied().collect();
    let mut compared = Compared { days: days.len() as u64, ..Compared::default() };
    for day in days {
        let (ours, theirs) =
            (delta.get(&day).copied().unwrap_or_default(), there.get(&day).copied().unwrap_or_default());
        compared.rows += ours.0;
        if ours != theirs {
            let named = day.and_then(arrow::temporal_conversions::date32_to_datetime);
            compared.differences.push(Difference {
                table: table.name,
                day: named.map(|day| day.date().to_string()).unwrap_or_default(),
                delta: ours.0,
                clickhouse: theirs.0,
            });
        }
    }
    Ok(compared)
}

/// A sum of scores without the digits that depend on the order of addition. Sums below 4096 are exact: docs/decisions/0004.
fn rounded_sum(sum: f64) -> f64 {
    if sum.abs() < 4096.0 { sum } else { (sum * 1024.0).round() / 1024.0 }
}

fn add(table: &'static Table, batch: &RecordBatch, days: &mut DayDigests) -> Result<()> {
    let columns = table.columns().map(|column| {
        let found = batch.column_by_name(column.name).ok_or_else(|| Error::no_column(column.name))?;
        // Dictionaries and views compare by the text they stand for.
        let kind = match at_rest_type(column.kind) {
            DataType::List(_) => DataType::new_list(DataType::Utf8, true),
            kind => kind,
        };
        let column_values = arrow::compute::cast(found, &kind)?;
        let adds_up = matches!(table.engine, Engine::Fold(_)) && column.kind == Type::Float64;
        Ok(if adds_up {
            Arc::new(column_values.as_primitive::<Float64Type>().unary::<_, Float64Type>(rounded_sum))
        } else {
            column_values
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let dates = match table.by_date {
        true => Some(arrow::compute::cast(
            batch.column_by_name("date").ok_or_else(|| Error::no_column("date"))?,
            &DataType::Date32,
        )?),
        false => None,
    };
    for (place, row) in rows.iter().enumerate() {
        let day = dates.as_ref().map(|dates| dates.as_primitive::<Date32Type>().value(place));
        let (count, sum) = days.entry(day).or_default();
        *count += 1;
        *sum = sum.wrapping_add(xxh3_64(row.data()));
    }
    Ok(())
}
