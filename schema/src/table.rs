//! The definition of a table: its columns, its key, and how rows of one key are merged.

/// What a column holds, independent of any engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8 text with many distinct values (ids, hashes, JSON).
    Text,
    /// UTF-8 text with many distinct values, each of which repeats in many rows close to each other (ids of sessions
    /// and visitors). In flight a dictionary, which lives no longer than its batches.
    Repeated,
    /// UTF-8 text with few distinct values; a dictionary in flight, `LowCardinality` in ClickHouse.
    Symbol,
    /// A whole number, 64 bits.
    Int64,
    /// A whole number, 32 bits.
    Int32,
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
    /// True or false.
    Bool,
    /// An instant, UTC, whole milliseconds.
    Timestamp,
    /// A UTC calendar day.
    Date,
    /// A list of UTF-8 texts without nulls.
    TextList,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name in every table and file.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Type,
    /// Whether a row may have no value.
    pub nullable: bool,
    /// The unit of a number, or the allowed values; empty if the name says it all.
    pub unit: &'static str,
    /// One sentence for the reference page. Delta tables store it as the comment of the column.
    pub meaning: &'static str,
}

impl Column {
    /// A column in which every row has a value.
    pub const fn required(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, nullable: false, unit, meaning }
    }

    /// A column in which a row may have no value.
    pub const fn nullable(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, nullable: true, unit, meaning }
    }
}

/// [`Column::required`], short for the definitions.
pub(crate) const fn required(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column::required(name, kind, unit, meaning)
}

/// [`Column::nullable`], short for the definitions.
pub(crate) const fn nullable(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column::nullable(name, kind, unit, meaning)
}

/// How rows of one key are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// They are not: rows are only added.
    Append,
    /// The row with the highest value of this column replaces the others.
    Latest(&'static str),
    /// They add up: each of these columns is aggregated by its function, and the other columns are the key. A key has
    /// several rows until a writer or reader has folded them into one.
    Fold(&'static [(&'static str, Fold)]),
}

/// The function that aggregates the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The greatest.
    Max,
}

impl Fold {
    /// The SQL function, in DataFusion, DuckDB and ClickHouse.
    pub fn function(self) -> &'static str {
        match self {
            Fold::Sum => "sum",
            Fold::Min => "min",
            Fold::Max => "max",
        }
    }
}

/// One table: a Delta table of Parquet files, and a ClickHouse table.
#[derive(Debug)]
pub struct Table {
    /// The name of the Delta folder and of the ClickHouse table.
    pub name: &'static str,
    /// What one row is, for the reference page.
    pub row: &'static str,
    /// The columns, in order. Tables share groups of them.
    pub groups: &'static [&'static [Column]],
    /// The columns that identify a row.
    pub key: &'static [&'static str],
    /// The sort order of the rows of a file.
    pub sort: &'static [&'static str],
    /// Whether the Delta table is partitioned by `date`.
    pub by_date: bool,
    /// How rows of one key are merged.
    pub engine: Engine,
}

impl Table {
    /// The columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns().find(|column| column.name == name)
    }

    /// The function that aggregates a column; `None` for columns of the key, and in tables whose rows do not add up.
    pub fn fold(&self, column: &str) -> Option<Fold> {
        let Engine::Fold(folds) = self.engine else { return None };
        folds.iter().find(|(name, _)| *name == column).map(|(_, fold)| *fold)
    }

    /// The columns that count something. At least one of them is not zero, unless all events of the row were deleted
    /// again.
    pub fn counts(&self) -> impl Iterator<Item = &'static str> {
        let counts = |column: &&Column| column.kind == Type::Int64 && self.fold(column.name) == Some(Fold::Sum);
        self.columns().filter(counts).map(|column| column.name)
    }

    /// A query for the rows of `from`, which has the columns of this table. If rows of a key add up, the query folds
    /// them into one row. It omits a key whose counts are all zero, because its events were deleted again.
    ///
    /// ```
    /// let query = netcrab_schema::tables::FACT_FLOWS.folded("rows");
    /// assert!(query.contains("sum(moves) AS moves"));
    /// assert!(query.contains("FROM rows GROUP BY org_id, product_id, date, from_screen, to_screen"));
    /// ```
    pub fn folded(&self, from: &str) -> String {
        let Engine::Fold(_) = self.engine else { return format!("SELECT * FROM {from}") };
        let column = |column: &'static Column| {
            let name = column.name;
            match self.fold(name) {
                Some(fold) => format!("{}({name}) AS {name}", fold.function()),
                None => name.to_owned(),
            }
        };
        let columns: Vec<String> = self.columns().map(column).collect();
        let counts: Vec<String> = self.counts().map(|name| format!("sum({name}) <> 0")).collect();
        let having = if counts.is_empty() { String::new() } else { format!(" HAVING {}", counts.join(" OR ")) };
        format!("SELECT {} FROM {from} GROUP BY {}{having}", columns.join(", "), self.key.join(", "))
    }

    /// The partition columns of the Delta table.
    pub fn partition(&self) -> &'static [&'static str] {
        if self.by_date { &["date"] } else { &[] }
    }
}
