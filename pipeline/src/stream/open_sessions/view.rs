//! A view of open sessions: their rows as the ordinary plans derive them, without closing them.
//!
//!     keys whose sessions changed ─▶ open sessions ─▶ detect ─▶ aggregate ─▶ rows

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use netcrab_api::StoreError;
use netcrab_api::open_sessions::OpenSessionEvents;
use netcrab_operators::chain;
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::streaming::OpenSessions;
use netcrab_schema::Table;
use netcrab_schema::tables::EVENTS_SESSIONIZED;

use super::feed;
use crate::error::Result;

/// Derives rows of open sessions without closing them.
pub(in crate::stream) struct OpenSessionView {
    open: Arc<Mutex<OpenSessions>>,
    rules: Arc<Rules>,
    context: Arc<TaskContext>,
}

impl OpenSessionView {
    pub(in crate::stream) fn new(open: Arc<Mutex<OpenSessions>>, rules: Arc<Rules>, context: Arc<TaskContext>) -> Self {
        Self { open, rules, context }
    }

    /// The open sessions of these keys: the key of each, and their rows for each of `tables`.
    pub(in crate::stream) async fn rows(
        &self,
        keys: Vec<u32>,
        tables: &[&'static Table],
    ) -> Result<(Vec<u32>, Vec<Vec<RecordBatch>>)> {
        let schema = netcrab_operators::session::schema(chain::event_fields(tables));
        let (mut sessions, mut of_sessions) = (Vec::new(), Vec::new());
        {
            let mut state = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let mut view = state.view(keys)?;
            while let Some((batch, of_batch)) = state.next_viewed(&mut view, &schema)? {
                sessions.push(batch);
                of_sessions.extend(of_batch);
            }
        }
        if sessions.is_empty() {
            return Ok((of_sessions, Vec::new()));
        }
        let source = MemorySourceConfig::try_new_exec(&[sessions], schema, None)?;
        let plans = chain::plans_over(source, &self.rules, tables)?.into_iter();
        let collected = plans.map(|(_, plan)| datafusion::physical_plan::collect(plan, Arc::clone(&self.context)));
        // The plans share one pass, so they run together.
        Ok((of_sessions, futures::future::try_join_all(collected).await?))
    }
}

impl fmt::Debug for OpenSessionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSessionView").finish_non_exhaustive()
    }
}

#[async_trait]
impl OpenSessionEvents for OpenSessionView {
    async fn of(&self, key: u32, _: &str) -> Result<Vec<RecordBatch>, StoreError> {
        let found = self.rows(vec![key], &[&EVENTS_SESSIONIZED]).await;
        let found = found.map_err(feed::unreadable_events)?;
        Ok(found.1.into_iter().flatten().collect())
    }
}
