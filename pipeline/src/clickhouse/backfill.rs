//! Copies the rows of the Delta tables to ClickHouse.
//!
//!     files of a snapshot ─▶ those without a position ─▶ INSERT ─▶ position ─▶ positions of the stream's shards
//!
//! A file gets its position in ClickHouse once all its rows are inserted. Interrupted before that, it is inserted
//! again with the same deduplication tokens. The positions of a stream's shards are written last, so a stream never
//! continues in a ClickHouse that lacks a file.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use netcrab_schema::clickhouse::rows_table;
use netcrab_schema::{ALL, Table};
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Position, StagedFile, TableChange};

use crate::checkpoints;
use crate::checkpoints::folder::Folder;
use crate::error::{Error, Result};
use crate::stream::shard::apply::{POSITION_TABLE, writer};

/// A backfill: the files to copy, and those that are copied.
#[derive(Debug)]
pub struct Backfill {
    parts: Vec<(&'static Table, StagedFile)>,
    done: BTreeSet<PartPosition>,
    /// The last epoch of each shard.
    epochs: Vec<(u32, u64)>,
}

/// What a backfill copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackfillSummary {
    /// Files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
}

/// Files copied concurrently: while the server inserts one, another is read.
const AT_ONCE: usize = 3;

/// A table, and the name under which ClickHouse stores the position of a file of it.
type PartPosition = (String, String);

fn noted(table: &Table, part: &StagedFile) -> PartPosition {
    (table.name.to_owned(), format!("backfill/{}", part.path))
}

impl Backfill {
    /// Lists the files to copy; empties ClickHouse first where `replace`.
    ///
    /// # Errors
    /// [`Error::NoTables`], [`Error::StreamRuns`], or [`Error::ClickHouseNotEmpty`] where it has rows of other tables.
    pub async fn plan(sink: &DeltaSink, server: &ClickHouse, replace: bool) -> Result<Self> {
        let mut parts = Vec::new();
        let folder = Folder::of(sink)?;
        let epochs = checkpoints::applied_epochs(&folder).await?;
        for &table in ALL {
            parts.extend(sink.files(table, "").await?.into_iter().map(|part| (table, part)));
        }
        if parts.is_empty() {
            return Err(Error::NoTables { tables: sink.root().to_string() });
        }
        let after = checkpoints::applied_epochs(&folder).await?;
        if epochs != after {
            return Err(Error::StreamRuns);
        }
        if replace {
            for &table in ALL {
                server.execute(&format!("TRUNCATE TABLE {}", rows_table(table)), &[]).await?;
            }
            server.execute(&format!("TRUNCATE TABLE {}", netcrab_schema::clickhouse::POSITIONS), &[]).await?;
        }
        let known: BTreeSet<PartPosition> = parts.iter().map(|(table, part)| noted(table, part)).collect();
        let mut done = BTreeSet::new();
        for (table, writer, _) in server.positions().await? {
            let position = (table, writer);
            if !known.contains(&position) {
                let of = format!(" of `{}`, which these tables do not have", position.1);
                return Err(Error::ClickHouseNotEmpty { table: position.0, of });
            }
            done.insert(position);
        }
        // Before any file has a position, only the first few can be partly inserted; their tokens deduplicate them.
        let first: BTreeSet<&str> = parts.iter().take(AT_ONCE).map(|(table, _)| table.name).collect();
        for &table in ALL.iter().filter(|table| done.is_empty() && !first.contains(table.name)) {
            if server.has_rows(table).await? {
                return Err(Error::ClickHouseNotEmpty { table: table.name.to_owned(), of: String::new() });
            }
        }
        Ok(Self { parts, done, epochs })
    }

    fn is_done(&self, table: &Table, part: &StagedFile) -> bool {
        self.done.contains(&noted(table, part))
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part.bytes).sum()
    }

    /// The bytes of files copied by an earlier, interrupted backfill.
    pub fn bytes_done(&self) -> u64 {
        self.parts.iter().filter(|(table, part)| self.is_done(table, part)).map(|(_, part)| part.bytes).sum()
    }

    /// The number of files copied by an earlier, interrupted backfill.
    pub fn files_done(&self) -> u64 {
        self.parts.iter().filter(|(table, part)| self.is_done(table, part)).count() as u64
    }
}

/// Copies the files that are not copied yet; calls `copied` with table and bytes of each.
///
/// # Errors
/// Whatever the server or the tables give; run it again to continue.
pub async fn backfill(
    backfill: &Backfill,
    sink: &DeltaSink,
    server: &ClickHouse,
    mut copied: impl FnMut(&'static str, u64),
) -> Result<BackfillSummary> {
    let mut sum = BackfillSummary::default();
    let left = backfill.parts.iter().filter(|(table, part)| !backfill.is_done(table, part));
    let copying = left.map(|(table, part)| async move {
        // Epochs of a stream begin at 1, so 0 is not one.
        let position = Position { writer: noted(table, part).1, number: 0, marks: Vec::new() };
        let change = TableChange { added: vec![part.clone()], ..TableChange::default() };
        server.write(table, shard_of(part), &position, &change, sink).await?;
        server.note(table, &position).await?;
        Ok::<_, Error>((table, part))
    });
    let mut copying = futures::stream::iter(copying.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
    while let Some((table, part)) = copying.try_next().await? {
        sum.files += 1;
        sum.rows += part.rows;
        copied(table.name, part.bytes);
    }
    for &(shard, epoch) in &backfill.epochs {
        let position = Position { writer: writer(shard), number: epoch as i64, marks: Vec::new() };
        server.note(POSITION_TABLE, &position).await?;
    }
    Ok(sum)
}

/// The shard whose stream wrote a file; `u32::MAX` for a file of a run.
fn shard_of(part: &StagedFile) -> u32 {
    let mut after = part.path.split("-s").skip(1);
    after.find_map(|rest| rest.split_once('-')?.0.parse().ok()).unwrap_or(u32::MAX)
}
