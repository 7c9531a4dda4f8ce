//! The queries that every store answers.

use async_trait::async_trait;

use super::error::StoreError;
use super::records::{Incident, MoveSums, Product, ProductRelease, ScreenSums, Session, SessionDay, TimelineEvent};
use super::scope::{IncidentFilter, IncidentPosition, Scope, SessionLookup, SessionPosition};
use super::status::TableStatus;
use crate::period::Day;

/// A store of tables. Each method names the order of its list; `limit` is the most rows it gives.
///
/// # Errors
///
/// Every query fails with a [`StoreError`]: [`StoreError::Busy`] and [`StoreError::TooLarge`] where a bound is reached,
/// [`StoreError::Query`] and [`StoreError::Table`] where the tables cannot be read.
#[async_trait]
pub trait InsightStore: Send + Sync {
    /// The organisation's products, by name.
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError>;

    /// The newest day up to `until` with a session of the product; `None` where there is none.
    async fn newest_day(&self, org_id: &str, product_id: &str, until: Day) -> Result<Option<Day>, StoreError>;

    /// Sessions by day and version, in that order; days without sessions are absent.
    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError>;

    /// Screens that were visited or have an incident, by name.
    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError>;

    /// Moves, by the names of their screens; an empty name is the entry or the exit.
    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError>;

    /// Releases of the product, of all time, newest first.
    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<ProductRelease>, StoreError>;

    /// Sessions, newest first, then by key.
    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPosition>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError>;

    /// Incidents of the scope's sessions: newest day first, newest first within it, then by id.
    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPosition>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError>;

    /// One session; `None` where the organisation has none of that key.
    async fn session(&self, lookup: &SessionLookup) -> Result<Option<Session>, StoreError>;

    /// Events of a session after `position`, in order.
    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError>;

    /// Every incident of a session, by time and id.
    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError>;

    /// The status of each table that the queries above read.
    fn tables(&self) -> Vec<TableStatus>;
}
