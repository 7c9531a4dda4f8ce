//! The shape of a definition: a table is named columns with a key.

/// What a column holds, independent of any engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8 text with many distinct values (ids, hashes, JSON).
    Text,
    /// UTF-8 text with many distinct values, each in many rows that stand near each other (ids of sessions
    /// and visitors); in flight a dictionary that lives no longer than its batches.
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

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name in every table and file.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// Unit of the number, or the allowed values; empty where the name says all.
    pub unit: &'static str,
    /// One sentence for the reference page.
    pub meaning: &'static str,
}

impl Column {
    /// A column every row has.
    pub const fn required(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, nullable: false, unit, meaning }
    }

    /// A column a row may lack.
    pub const fn nullable(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, kind, nullable: true, unit, meaning }
    }
}

/// [`Column::required`], for the definitions.
pub(crate) const fn required(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column::required(name, kind, unit, meaning)
}

/// [`Column::nullable`], for the definitions.
pub(crate) const fn nullable(name: &'static str, kind: Type, unit: &'static str, meaning: &'static str) -> Column {
    Column::nullable(name, kind, unit, meaning)
}

/// How rows of a table that share its key come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Rows are only ever added.
    Append,
    /// The row with the highest value of this column stands for its key.
    Latest(&'static str),
    /// Rows of a key add up: these columns come together so, the others are the key. Until a writer or
    /// reader has folded them, a key has several rows.
    Fold(&'static [(&'static str, Fold)]),
}

/// How the values of a column come together.
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
    /// What one row is.
    pub row: &'static str,
    /// The columns, in order, in groups that tables share.
    pub groups: &'static [&'static [Column]],
    /// The columns that identify a row, leading ones first.
    pub key: &'static [&'static str],
    /// The order of rows within a file.
    pub sort: &'static [&'static str],
    /// Whether the table is split into a folder for each `date`.
    pub by_date: bool,
    /// How rows of one key come together.
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

    /// How the values of a column come together; `None` where it is part of the key, or rows do not add up.
    pub fn fold(&self, column: &str) -> Option<Fold> {
        let Engine::Fold(folds) = self.engine else { return None };
        folds.iter().find(|(name, _)| *name == column).map(|(_, fold)| *fold)
    }

    /// The columns that count something: a row that was not taken out again has one that is not zero.
    pub fn counts(&self) -> impl Iterator<Item = &'static str> {
        let counts = |column: &&Column| column.kind == Type::Int64 && self.fold(column.name) == Some(Fold::Sum);
        self.columns().filter(counts).map(|column| column.name)
    }

    /// A query for the rows of `from` (a table of this shape), one for each key where rows of a key add up.
    /// A key whose counts are all zero was taken out again, and is none.
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
