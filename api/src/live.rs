//! Sessions that are still open, beside those in the tables.
//!
//!     pipeline ─ each epoch: what changed ─▶ Live ─┐
//!     tables ─▶ InsightStore ──────────────────────┴─▶ LiveStore ─▶ lists, sessions, counts by day
//!
//! An open session is shown within an epoch, with the numbers it has so far, and leaves here when its
//! closed row is in the tables. Hotspots, flows and answers with their arithmetic are of closed sessions.
//!
//! Lists never miss a session that closes while they are read. Counts by day are of two looks, so such a
//! session may be missing from them for an instant.
//!
//! Bounded: at most `sessions_max` sessions; one that finds no room is shown once it is closed. Their events
//! stay where they are, and are asked for when somebody looks at one session.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use hashbrown::{HashMap, HashSet};

use crate::delta::rows::{self, Rows};
use crate::store::{
    Filter, Incident, IncidentFilter, IncidentPlace, InsightStore, MoveSums, Product, Release, Scope, ScreenSums,
    Session, SessionDay, SessionName, SessionPlace, StoreError, TableStatus, TimelineEvent,
};

/// A shard of the pipeline, and the number of a key within it.
type Key = (u32, u32);

/// Organisation and product.
type Owner = (String, String);

/// The open sessions of all shards of this process.
#[derive(Debug)]
pub struct Live {
    state: RwLock<State>,
    sessions_max: usize,
}

#[derive(Debug, Default)]
struct State {
    owners: HashMap<Owner, BTreeMap<Key, Vec<Open>>>,
    keys: HashMap<Key, Owner>,
    sessions: usize,
}

#[derive(Debug)]
struct Open {
    session: Session,
    incidents: Vec<Incident>,
    events: Arc<dyn OpenEvents>,
}

/// Where the events of open sessions are.
#[async_trait]
pub trait OpenEvents: Debug + Send + Sync {
    /// Rows of events_sessionized: those of the session `session_key`, open under `key`, and maybe of others,
    /// session by session. None where it is not open any more.
    async fn of(&self, key: u32, session_key: &str) -> Result<Vec<RecordBatch>, StoreError>;
}

/// Open sessions as rows of the tables they will be in.
#[derive(Debug, Default)]
pub struct Opened {
    /// The key of each session.
    pub keys: Vec<u32>,
    /// Rows of fact_sessions, in the order of `keys`.
    pub sessions: Vec<RecordBatch>,
    /// Rows of fact_incidents.
    pub incidents: Vec<RecordBatch>,
}

impl Live {
    /// None yet, and never more than so many.
    pub fn new(sessions_max: usize) -> Self {
        Self { state: RwLock::default(), sessions_max }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state().sessions
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what changed in a shard: keys that have nothing open any more, and the sessions of others as they are
    /// now, whose events are in `events`.
    pub fn change(
        &self,
        shard: u32,
        gone: &[u32],
        opened: &Opened,
        events: &Arc<dyn OpenEvents>,
    ) -> Result<(), StoreError> {
        let found = opened.read(events)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        gone.iter().chain(&opened.keys).for_each(|&key| state.remove((shard, key)));
        for (key, owner, open) in found {
            if state.sessions >= self.sessions_max {
                break;
            }
            state.add((shard, key), owner, open);
        }
        Ok(())
    }

    /// Forgets a shard that is no longer this process's.
    pub fn forget(&self, shard: u32) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = state.keys.keys().copied().filter(|key| key.0 == shard).collect();
        keys.into_iter().for_each(|key| state.remove(key));
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: Key) {
        let Some(owner) = self.keys.remove(&key) else { return };
        let Some(keys) = self.owners.get_mut(&owner) else { return };
        self.sessions -= keys.remove(&key).map_or(0, |sessions| sessions.len());
        if keys.is_empty() {
            self.owners.remove(&owner);
        }
    }

