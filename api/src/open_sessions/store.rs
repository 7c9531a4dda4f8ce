//! Answers from the tables and from the open sessions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashSet;

use super::opened::OpenSession;
use super::view::OpenSessionsView;
use crate::period::Day;
use crate::store::{
    Columns, Incident, IncidentFilter, IncidentPosition, InsightStore, MoveSums, Product, ProductRelease, Scope,
    ScreenSums, Session, SessionDay, SessionLookup, SessionPosition, StoreError, TableStatus, TimelineEvent, rows,
};

/// A store that answers from the tables and from the open sessions.
pub struct StoreWithOpenSessions {
    tables: Arc<dyn InsightStore>,
    view: Arc<OpenSessionsView>,
}

impl StoreWithOpenSessions {
    /// The answers of `tables`, with the sessions of `view` added.
    pub fn new(tables: Arc<dyn InsightStore>, view: Arc<OpenSessionsView>) -> Self {
        Self { tables, view }
    }
}

/// The order of lists of sessions.
fn newest_first(a: &Session, b: &Session) -> Ordering {
    b.start_us.cmp(&a.start_us).then_with(|| a.session_key.cmp(&b.session_key))
}

/// Copies of the first `limit` rows in this order, in any order.
fn first<T: Clone>(mut rows: Vec<&T>, limit: usize, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if rows.len() > limit {
        rows.select_nth_unstable_by(limit, |a, b| order(a, b));
        rows.truncate(limit);
    }
    rows.into_iter().cloned().collect()
}

