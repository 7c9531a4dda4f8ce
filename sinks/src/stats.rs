//! Per-file statistics of the Delta protocol, from Parquet's own.
//!
//! Readers prune files by them: the number of nulls of every column that is no list, and its smallest and largest value
//! where Parquet recorded them exactly. Spark prunes nothing by a column whose nulls are not counted.

use netcrab_schema::{Table, Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// The longest text that is stored as a bound. A column with a longer one has no bounds; readers then prune less.
const TEXT_BYTES_MAX: usize = 64;

/// The `stats` of an add action.
pub(crate) fn stats(table: &Table, metadata: &ParquetMetaData) -> String {
    let (mut smallest, mut largest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let in_file =
        |name: &str| metadata.file_metadata().schema_descr().columns().iter().position(|c| c.path().string() == name);
    for column in table.columns() {
        let Some(place) = in_file(column.name) else { continue };
        if let Some(count) = null_count(metadata, place) {
            nulls.insert(column.name.to_owned(), Value::from(count));
        }
        let groups: Option<Vec<_>> =
            metadata.row_groups().iter().map(|group| bounds(column.kind, group.column(place).statistics()?)).collect();
        let Some(groups) = groups else { continue };
        let mut groups = groups.into_iter();
        let Some(first) = groups.next() else { continue };
        let (low, high) =
            groups.fold(first, |(low, high), (other_low, other_high)| (low.min(other_low), high.max(other_high)));
        if let (Some(low), Some(high)) = (low.json(column.kind), high.json(column.kind)) {
            smallest.insert(column.name.to_owned(), low);
            largest.insert(column.name.to_owned(), high);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": smallest, "maxValues": largest, "nullCount": nulls }).to_string()
}

/// The nulls of a column, where Parquet counted them in each row group.
fn null_count(metadata: &ParquetMetaData, place: usize) -> Option<u64> {
    metadata.row_groups().iter().map(|group| group.column(place).statistics()?.null_count_opt()).sum()
}

/// A value that bounds a column.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Whole(i64),
    Text(String),
}

impl Bound {
    fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    fn json(&self, kind: Type) -> Option<Value> {
        match self {
            Bound::Whole(micros) if kind == Type::Timestamp => {
                let at = deltalake::arrow::temporal_conversions::timestamp_us_to_datetime(*micros)?;
                Some(Value::from(at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
            }
            Bound::Whole(value) => Some(Value::from(*value)),
            Bound::Text(text) if text.len() <= TEXT_BYTES_MAX => Some(Value::from(text.as_str())),
            Bound::Text(_) => None,
        }
    }
}

fn bounds(kind: Type, statistics: &Statistics) -> Option<(Bound, Bound)> {
    match (kind, statistics) {
        (Type::Int64 | Type::Timestamp, Statistics::Int64(values)) => {
            Some((Bound::Whole(*values.min_opt()?), Bound::Whole(*values.max_opt()?)))
        }
        (Type::Int32, Statistics::Int32(values)) => {
            Some((Bound::Whole(i64::from(*values.min_opt()?)), Bound::Whole(i64::from(*values.max_opt()?))))
        }
        (Type::Text | Type::Repeated | Type::Symbol, Statistics::ByteArray(values))
            if values.min_is_exact() && values.max_is_exact() =>
        {
            let text = |bytes: &[u8]| Some(Bound::Text(std::str::from_utf8(bytes).ok()?.to_owned()));
            Some((text(values.min_opt()?.data())?, text(values.max_opt()?.data())?))
        }
        _ => None,
    }
}