    fn add(&mut self, key: Key, owner: Owner, open: Open) {
        self.sessions += 1;
        self.keys.entry(key).or_insert_with(|| owner.clone());
        self.owners.entry(owner).or_default().entry(key).or_default().push(open);
    }

    /// The open sessions of a product.
    fn of(&self, org_id: &str, product_id: &str) -> impl Iterator<Item = &Open> {
        let keys = self.owners.get(&(org_id.to_owned(), product_id.to_owned()));
        keys.into_iter().flat_map(BTreeMap::values).flatten()
    }

    fn within(&self, scope: &Scope) -> impl Iterator<Item = &Open> {
        let (period, filter) = (scope.period, &scope.filter);
        let wanted =
            move |open: &&Open| (period.from..=period.to).contains(&open.session.date) && meets(filter, &open.session);
        self.of(&scope.org_id, &scope.product_id).filter(wanted)
    }

    fn named(&self, org_id: &str, session_key: &str) -> Option<(u32, &Open)> {
        let products = self.owners.iter().filter(|(owner, _)| owner.0 == org_id);
        let keys = products.flat_map(|(_, keys)| keys);
        let mut open = keys.flat_map(|(key, sessions)| sessions.iter().map(|open| (key.1, open)));
        open.find(|(_, open)| open.session.session_key == session_key)
    }
}

fn meets(filter: &Filter, session: &Session) -> bool {
    let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    same(&filter.segment, &session.segment)
        && same(&filter.version, &session.version_tag)
        && same(&filter.device, &session.device_type)
        && filter.task_type.as_ref().is_none_or(|wanted| session.task_types.contains(wanted))
}

impl Opened {
    fn read(&self, events: &Arc<dyn OpenEvents>) -> Result<Vec<(u32, Owner, Open)>, StoreError> {
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
                found.push((key, owner, Open { session, incidents, events: Arc::clone(events) }));
            }
        }
        Ok(found)
    }
}

/// Answers from the tables and from what is open.
pub struct LiveStore {
    tables: Arc<dyn InsightStore>,
    live: Arc<Live>,
}

impl LiveStore {
    /// What `tables` answers, and what `live` adds.
    pub fn new(tables: Arc<dyn InsightStore>, live: Arc<Live>) -> Self {
        Self { tables, live }
    }
}

#[async_trait]
impl InsightStore for LiveStore {
    async fn products(&self, org_id: &str) -> Result<Vec<Product>, StoreError> {
        let mut products = self.tables.products(org_id).await?;
        let state = self.live.state();
        for ((_, product_id), keys) in state.owners.iter().filter(|(owner, _)| owner.0 == org_id) {
            for Open { session, .. } in keys.values().flatten() {
                match products.iter_mut().find(|product| product.product_id == *product_id) {
                    Some(product) => {
                        product.first_day = product.first_day.min(session.date);
                        product.last_day = product.last_day.max(session.date);
                        product.sessions += 1;
                    }
                    None => products.push(Product {
                        product_id: product_id.clone(),
                        first_day: session.date,
                        last_day: session.date,
                        sessions: 1,
                    }),
                }
            }
        }
        products.sort_by(|a, b| a.product_id.cmp(&b.product_id));
        Ok(products)
    }

    async fn session_days(&self, scope: &Scope) -> Result<Vec<SessionDay>, StoreError> {
        let mut days = self.tables.session_days(scope).await?;
        let state = self.live.state();
        for Open { session, .. } in state.within(scope) {
            let same = |day: &&mut SessionDay| day.day == session.date && day.version == session.version_tag;
            match days.iter_mut().find(same) {
                Some(day) => {
                    day.sessions += 1;
                    day.frustration_sum += session.frustration_score;
                    day.efficiency_sum += session.efficiency_score;
                }
                None => days.push(SessionDay {
                    day: session.date,
                    version: session.version_tag.clone(),
                    sessions: 1,
                    frustration_sum: session.frustration_score,
                    efficiency_sum: session.efficiency_score,
                }),
            }
        }
        days.sort_by(|a, b| (a.day, a.version.is_none(), &a.version).cmp(&(b.day, b.version.is_none(), &b.version)));
        Ok(days)
    }

