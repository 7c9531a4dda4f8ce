//! Settings of the connection to ClickHouse.

use std::time::Duration;

use clickhouse::{Client, Compression};
use serde::Deserialize;
use url::Url;

use crate::error::Error;

/// Where ClickHouse is; table `[clickhouse]` of `netcrab.toml`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouseSettings {
    /// Addresses of the HTTP interface, `http://` or `https://`, all of servers that have the same tables: where one does
    /// not answer, the next one is tried. Certificates are checked against those of the system, or those in
    /// `SSL_CERT_FILE`. Default: none; then ClickHouse is not used.
    pub hosts: Vec<String>,
    /// The database; it is created where it is missing. Default: `netcrab`.
    pub database: String,
    /// Who writes and reads. Default: `default`.
    pub user: String,
    /// The user's password; better given as `NETCRAB_CLICKHOUSE__PASSWORD`. Default: empty.
    pub password: String,
    /// How long one request may take, in milliseconds; after that it is sent again. Default: 30_000 (30 s).
    pub timeout_ms: u64,
    /// Most rows of one insert; it takes about 300 bytes of memory for each. Default: 131_072.
    pub insert_rows_max: usize,
}

impl std::fmt::Debug for ClickHouseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hosts, database, user, timeout_ms, insert_rows_max, .. } = self;
        f.debug_struct("ClickHouseSettings")
            .field("hosts", hosts)
            .field("database", database)
            .field("user", user)
            .field("timeout_ms", timeout_ms)
            .field("insert_rows_max", insert_rows_max)
            .finish_non_exhaustive()
    }
}

impl Default for ClickHouseSettings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            database: "netcrab".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            timeout_ms: 30_000,
            insert_rows_max: 131_072,
        }
    }
}

impl ClickHouseSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::ClickHouseRefuses`] for the first setting out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String, mend| Err(Error::ClickHouseRefuses { reason, mend });
        if self.hosts.is_empty() {
            return refuse("no host".to_owned(), "set `clickhouse.hosts`, as in [\"http://localhost:8123\"]");
        }
        for host in &self.hosts {
            let address =
                Url::parse(host).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
            if address.is_none_or(|url| url.path() != "/" || url.query().is_some()) {
                let reason = format!("`clickhouse.hosts` has `{host}`");
                return refuse(reason, "give addresses like \"https://clickhouse.example:8443\"");
            }
        }
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name(&self.database) {
            let reason = format!("`clickhouse.database` is `{}`", self.database);
            return refuse(reason, "a name is of letters, digits and _");
        }
        if self.timeout_ms < 100 || self.insert_rows_max < 1000 {
            let reason = format!("timeout_ms is {}, insert_rows_max {}", self.timeout_ms, self.insert_rows_max);
            return refuse(
                reason,
                "expected `clickhouse.timeout_ms` of 100 or more and `insert_rows_max` of 1000 or more",
            );
        }
        Ok(())
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn client(&self, host: &str) -> Client {
        let client = Client::default()
            .with_url(host)
            .with_user(self.user.as_str())
            .with_compression(Compression::Lz4)
            // The server stops a query that nobody waits for any more.
            .with_setting("max_execution_time", self.timeout().as_secs().max(1).to_string());
        if self.password.is_empty() { client } else { client.with_password(self.password.as_str()) }
    }
}
