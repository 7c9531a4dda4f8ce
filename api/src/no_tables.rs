//! The store of a server that only takes events: it has no tables.

use async_trait::async_trait;

use crate::period::Day;
use crate::store::{
    Incident, IncidentFilter, IncidentPosition, InsightStore, MoveSums, Product, ProductRelease, Scope, ScreenSums,
    Session, SessionDay, SessionLookup, SessionPosition, StoreError, TableStatus, TimelineEvent,
};

/// A store without tables: every answer is empty, and the server is ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTables;

#[async_trait]
impl InsightStore for NoTables {
    async fn products(&self, _: &str) -> Result<Vec<Product>, StoreError> {
        Ok(Vec::new())
    }

    async fn newest_day(&self, _: &str, _: &str, _: Day) -> Result<Option<Day>, StoreError> {
        Ok(None)
    }

    async fn session_days(&self, _: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        Ok(Vec::new())
    }

    async fn screens(&self, _: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        Ok(Vec::new())
    }

    async fn moves(&self, _: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        Ok(Vec::new())
    }

    async fn releases(&self, _: &str, _: &str) -> Result<Vec<ProductRelease>, StoreError> {
        Ok(Vec::new())
    }

    async fn sessions(&self, _: &Scope, _: Option<&SessionPosition>, _: usize) -> Result<Vec<Session>, StoreError> {
        Ok(Vec::new())
    }

    async fn incidents(
        &self,
        _: &Scope,
        _: &IncidentFilter,
        _: Option<&IncidentPosition>,
        _: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        Ok(Vec::new())
    }

    async fn session(&self, _: &SessionLookup) -> Result<Option<Session>, StoreError> {
        Ok(None)
    }

    async fn timeline(&self, _: &str, _: &Session, _: Option<i64>, _: usize) -> Result<Vec<TimelineEvent>, StoreError> {
        Ok(Vec::new())
    }

    async fn session_incidents(&self, _: &str, _: &Session) -> Result<Vec<Incident>, StoreError> {
        Ok(Vec::new())
    }

    fn tables(&self) -> Vec<TableStatus> {
        Vec::new()
    }
}