    async fn screens(&self, scope: &Scope) -> Result<Vec<ScreenSums>, StoreError> {
        self.tables.screens(scope).await
    }

    async fn moves(&self, scope: &Scope) -> Result<Vec<MoveSums>, StoreError> {
        self.tables.moves(scope).await
    }

    async fn releases(&self, org_id: &str, product_id: &str) -> Result<Vec<Release>, StoreError> {
        self.tables.releases(org_id, product_id).await
    }

    async fn sessions(
        &self,
        scope: &Scope,
        after: Option<&SessionPlace>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let comes_after = |session: &Session| {
            after.is_none_or(|after| {
                let (ours, theirs) = (session.start_us, after.start_us);
                ours < theirs || (ours == theirs && session.session_key > after.session_key)
            })
        };
        // What is open is looked at first: a session that closes now is then in both, and not in neither.
        let open: Vec<Session> = {
            let state = self.live.state();
            let open = state.within(scope).map(|open| &open.session);
            open.filter(|session| comes_after(session)).cloned().collect()
        };
        let mut sessions = self.tables.sessions(scope, after, limit).await?;
        let closed: HashSet<String> = sessions.iter().map(|session| session.session_key.clone()).collect();
        sessions.extend(open.into_iter().filter(|session| !closed.contains(&session.session_key)));
        sessions.sort_by(|a, b| b.start_us.cmp(&a.start_us).then_with(|| a.session_key.cmp(&b.session_key)));
        sessions.truncate(limit);
        Ok(sessions)
    }

    async fn incidents(
        &self,
        scope: &Scope,
        only: &IncidentFilter,
        after: Option<&IncidentPlace>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let order = |date, started_us: i64| (std::cmp::Reverse(date), std::cmp::Reverse(started_us));
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
            let state = self.live.state();
            let open = state.within(scope).flat_map(|open| &open.incidents);
            open.filter(|incident| wanted(incident) && comes_after(incident)).cloned().collect()
        };
        let mut incidents = self.tables.incidents(scope, only, after, limit).await?;
        let closed: HashSet<String> = incidents.iter().map(|incident| incident.incident_id.clone()).collect();
        incidents.extend(open.into_iter().filter(|incident| !closed.contains(&incident.incident_id)));
        incidents.sort_by(|a, b| {
            let (ours, theirs) = (order(a.date, a.started_us), order(b.date, b.started_us));
            ours.cmp(&theirs).then_with(|| a.incident_id.cmp(&b.incident_id))
        });
        incidents.truncate(limit);
        Ok(incidents)
    }

    async fn session(&self, name: &SessionName) -> Result<Option<Session>, StoreError> {
        let open = {
            let state = self.live.state();
            state.named(&name.org_id, &name.session_key).map(|(_, open)| open.session.clone())
        };
        let meant = |session: &Session| {
            name.product_id.as_ref().is_none_or(|product_id| *product_id == session.product_id)
                && name.period.is_none_or(|period| (period.from..=period.to).contains(&session.date))
        };
        match open.filter(meant) {
            Some(session) => Ok(Some(session)),
            None => self.tables.session(name).await,
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
            let state = self.live.state();
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
        // It may just have closed.
        if timeline.is_empty() {
            return self.tables.timeline(org_id, session, after, limit).await;
        }
        timeline.retain(|event| after.is_none_or(|after| event.position > after));
        timeline.truncate(limit);
        Ok(timeline)
    }

    async fn session_incidents(&self, org_id: &str, session: &Session) -> Result<Vec<Incident>, StoreError> {
        let open = {
            let state = self.live.state();
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
