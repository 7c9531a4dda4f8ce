//! Answers questions by statements that ClickHouse runs.

use async_trait::async_trait;

use super::statements::{
    AND_VALUES, INCIDENTS, MOVES_OF_DAYS, MOVES_OF_SESSIONS, OF_SESSIONS, PRODUCTS, RELEASES, SCREENS_OF_DAYS,
    SCREENS_OF_SESSIONS, SESSION, SESSION_DAYS, SESSION_INCIDENTS, SESSIONS, TIMELINE, day, of, of_session, values,
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
        for batch in self.ask(PRODUCTS, &vec![("org", org_id.to_owned())]).await? {
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

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let text = SESSION_DAYS.with(&[(AND_VALUES, &values(&scope.filter))]);
        let mut days = Vec::new();
        for (day, batch) in by_day(&self.ask_with(SESSION_DAYS, &text, &of(scope)).await?)? {
            rows::session_days(day, &batch, &mut days)?;
        }
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        if scope.filter.is_empty() {
            return sums::sum_screens(&self.ask(SCREENS_OF_DAYS, &of(scope)).await?);
        }
        let text = SCREENS_OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        sums::sum_screens(&self.ask_with(SCREENS_OF_SESSIONS, &text, &of(scope)).await?)
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        if scope.filter.is_empty() {
            return sums::sum_moves(&self.ask(MOVES_OF_DAYS, &of(scope)).await?);
        }
        let text = MOVES_OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        sums::sum_moves(&self.ask_with(MOVES_OF_SESSIONS, &text, &of(scope)).await?)
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<ProductRelease>, StoreError> {
        let params = vec![("org", org_id.to_owned()), ("product", product_id.to_owned())];
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
        params.push(("limit", limit.to_string()));
        let mut place: &[&str] = &[];
        if let Some(after) = after {
            params.push(("after_us", after.start_us.to_string()));
            params.push(("after_key", after.session_key.clone()));
            place = &["(toUnixTimestamp64Micro(start_ts) < {after_us:Int64} \
                       OR (toUnixTimestamp64Micro(start_ts) = {after_us:Int64} AND session_key > {after_key:String}))"];
        }
        let text = SESSIONS.with(&[(AND_VALUES, &values(&scope.filter)), ("and after", place)]);
        rows::flat(&self.ask_with(SESSIONS, &text, &params).await?, rows::sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPosition>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let mut params = of(scope);
        params.push(("limit", limit.to_string()));
        let mut which: Vec<&str> = Vec::new();
        let of_sessions = OF_SESSIONS.with(&[(AND_VALUES, &values(&scope.filter))]);
        if !scope.filter.is_empty() {
            which.push(&of_sessions);
        }
        if let Some(kind) = &only.kind {
            params.push(("kind", kind.clone()));
            which.push("kind = {kind:String}");
        }
        if let Some(screen_id) = &only.screen_id {
            params.push(("screen", screen_id.clone()));
            which.push("screen_id = {screen:String}");
        }
        let mut place: &[&str] = &[];
        if let Some(after) = after {
            params.push(("after_date", day(after.day)));
            params.push(("after_us", after.started_us.to_string()));
            params.push(("after_key", after.incident_id.clone()));
            place = &["(date < {after_date:Date32} OR (date = {after_date:Date32} \
                       AND (toUnixTimestamp64Micro(started_at) < {after_us:Int64} \
                       OR (toUnixTimestamp64Micro(started_at) = {after_us:Int64} AND incident_id > {after_key:String}))))"];
        }
        let text = INCIDENTS.with(&[("and of these sessions", &which), ("and after", place)]);
        rows::flat(&self.ask_with(INCIDENTS, &text, &params).await?, rows::incidents)
    }

    async fn session(&self, name: &SessionLookup) -> Result<Option<Session>, StoreError> {
        let mut params = vec![("org", name.org_id.clone()), ("session", name.session_key.clone())];
        let mut there = Vec::new();
        if let Some(product_id) = &name.product_id {
            params.push(("product", product_id.clone()));
            there.push("product_id = {product:String}");
        }
        if let Some(period) = name.period {
            params.extend([("from", day(period.from)), ("to", day(period.to))]);
            there.push("date BETWEEN {from:Date32} AND {to:Date32}");
        }
        let text = SESSION.with(&[("and there", &there)]);
        Ok(rows::flat(&self.ask_with(SESSION, &text, &params).await?, rows::sessions)?.pop())
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let mut params = of_session(org_id, session);
        params.extend([("after", after.unwrap_or(-1).to_string()), ("limit", limit.to_string())]);
        rows::flat(&self.ask(TIMELINE, &params).await?, rows::timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        rows::flat(&self.ask(SESSION_INCIDENTS, &of_session(org_id, session)).await?, rows::incidents)
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.statuses()
    }
}
