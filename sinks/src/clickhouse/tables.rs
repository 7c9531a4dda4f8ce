//! Checks, creates and migrates the tables at every start, before rows are written.

use netcrab_schema::clickhouse::{self as ddl, POSITIONS};
use netcrab_schema::{Table, all_tables};

use super::client::ClickHouse;
use crate::error::Error;

/// The oldest release of the server that NetCrab is tested with.
const SERVER_MIN: (u64, u64) = (24, 8);

impl ClickHouse {
    /// Creates missing tables and views, and adds columns that are new in this release.
    ///
    /// # Errors
    /// [`Error::ClickHouseRefuses`] where the server is too old, or a table has other columns or another order.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.check_server().await?;
        self.create_database().await?;
        self.execute(&ddl::create_positions(), &[]).await?;
        for table in all_tables() {
            self.execute(&ddl::create_table(table), &[]).await?;
            self.migrate(table).await?;
            self.execute(&ddl::create_view(table), &[]).await?;
        }
        self.check_windows().await
    }

    async fn create_database(&self) -> Result<(), Error> {
        // A request that names a database is refused while the database does not exist.
        let database = &self.settings.database;
        let create = format!("CREATE DATABASE IF NOT EXISTS {database}");
        self.with_retries(&create, |client| {
            let query = client.with_database("default").query_raw(&create);
            async move { query.execute().await }
        })
        .await
    }

    async fn check_server(&self) -> Result<(), Error> {
        let version = self
            .with_retries("SELECT version()", |client| {
                let query = client.with_database("default").query_raw("SELECT version()");
                async move { query.fetch_one::<String>().await }
            })
            .await?;
        let mut parts = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < SERVER_MIN {
            let reason = format!("the server is of version {version}");
            return Err(Error::ClickHouseRefuses { reason, mend: "24.8 or later is needed; upgrade it" });
        }
        Ok(())
    }

    /// Adds the columns that an older release did not have. Refuses a column of another type.
    async fn migrate(&self, table: &'static Table) -> Result<(), Error> {
        let rows = ddl::rows_table(table);
        let params = [("table", rows.clone())];
        let columns =
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}";
        let answer = self.rows(columns, &params).await?;
        let found: Vec<(String, String)> = answer.texts("name")?.into_iter().zip(answer.texts("type")?).collect();
        for ((name, definition), (_, kind)) in ddl::definitions(table).zip(ddl::types(table)) {
            match found.iter().find(|(found, _)| found == name) {
                Some((_, found)) if *found == kind => {}
                Some((_, found)) => {
                    let reason = format!("column `{name}` of `{rows}` is of type {found}, this release writes {kind}");
                    let mend = "move the table away (RENAME TABLE), and fill a new one with `netcrab backfill --to clickhouse`";
                    return Err(Error::ClickHouseRefuses { reason, mend });
                }
                None => {
                    tracing::info!(table = rows, column = name, "a column is added");
                    self.execute(&format!("ALTER TABLE {rows} ADD COLUMN IF NOT EXISTS {definition}"), &[]).await?;
                }
            }
        }
        let params = [("table", rows.clone())];
        let key =
            "SELECT sorting_key AS key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}";
        let found = self.rows(key, &params).await?.texts("key")?.join("");
        let expected = ddl::order(table).join(", ");
        if found != expected {
            let reason = format!("`{rows}` is ordered by ({found}), this release expects ({expected})");
            let mend = "move the table away (RENAME TABLE), and fill a new one with `netcrab backfill --to clickhouse`";
            return Err(Error::ClickHouseRefuses { reason, mend });
        }
        Ok(())
    }

    /// Refuses tables without a deduplication window: there an insert whose answer got lost would count twice.
    async fn check_windows(&self) -> Result<(), Error> {
        let names = all_tables().map(|table| format!("'{}'", ddl::rows_table(table))).collect::<Vec<_>>().join(", ");
        // Replicated tables have a window by default.
        let without = format!(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN ({names}) \
             AND engine NOT LIKE 'Replicated%' AND engine NOT LIKE 'Shared%' \
             AND toUInt64OrZero(extract(engine_full, 'non_replicated_deduplication_window = (\\\\d+)')) = 0"
        );
        let without = self.rows(&without, &[]).await?.texts("name")?;
        let Some(table) = without.first() else { return Ok(()) };
        let reason = format!("`{table}` has no deduplication window, so repeated inserts would count twice");
        let mend = "run ALTER TABLE … MODIFY SETTING non_replicated_deduplication_window = 1000";
        Err(Error::ClickHouseRefuses { reason, mend })
    }

    /// The last transaction of every writer and table: (table, writer, number), in this order.
    ///
    /// # Errors
    /// Where ClickHouse refuses.
    pub async fn positions(&self) -> Result<Vec<(String, String, i64)>, Error> {
        let query = format!(
            "SELECT table, writer, toString(max(number)) AS number FROM {POSITIONS} GROUP BY table, writer ORDER BY table, writer"
        );
        let answer = self.rows(&query, &[]).await?;
        let numbers = answer.texts("number")?.into_iter().map(|number| number.parse().unwrap_or(0));
        let named = answer.texts("table")?.into_iter().zip(answer.texts("writer")?);
        Ok(named.zip(numbers).map(|((table, writer), number)| (table, writer, number)).collect())
    }
}