#[async_trait]
impl InsightStore for StoreWithOpenSessions {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        let closed = self.tables.products(org_id).await?;
        let mut products: BTreeMap<String, Product> =
            closed.into_iter().map(|product| (product.product_id.clone(), product)).collect();
        let state = self.view.state();
        for (product_id, open) in state.products(org_id) {
            for OpenSession { session, .. } in open {
                let product = products.entry(product_id.clone()).or_insert_with(|| Product {
                    product_id: product_id.clone(),
                    first_day: session.date,
                    last_day: session.date,
                    sessions: 0,
                });
                product.first_day = product.first_day.min(session.date);
                product.last_day = product.last_day.max(session.date);
                product.sessions += 1;
            }
        }
        Ok(products.into_values().collect())
    }

    async fn newest_day(&self, org_id: &str, product_id: &str, until: Day) -> Result<Option<Day>, StoreError> {
        let closed = self.tables.newest_day(org_id, product_id, until).await?;
        let state = self.view.state();
        let open = state.of(org_id, product_id).map(|open| open.session.date);
        Ok(open.filter(|day| *day <= until).max().max(closed))
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let closed = self.tables.session_days(scope).await?;
        // Days in order, and of each day the versions in order, sessions without one last.
        let mut days: BTreeMap<(Day, bool, Option<String>), SessionDay> =
            closed.into_iter().map(|day| ((day.day, day.version.is_none(), day.version.clone()), day)).collect();
        let state = self.view.state();
        for OpenSession { session, .. } in state.within(scope) {
            let version = &session.version_tag;
            let day = days.entry((session.date, version.is_none(), version.clone())).or_insert_with(|| SessionDay {
                day: session.date,
                version: version.clone(),
                sessions: 0,
                frustration_sum: 0.0,
                efficiency_sum: 0.0,
            });
            day.sessions += 1;
            day.frustration_sum += session.frustration_score;
            day.efficiency_sum += session.efficiency_score;
        }
        Ok(days.into_values().collect())
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        self.tables.screens(scope).await
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        self.tables.moves(scope).await
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<ProductRelease>, StoreError> {
        self.tables.releases(org_id, product_id).await
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPosition>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let comes_after = |session: &Session| {
            after.is_none_or(|after| {
                let (ours, theirs) = (session.start_us, after.start_us);
                ours < theirs || (ours == theirs && session.session_key > after.session_key)
            })
        };
        // The view is read first: a session that closes meanwhile is then in both, and not in neither.
        let open: Vec<Session> = {
            let state = self.view.state();
            let open = state.within(scope).map(|open| &open.session);
            first(open.filter(|session| comes_after(session)).collect(), limit, newest_first)
        };
        let mut sessions = self.tables.sessions(scope, after, limit).await?;
        let closed: HashSet<String> = sessions.iter().map(|session| session.session_key.clone()).collect();
        sessions.extend(open.into_iter().filter(|session| !closed.contains(&session.session_key)));
        sessions.sort_by(newest_first);
        sessions.truncate(limit);
        Ok(sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPosition>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let order = |date, started_us: i64| (std::cmp::Reverse(date), std::cmp::Reverse(started_us));
        let by_place = |a: &Incident, b: &Incident| {
            let (ours, theirs) = (order(a.date, a.started_us), order(b.date, b.started_us));
            ours.cmp(&theirs).then_with(|| a.incident_id.cmp(&b.incident_id))
        };
        let comes_after = |incident: &Incident| {
            after.is_none_or(|after| {
                let place = (order(after.day, after.started_us), &after.incident_id);
                (order(incident.date, incident.started_us), &incident.incident_id) > place
            })
        };
        let wanted = |incident: &Incident| {
            only.kind.as_ref().is_none_or(|kind| *kind == incident.kind)
                && only.screen_id.as_ref().is_none_or(|screen| *screen == incident.screen_id)
        };
        let open: Vec<Incident> = {
            let state = self.view.state();
            let open = state.within(scope).flat_map(|open| &open.incidents);
            first(open.filter(|incident| wanted(incident) && comes_after(incident)).collect(), limit, by_place)
        };
        let mut incidents = self.tables.incidents(scope, only, after, limit).await?;
        let closed: HashSet<String> = incidents.iter().map(|incident| incident.incident_id.clone()).collect();
        incidents.extend(open.into_iter().filter(|incident| !closed.contains(&incident.incident_id)));
        incidents.sort_by(by_place);
        incidents.truncate(limit);
        Ok(incidents)
    }

    async fn session(&self, lookup: &SessionLookup) -> Result<Option<Session>, StoreError> {
        let open = {
            let state = self.view.state();
            state.named(&lookup.org_id, &lookup.session_key).map(|(_, open)| open.session.clone())
        };
        let meant = |session: &Session| {
            lookup.product_id.as_ref().is_none_or(|product_id| *product_id == session.product_id)
                && lookup.period.is_none_or(|period| (period.from..=period.to).contains(&session.date))
        };
        match open.filter(meant) {
            Some(session) => Ok(Some(session)),
            None => self.tables.session(lookup).await,
        }
    }

    async fn timeline(
        &self,
        org_id: &str,
        session: &Session,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<TimelineEvent>, StoreError> {
        let open = {
            let state = self.view.state();
            state.named(org_id, &session.session_key).map(|(key, open)| (key, Arc::clone(&open.events)))
        };
        let mut timeline = Vec::new();
        if let Some((key, events)) = open {
            for batch in events.of(key, &session.session_key).await? {
                let keys = batch.texts("session_key")?;
                let is_its = |row: &usize| keys.value(*row) == session.session_key;
                if let Some(first) = (0..batch.num_rows()).find(is_its) {
                    let length = (first..batch.num_rows()).take_while(is_its).count();
                    timeline.extend(rows::timeline(&batch.slice(first, length))?);
                }
            }
        }
        // It may have closed meanwhile.
        if timeline.is_empty() {
            return self.tables.timeline(org_id, session, after, limit).await;
        }
        timeline.retain(|event| after.is_none_or(|after| event.position > after));
        timeline.truncate(limit);
        Ok(timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        let open = {
            let state = self.view.state();
            state.named(org_id, &session.session_key).map(|(_, open)| open.incidents.clone())
        };
        match open {
            Some(incidents) => Ok(incidents),
            None => self.tables.session_incidents(org_id, session).await,
        }
    }

    fn tables(&self) -> Vec<TableStatus> {
        self.tables.tables()
    }
}
