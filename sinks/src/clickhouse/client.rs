//! Sends statements and queries to ClickHouse, and retries them until the server answers.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use clickhouse::Client;
use clickhouse::error::Error as Fault;
use clickhouse_ext_arrow::ArrowQueryExt;
use serde::Serialize;

use super::answer::Answer;
use super::retry::{After, after, short};
use super::settings::ClickHouseSettings;
use crate::error::Error;

/// The shortest and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(15));

/// A ClickHouse server, or several that hold the same tables.
#[derive(Clone)]
pub struct ClickHouse {
    hosts: Arc<[Client]>,
    pub(super) settings: Arc<ClickHouseSettings>,
    /// The index of the host that is tried first: the one that answered last.
    first: Arc<AtomicUsize>,
}

impl std::fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClickHouse").field("hosts", &self.settings.hosts).finish_non_exhaustive()
    }
}

impl ClickHouse {
    /// A client of the servers that `settings` name; it sends no request yet.
    ///
    /// # Errors
    /// [`Error::ClickHouseRefuses`] for a setting out of its bounds.
    pub fn new(settings: &ClickHouseSettings) -> Result<Self, Error> {
        settings.check()?;
        let hosts = settings.hosts.iter().map(|host| settings.client(host));
        Ok(Self { hosts: hosts.collect(), settings: Arc::new(settings.clone()), first: Arc::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &ClickHouseSettings {
        &self.settings
    }

    /// Runs a statement. Retries it until the server answers.
    ///
    /// # Errors
    /// [`Error::ClickHouseRefuses`] where a retry cannot help.
    pub async fn execute(&self, statement: &str, params: &[(&str, String)]) -> Result<(), Error> {
        self.with_retries(statement, |client| {
            let query = with_params(&client, statement, params);
            async move { query.execute().await }
        })
        .await
    }

    /// The rows that answer a query. Retries it until the server answers.
    ///
    /// # Errors
    /// [`Error::ClickHouseRefuses`] where a retry cannot help.
    pub async fn rows(&self, sql: &str, params: &[(&str, String)]) -> Result<Answer, Error> {
        self.with_retries(sql, |client| fetch(with_params(&client, sql, params))).await
    }

    /// The rows that answer a query. Tries each host once. A parameter without a value is NULL.
    ///
    /// # Errors
    /// [`Error::ClickHouse`] where no host answers.
    pub async fn rows_now(&self, sql: &str, params: &[(&str, Option<String>)]) -> Result<Answer, Error> {
        let mut last = Fault::TimedOut;
        for try_no in 0..self.hosts.len() {
            match self.one_try(try_no, |client| fetch(with_params(&client, sql, params))).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => last = fault,
            }
        }
        Err(Error::ClickHouse { doing: doing(sql), source: Box::new(last) })
    }

    /// Gives the rows that answer a query to `each`, batch by batch, so that the answer may be larger than memory. Tries
    /// one host once, without a time limit.
    ///
    /// # Errors
    /// [`Error::ClickHouse`] where the host does not answer. The inner result is the first error of `each`, which ends
    /// the query.
    pub async fn each_batch<E>(
        &self,
        sql: &str,
        mut each: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        let client = self.hosts[self.host_of(0)].clone().with_database(self.settings.database.as_str());
        let failed = |fault| Error::ClickHouse { doing: doing(sql), source: Box::new(fault) };
        let query = client.query_raw(sql).with_setting("max_execution_time", "0");
        let mut cursor = query.fetch_arrow().map_err(failed)?;
        while let Some(batch) = cursor.next().await.map_err(failed)? {
            if let Err(error) = each(&batch) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Retries a request until the server answers, or refuses for a reason that does not pass. Tries the next host each
    /// time, and pauses after the last one.
    pub(super) async fn with_retries<T, F>(&self, what: &str, request: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut pause = PAUSES.0;
        for try_no in 0.. {
            let fault = match self.one_try(try_no, &request).await {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            if let After::Mend(mend) = after(&fault) {
                return Err(Error::ClickHouseRefuses { reason: short(&fault), mend });
            }
            let host = &self.settings.hosts[self.host_of(try_no)];
            tracing::warn!(
                host,
                pause_ms = pause.as_millis() as u64,
                reason = short(&fault),
                "ClickHouse: {} is tried again",
                doing(what)
            );
            if (try_no + 1) % self.hosts.len() == 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        unreachable!("the loop ends only with an answer")
    }

    async fn one_try<T, F>(&self, try_no: usize, request: impl Fn(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let host = self.host_of(try_no);
        let client = self.hosts[host].clone().with_database(self.settings.database.as_str());
        let answered = tokio::time::timeout(self.settings.timeout(), request(client)).await;
        let answered = answered.unwrap_or(Err(Fault::TimedOut));
        if answered.is_ok() {
            self.first.store(host, Ordering::Relaxed);
        }
        answered
    }

    /// The index of the host of the `try_no`th try: the one that answered last comes first.
    fn host_of(&self, try_no: usize) -> usize {
        (self.first.load(Ordering::Relaxed) + try_no) % self.hosts.len()
    }
}

fn with_params(client: &Client, sql: &str, params: &[(&str, impl Serialize)]) -> clickhouse::query::Query {
    params.iter().fold(client.query_raw(sql), |query, (name, value)| query.param(name, value))
}

async fn fetch(query: clickhouse::query::Query) -> Result<Answer, Fault> {
    let mut cursor = query.fetch_arrow()?;
    let mut batches = Vec::new();
    while let Some(batch) = cursor.next().await? {
        batches.push(batch);
    }
    Ok(Answer { batches })
}

/// The first words of a statement, for errors. They contain no values.
fn doing(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(3).collect();
    format!("`{} …`", words.join(" "))
}
