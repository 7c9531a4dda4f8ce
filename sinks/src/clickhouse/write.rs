//! Writes changes of tables, and how far each writer has come.

use netcrab_schema::clickhouse::{self as ddl, POSITIONS};
use netcrab_schema::{Engine, Table};

use super::client::ClickHouse;
use super::insert::InsertContext;
use crate::change::{Position, TableChange};
use crate::delta::DeltaSink;
use crate::error::Error;
use crate::staged::Replace;

impl ClickHouse {
    /// Writes a change whose files were staged in the folder of `staged`. A caller may repeat a write, with the same
    /// change, until it noted `position` ([`Self::note`]) or wrote a later change.
    ///
    /// # Errors
    /// Where a staged file cannot be read, or ClickHouse refuses.
    pub async fn write(
        &self,
        table: &'static Table,
        shard: u32,
        position: &Position,
        change: &TableChange,
        staged: &DeltaSink,
    ) -> Result<(), Error> {
        self.delete_replaced(table, shard, position, change).await?;
        let context = InsertContext { table, shard, position };
        for file in &change.deleted_rows {
            self.insert(&context, file, true, staged).await?;
        }
        for file in change.new_files().chain(&change.reinserted_rows) {
            self.insert(&context, file, false, staged).await?;
        }
        Ok(())
    }

    /// Stores the number of the last transaction of a writer.
    ///
    /// # Errors
    /// Where ClickHouse refuses.
    pub async fn note(&self, table: &'static Table, position: &Position) -> Result<(), Error> {
        let params = [
            ("table", table.name.to_owned()),
            ("writer", position.writer.clone()),
            ("number", position.number.to_string()),
        ];
        let insert = format!("INSERT INTO {POSITIONS} SELECT {{table:String}}, {{writer:String}}, {{number:Int64}}");
        self.execute(&insert, &params).await
    }

    /// The number of the last transaction of `writer` that the table has.
    ///
    /// # Errors
    /// Where ClickHouse refuses.
    pub async fn position(&self, table: &'static Table, writer: &str) -> Result<Option<i64>, Error> {
        let params = [("table", table.name.to_owned()), ("writer", writer.to_owned())];
        let query = format!(
            "SELECT count() AS n, max(number) AS number FROM {POSITIONS} WHERE table = {{table:String}} AND writer = {{writer:String}}"
        );
        let answer = self.rows(&query, &params).await?;
        Ok((answer.number("n")? > 0).then_some(answer.number("number")?))
    }

    /// Whether the table has rows.
    ///
    /// # Errors
    /// Where ClickHouse refuses.
    pub async fn has_rows(&self, table: &'static Table) -> Result<bool, Error> {
        let query = format!("SELECT count() AS n FROM (SELECT 1 FROM {} LIMIT 1)", table.name);
        Ok(self.rows(&query, &[]).await?.number("n")? > 0)
    }

    /// Deletes the rows of recomputed days and of expired ones. Rows of this very transaction stay.
    async fn delete_replaced(
        &self,
        table: &'static Table,
        shard: u32,
        position: &Position,
        change: &TableChange,
    ) -> Result<(), Error> {
        let rows = ddl::rows_table(table);
        if matches!(table.engine, Engine::Fold(_)) {
            for (org_id, product_id, date) in &change.recomputed_days {
                let which = "org_id = {org:String} AND product_id = {product:String} AND date = toDate32({date:Int32}) \
                             AND shard = {shard:UInt32} AND epoch < {epoch:UInt64}";
                let params = [
                    ("org", org_id.clone()),
                    ("product", product_id.clone()),
                    ("date", date.to_string()),
                    ("shard", shard.to_string()),
                    ("epoch", position.number.to_string()),
                ];
                self.execute(&format!("DELETE FROM {rows} WHERE {which}"), &params).await?;
            }
        }
        if let Some(date) = change.expired_before.filter(|_| table.by_date) {
            let params = [("date", date.to_string()), ("shard", shard.to_string())];
            let which = "date < toDate32({date:Int32}) AND shard = {shard:UInt32}";
            self.execute(&format!("DELETE FROM {rows} WHERE {which}"), &params).await?;
        }
        Ok(())
    }

    /// Deletes the rows that `replace` names.
    pub(super) async fn delete(&self, table: &'static Table, replace: Replace) -> Result<(), Error> {
        let rows = ddl::rows_table(table);
        match replace {
            Replace::Nothing => Ok(()),
            Replace::Dates(from, to) if table.by_date => {
                let params = [("from", from.to_string()), ("to", to.to_string())];
                let which = "date BETWEEN toDate32({from:Int32}) AND toDate32({to:Int32})";
                self.execute(&format!("DELETE FROM {rows} WHERE {which}"), &params).await
            }
            _ => self.execute(&format!("TRUNCATE TABLE {rows}"), &[]).await,
        }
    }
}
