//! Answers queries by statements that ClickHouse runs.

use async_trait::async_trait;

use super::statements::{
    INCIDENTS, INCIDENTS_OF_SESSIONS, MOVES_OF_DAYS, MOVES_OF_SESSIONS, NEWEST_DAY, PRODUCTS, RELEASES,
    SCREENS_OF_DAYS, SCREENS_OF_SESSIONS, SESSION, SESSION_DAYS, SESSION_INCIDENTS, SESSIONS, TIMELINE, date, number,
    of, of_session, text,
};
use super::store::ClickHouseStore;
use crate::period::Day;
use crate::store::sums::{self, by_day};
use crate::store::{
    Columns, Incident, IncidentFilter, IncidentPosition, InsightStore, MoveSums, Product, ProductRelease, Scope,
    ScreenSums, Session, SessionDay, SessionLookup, SessionPosition, StoreError, TableStatus, TimelineEvent, dates,
    rows,
};

#[async_trait]
impl InsightStore for ClickHouseStore {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        let mut products = Vec::new();
        for batch in self.ask(PRODUCTS, &vec![("org", text(org_id))]).await? {
            let (names, sessions) = (batch.texts("product_id")?, batch.numbers("sessions")?);
            let (first, last) = (dates(&batch, "first_day")?, dates(&batch, "last_day")?);
            products.extend((0..batch.num_rows()).map(|row| Product {
                product_id: names.value(row).to_owned(),
                first_day: Day(first.value(row)),
                last_day: Day(last.value(row)),
                sessions: sessions.value(row),
            }));
        }
        Ok(products)
    }

    async fn newest_day(&self, org_id: &str, product_id: &str, until: Day) -> Result<Option<Day>, StoreError> {
        let params = vec![("org", text(org_id)), ("product", text(product_id)), ("until", date(until))];
        let found = self.ask(NEWEST_DAY, &params).await?;
        let Some(batch) = found.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
        Ok(Some(Day(dates(batch, "date")?.value(0))))
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let mut days = Vec::new();
        for (day, batch) in by_day(&self.ask(SESSION_DAYS, &of(scope)).await?)? {
            rows::session_days(day, &batch, &mut days)?;
        }
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        let sql = if scope.filter.is_empty() { SCREENS_OF_DAYS } else { SCREENS_OF_SESSIONS };
        sums::sum_screens(&self.ask(sql, &of(scope)).await?)
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        let sql = if scope.filter.is_empty() { MOVES_OF_DAYS } else { MOVES_OF_SESSIONS };
        sums::sum_moves(&self.ask(sql, &of(scope)).await?)
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<ProductRelease>, StoreError> {
        let params = vec![("org", text(org_id)), ("product", text(product_id))];
        let mut releases = Vec::new();
        for batch in self.ask(RELEASES, &params).await? {
            releases.extend(rows::releases(&batch)?.into_iter().map(|(_, _, release)| release));
        }
        Ok(releases)
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPosition>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let mut params = of(scope);
        params.extend([
            ("after_us", after.and_then(|after| number(after.start_us))),
            ("after_key", after.and_then(|after| text(&after.session_key))),
            ("limit", number(limit)),
        ]);
        rows::flat(&self.ask(SESSIONS, &params).await?, rows::sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPosition>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let sql = if scope.filter.is_empty() { INCIDENTS } else { INCIDENTS_OF_SESSIONS };
        let mut params = of(scope);
        params.extend([
            ("kind", only.kind.clone()),
            ("screen", only.screen_id.clone()),
            ("after_date", after.and_then(|after| date(after.day))),
            ("after_us", after.and_then(|after| number(after.started_us))),
            ("after_key", after.and_then(|after| text(&after.incident_id))),
            ("limit", number(limit)),
        ]);
        rows::flat(&self.ask(sql, &params).await?, rows::incidents)
    }

    async fn session(&self, lookup: &SessionLookup) -> Result<Option<Session>, StoreError> {
        let params = vec![
            ("org", text(&lookup.org_id)),
            ("session", text(&lookup.session_key)),
            ("product", lookup.product_id.clone()),
            ("from", lookup.period.and_then(|period| date(period.from))),
            ("to", lookup.period.and_then(|period| date(period.to))),
        ];
        Ok(rows::flat(&self.ask(SESSION, &params).await?, rows::sessions)?.pop())
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let mut params = of_session(org_id, session);
        params.extend([("after", number(after.unwrap_or(-1))), ("limit", number(limit))]);
        rows::flat(&self.ask(TIMELINE, &params).await?, rows::timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        rows::flat(&self.ask(SESSION_INCIDENTS, &of_session(org_id, session)).await?, rows::incidents)
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.statuses()
    }
}
