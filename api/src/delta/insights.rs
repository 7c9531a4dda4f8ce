//! Answers queries from a snapshot: from its cache where possible, else by a statement on the files.

use async_trait::async_trait;
use datafusion::scalar::ScalarValue;

use super::statements::{
    INCIDENTS, INCIDENTS_OF_SESSIONS, MOVES_OF_DAYS, MOVES_OF_SESSIONS, SCREENS_OF_DAYS, SCREENS_OF_SESSIONS, SESSION,
    SESSION_DAYS, SESSION_INCIDENTS, SESSIONS, TIMELINE, date, instant, number, of, of_session, text,
};
use super::store::DeltaStore;
use crate::period::{Day, Period};
use crate::store::{
    Filter, Incident, IncidentFilter, IncidentPosition, InsightStore, MoveSums, Product, ProductRelease, Scope,
    ScreenSums, Session, SessionDay, SessionLookup, SessionPosition, StoreError, TableStatus, TimelineEvent, rows,
    sums,
};

#[async_trait]
impl InsightStore for DeltaStore {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        Ok(self.snapshot().products.get(org_id).cloned().unwrap_or_default())
    }

    async fn newest_day(&self, org_id: &str, product_id: &str, until: Day) -> Result<Option<Day>, StoreError> {
        Ok(self.snapshot().session_days.newest_day(org_id, product_id, until))
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let snapshot = self.snapshot();
        let mut days = Vec::new();
        let by_version_only = Filter { version: None, ..scope.filter.clone() }.is_empty();
        if by_version_only {
            for (day, rows) in snapshot.session_days.slices(&scope.org_id, &scope.product_id, scope.period) {
                rows::session_days(day, &rows, &mut days)?;
            }
            days.retain(|day| scope.filter.version.is_none() || day.version == scope.filter.version);
            return Ok(days);
        }
        for (day, batch) in sums::by_day(&self.ask(&snapshot, SESSION_DAYS, of(scope)).await?)? {
            rows::session_days(day, &batch, &mut days)?;
        }
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        let snapshot = self.snapshot();
        if !scope.filter.is_empty() {
            return sums::sum_screens(&self.ask(&snapshot, SCREENS_OF_SESSIONS, of(scope)).await?);
        }
        let cached = snapshot.screens.slices(&scope.org_id, &scope.product_id, scope.period);
        let older = match snapshot.screens.uncached(scope.period) {
            Some(period) => self.ask(&snapshot, SCREENS_OF_DAYS, of(&scope.during(period))).await?,
            None => Vec::new(),
        };
        sums::sum_screens(cached.iter().map(|(_, rows)| rows).chain(&older))
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        let snapshot = self.snapshot();
        if !scope.filter.is_empty() {
            return sums::sum_moves(&self.ask(&snapshot, MOVES_OF_SESSIONS, of(scope)).await?);
        }
        let cached = snapshot.moves.slices(&scope.org_id, &scope.product_id, scope.period);
        let older = match snapshot.moves.uncached(scope.period) {
            Some(period) => self.ask(&snapshot, MOVES_OF_DAYS, of(&scope.during(period))).await?,
            None => Vec::new(),
        };
        sums::sum_moves(cached.iter().map(|(_, rows)| rows).chain(&older))
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<ProductRelease>, StoreError> {
        let product = (org_id.to_owned(), product_id.to_owned());
        Ok(self.snapshot().releases.get(&product).cloned().unwrap_or_default())
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPosition>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let snapshot = self.snapshot();
        let mut sessions = Vec::new();
        let newest = after.map_or(scope.period.to, |position| day_of(position.start_us));
        for period in newest_first(Period { to: scope.period.to.min(newest), ..scope.period }) {
            let mut params = of(&scope.during(period));
            params.extend([
                ("after_ts", instant(after.map(|position| position.start_us))),
                ("after_key", text(after.map(|position| position.session_key.as_str()))),
                ("limit", number(limit - sessions.len())),
            ]);
            for batch in self.ask(&snapshot, SESSIONS, params).await? {
                sessions.extend(rows::sessions(&batch)?);
            }
            if sessions.len() >= limit {
                break;
            }
        }
        Ok(sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPosition>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let snapshot = self.snapshot();
        let sql = if scope.filter.is_empty() { INCIDENTS } else { INCIDENTS_OF_SESSIONS };
        let mut incidents = Vec::new();
        let newest = after.map_or(scope.period.to, |position| position.day);
        for period in newest_first(Period { to: scope.period.to.min(newest), ..scope.period }) {
            let mut params = of(&scope.during(period));
            params.extend([
                ("kind", text(only.kind.as_deref())),
                ("screen", text(only.screen_id.as_deref())),
                ("after_date", ScalarValue::Date32(after.map(|position| position.day.0))),
                ("after_ts", instant(after.map(|position| position.started_us))),
                ("after_key", text(after.map(|position| position.incident_id.as_str()))),
                ("limit", number(limit - incidents.len())),
            ]);
            for batch in self.ask(&snapshot, sql, params).await? {
                incidents.extend(rows::incidents(&batch)?);
            }
            if incidents.len() >= limit {
                break;
            }
        }
        Ok(incidents)
    }

    async fn session(&self, lookup: &SessionLookup) -> Result<Option<Session>, StoreError> {
        let snapshot = self.snapshot();
        let Some(products) = snapshot.products.get(&lookup.org_id) else { return Ok(None) };
        let asked =
            products.iter().filter(|product| lookup.product_id.as_ref().is_none_or(|id| *id == product.product_id));
        let days = asked.map(|product| (product.first_day, product.last_day));
        let known = days.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).map(|(from, to)| Period { from, to });
        let Some(period) = lookup.period.or(known) else { return Ok(None) };
        for period in newest_first(period) {
            let params = vec![
                ("org", text(Some(&lookup.org_id))),
                ("product", text(lookup.product_id.as_deref())),
                ("session", text(Some(&lookup.session_key))),
                ("from", date(period.from)),
                ("to", date(period.to)),
            ];
            for batch in self.ask(&snapshot, SESSION, params).await? {
                if let Some(session) = rows::sessions(&batch)?.pop() {
                    return Ok(Some(session));
                }
            }
        }
        Ok(None)
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let snapshot = self.snapshot();
        let mut params = of_session(org_id, session);
        params.extend([("after", ScalarValue::Int64(Some(after.unwrap_or(-1)))), ("limit", number(limit))]);
        let batches = self.ask(&snapshot, TIMELINE, params).await?;
        rows::flat(&batches, rows::timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        let snapshot = self.snapshot();
        let batches = self.ask(&snapshot, SESSION_INCIDENTS, of_session(org_id, session)).await?;
        rows::flat(&batches, rows::incidents)
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.statuses()
    }
}

/// A period in pieces, newest first, each four times as long as the one before. A page of a busy product reads the
/// files of a few days; a search with few results reads all of them in a few queries.
fn newest_first(period: Period) -> impl Iterator<Item = Period> {
    let mut to = period.to;
    let mut days = 4;
    std::iter::from_fn(move || {
        let piece = (to >= period.from).then(|| Period { from: period.from.max(to.plus(1 - days)), to })?;
        to = piece.from.plus(-1);
        days = days.saturating_mul(4);
        Some(piece)
    })
}

fn day_of(micros: i64) -> Day {
    Day(i32::try_from(micros.div_euclid(86_400_000_000)).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_period_cover_it_once_newest_first() {
        for days in [1, 3, 4, 5, 20, 366] {
            let period = Period { from: Day(100), to: Day(100 + days - 1) };
            let pieces: Vec<Period> = newest_first(period).collect();
            let covered: Vec<Day> = pieces.iter().rev().flat_map(|piece| piece.iter()).collect();
            assert_eq!(covered, period.iter().collect::<Vec<_>>(), "{days}");
            assert!(pieces.len() <= 5);
        }
    }
}
