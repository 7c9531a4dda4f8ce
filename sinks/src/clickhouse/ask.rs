//! Questions and statements, tried until they are answered.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use clickhouse::Client;
use clickhouse::error::Error as Fault;
use clickhouse_ext_arrow::ArrowQueryExt;
use netcrab_schema::Table;
use netcrab_schema::clickhouse as ddl;
use serde::Serialize;

use super::ClickHouse;
use crate::{Error, Replace};

/// Shortest and longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(15));

/// The answer to a question.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// The number in a column of the first row; 0 where there is none.
    pub fn number(&self, name: &str) -> Result<i64, Error> {
        let column =
            self.batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| batch.column_by_name(name));
        let Some(column) = column else { return Ok(0) };
        let numbers = arrow::compute::cast(column, &DataType::Int64)?;
        Ok(numbers.as_primitive::<Int64Type>().iter().next().flatten().unwrap_or(0))
    }

    /// The texts of a column.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        for column in self.batches.iter().filter_map(|batch| batch.column_by_name(name)) {
            let column = arrow::compute::cast(column, &DataType::Utf8)?;
            texts.extend(column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()));
        }
        Ok(texts)
    }
}

/// What to do after a fault.
enum After {
    /// It may pass.
    Again,
    /// It does not pass until somebody does this.
    Mend(&'static str),
}

impl ClickHouse {
    /// Runs a statement.
    pub async fn execute(&self, statement: &str, params: &[(&str, String)]) -> Result<(), Error> {
        self.persist(statement, |client| {
            let query = with_params(&client, statement, params);
            async move { query.execute().await }
        })
        .await
    }

    /// The rows of an answer.
    pub async fn rows(&self, question: &str, params: &[(&str, String)]) -> Result<Answer, Error> {
        self.persist(question, |client| fetch(with_params(&client, question, params))).await
    }

    /// The rows of an answer, or a fault: each host is asked once.
    pub async fn rows_now(&self, question: &str, params: &[(&str, Option<String>)]) -> Result<Answer, Error> {
        let mut last = Fault::TimedOut;
        for try_no in 0..self.hosts.len() {
            match self.one_try(try_no, |client| fetch(with_params(&client, question, params))).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => last = fault,
            }
        }
        Err(Error::ClickHouse { doing: doing(question), source: Box::new(last) })
    }

    /// Tells of the rows of an answer as they come, however many; it is asked once, of one host, without a time limit.
    pub async fn each_batch<E>(
        &self,
        question: &str,
        mut tell: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        let client = self.hosts[self.place(0)].clone().with_database(self.settings.database.as_str());
        let failed = |fault| Error::ClickHouse { doing: doing(question), source: Box::new(fault) };
        let query = client.query_raw(question).with_setting("max_execution_time", "0");
        let mut cursor = query.fetch_arrow().map_err(failed)?;
        while let Some(batch) = cursor.next().await.map_err(failed)? {
            if let Err(error) = tell(&batch) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
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

    /// Tries until it is done, or until it is sure that it cannot be.
    pub(super) async fn persist<T, F>(&self, what: &str, ask: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut pause = PAUSES.0;
        for try_no in 0.. {
            let fault = match self.one_try(try_no, &ask).await {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            if let After::Mend(mend) = after(&fault) {
                return Err(Error::ClickHouseRefuses { reason: short(&fault), mend });
            }
            let host = &self.settings.hosts[self.place(try_no)];
            tracing::warn!(
                host,
                pause_ms = pause.as_millis() as u64,
                reason = short(&fault),
                "ClickHouse: {} is tried again",
                doing(what)
            );
            // The next host at once; a pause when all were asked.
            if (try_no + 1) % self.hosts.len() == 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        unreachable!("it is tried for ever")
    }

    async fn one_try<T, F>(&self, try_no: usize, ask: impl Fn(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let place = self.place(try_no);
        let client = self.hosts[place].clone().with_database(self.settings.database.as_str());
        let answered = tokio::time::timeout(self.settings.timeout(), ask(client)).await;
        let answered = answered.unwrap_or(Err(Fault::TimedOut));
        if answered.is_ok() {
            self.first.store(place, Ordering::Relaxed);
        }
        answered
    }

    fn place(&self, try_no: usize) -> usize {
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

/// The beginning of a statement, for messages: no values are in it.
fn doing(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(3).collect();
    format!("`{} …`", words.join(" "))
}

/// What was said, and by what it was caused; each once.
fn said_of(fault: &Fault) -> String {
    let mut said = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
}

/// The first line of what a server said.
fn short(fault: &Fault) -> String {
    let said = said_of(fault);
    let line = said.lines().next().unwrap_or_default();
    let cut = line.char_indices().nth(300).map_or(line.len(), |(at, _)| at);
    line[..cut].to_owned()
}

/// Whether a fault may pass.
fn after(fault: &Fault) -> After {
    let said = match fault {
        Fault::BadResponse(said) => said,
        Fault::InvalidParams(_) | Fault::Unsupported(_) | Fault::SchemaMismatch(_) => {
            return After::Mend("this is a fault of netcrab; please report it");
        }
        Fault::Network(_) if said_of(fault).contains("invalid peer certificate") => {
            return After::Mend("its certificate is not trusted: SSL_CERT_FILE names a file with those that are");
        }
        _ => return After::Again,
    };
    match code(said) {
        Some(192..=194 | 516) => After::Mend("check `clickhouse.user` and `clickhouse.password`"),
        Some(497) => After::Mend(
            "grant the user of `clickhouse.user` CREATE, ALTER, SELECT, INSERT, DELETE and TRUNCATE on the database",
        ),
        Some(81) => After::Mend("create the database of `clickhouse.database`, or let netcrab create it at its start"),
        Some(60) => After::Mend("start netcrab again: it creates missing tables at its start"),
        Some(164) => After::Mend("the user of `clickhouse.user` may only read; give one that may write"),
        Some(16 | 36 | 43 | 44 | 47 | 53 | 62 | 70 | 349) => {
            After::Mend("the tables are not those of this release; start netcrab again, or restore them")
        }
        _ => After::Again,
    }
}

/// The number in `Code: 60. DB::Exception: …`.
fn code(said: &str) -> Option<u32> {
    let rest = said.split_once("Code: ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_says_what_to_do() {
        let said = |code: u32| Fault::BadResponse(format!("Code: {code}. DB::Exception: something. (NAME)"));
        let mends = |fault: &Fault| match after(fault) {
            After::Again => None,
            After::Mend(mend) => Some(mend),
        };
        for passing in [159, 202, 241, 252, 210, 999, 242] {
            assert_eq!(mends(&said(passing)), None, "{passing}");
        }
        assert_eq!(mends(&Fault::TimedOut), None);
        assert_eq!(mends(&Fault::BadResponse("502 Bad Gateway".to_owned())), None);
        for (lasting, named) in
            [(516, "password"), (497, "grant"), (81, "database"), (60, "missing tables"), (164, "write")]
        {
            assert!(mends(&said(lasting)).is_some_and(|mend| mend.contains(named)), "{lasting}");
        }
    }
}
