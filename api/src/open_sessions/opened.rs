//! Open sessions as the pipeline gives them: rows of the tables that they will be in once they are closed.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use hashbrown::HashMap;

use crate::store::{Columns, Incident, Session, StoreError, rows};

/// Organisation and product.
pub(super) type Owner = (String, String);

#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) session: Session,
    pub(super) incidents: Vec<Incident>,
    pub(super) events: Arc<dyn OpenSessionEvents>,
}

/// Reads the events of open sessions, where the pipeline has them.
#[async_trait]
pub trait OpenSessionEvents: Debug + Send + Sync {
    /// Rows of `events_sessionized`, session by session: those of the session `session_key`, which is open under `key`,
    /// and possibly those of other sessions. Empty where it is no longer open.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the pipeline cannot give them.
    async fn of(&self, key: u32, session_key: &str) -> Result<Vec<RecordBatch>, StoreError>;
}

/// Open sessions as rows of tables.
#[derive(Debug, Default)]
pub struct OpenSessionRows {
    /// The number of each session's key, within its shard.
    pub keys: Vec<u32>,
    /// Rows of fact_sessions, in the order of `keys`.
    pub sessions: Vec<RecordBatch>,
    /// Rows of fact_incidents.
    pub incidents: Vec<RecordBatch>,
}

impl OpenSessionRows {
    pub(super) fn read(
        &self,
        events: &Arc<dyn OpenSessionEvents>,
    ) -> Result<Vec<(u32, Owner, OpenSession)>, StoreError> {
        let mut incidents: HashMap<String, Vec<Incident>> = HashMap::new();
        for batch in &self.incidents {
            for incident in rows::incidents(batch)? {
                incidents.entry(incident.session_key.clone()).or_default().push(incident);
            }
        }
        let mut keys = self.keys.iter();
        let mut found = Vec::with_capacity(self.keys.len());
        for batch in &self.sessions {
            let (org_id, product_id) = (batch.texts("org_id")?, batch.texts("product_id")?);
            for (row, mut session) in rows::sessions(batch)?.into_iter().enumerate() {
                let Some(&key) = keys.next() else { continue };
                let mut incidents = incidents.remove(&session.session_key).unwrap_or_default();
                incidents.sort_by(|a, b| (a.started_us, &a.incident_id).cmp(&(b.started_us, &b.incident_id)));
                session.open = true;
                let owner = (org_id.value(row).to_owned(), product_id.value(row).to_owned());
                found.push((key, owner, OpenSession { session, incidents, events: Arc::clone(events) }));
            }
        }
        Ok(found)
    }
}
