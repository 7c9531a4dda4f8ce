//! The open sessions of all shards, by organisation and product, and by session key.
//!
//! Invariant: a question of one organisation looks at no session of another, and one for a session looks at that
//! session only, however many are open.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashMap;

use super::opened::{OpenSession, OpenSessionEvents, OpenSessionRows, Owner};
use crate::store::{Filter, Scope, Session, StoreError};

/// A shard of the pipeline, and the number of a session key within it.
type Key = (u32, u32);

/// The open sessions of all shards of this process.
#[derive(Debug)]
pub struct OpenSessionsView {
    state: RwLock<ViewState>,
    sessions_max: usize,
}

#[derive(Debug, Default)]
pub(super) struct ViewState {
    orgs: HashMap<String, OrgSessions>,
    keys: HashMap<Key, Owner>,
    sessions: usize,
}

/// The open sessions of a product, by key.
type ProductSessions = BTreeMap<Key, Vec<OpenSession>>;

/// The open sessions of an organisation.
#[derive(Debug, Default)]
struct OrgSessions {
    products: BTreeMap<String, ProductSessions>,
    /// Product and key of each session, by its session_key.
    places: HashMap<String, (String, Key)>,
}

impl OpenSessionsView {
    /// An empty view of at most `sessions_max` sessions.
    pub fn new(sessions_max: usize) -> Self {
        Self { state: RwLock::default(), sessions_max }
    }

    /// Applies a change in a shard: the keys in `gone` have no open session any more; those in `opened` have the
    /// sessions there, whose events are in `events`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Query`] where `opened` does not have the columns of the tables; nothing is applied.
    pub fn apply(
        &self,
        shard: u32,
        gone: &[u32],
        opened: &OpenSessionRows,
        events: &Arc<dyn OpenSessionEvents>,
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

    /// Removes the sessions of a shard that this process no longer has.
    pub fn remove_shard(&self, shard: u32) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = state.keys.keys().copied().filter(|key| key.0 == shard).collect();
        keys.into_iter().for_each(|key| state.remove(key));
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, ViewState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ViewState {
    fn remove(&mut self, key: Key) {
        let Some((org_id, product_id)) = self.keys.remove(&key) else { return };
        let Some(org) = self.orgs.get_mut(&org_id) else { return };
        let Some(keys) = org.products.get_mut(&product_id) else { return };
        let sessions = keys.remove(&key).unwrap_or_default();
        self.sessions -= sessions.len();
        if keys.is_empty() {
            org.products.remove(&product_id);
        }
        for open in sessions {
            org.places.remove(&open.session.session_key);
        }
        if org.products.is_empty() {
            self.orgs.remove(&org_id);
        }
    }

    fn add(&mut self, key: Key, owner: Owner, open: OpenSession) {
        self.sessions += 1;
        self.keys.entry(key).or_insert_with(|| owner.clone());
        let (org_id, product_id) = owner;
        let org = self.orgs.entry(org_id).or_default();
        org.places.insert(open.session.session_key.clone(), (product_id.clone(), key));
        org.products.entry(product_id).or_default().entry(key).or_default().push(open);
    }

    /// The open sessions of each product of an organisation.
    pub(super) fn products(&self, org_id: &str) -> impl Iterator<Item = (&String, impl Iterator<Item = &OpenSession>)> {
        let products = self.orgs.get(org_id).into_iter().flat_map(|org| &org.products);
        products.map(|(product_id, keys)| (product_id, keys.values().flatten()))
    }

    /// The open sessions of a product.
    pub(super) fn of(&self, org_id: &str, product_id: &str) -> impl Iterator<Item = &OpenSession> {
        let keys = self.orgs.get(org_id).and_then(|org| org.products.get(product_id));
        keys.into_iter().flat_map(BTreeMap::values).flatten()
    }

    pub(super) fn within(&self, scope: &Scope) -> impl Iterator<Item = &OpenSession> {
        let (period, filter) = (scope.period, &scope.filter);
        let wanted = move |open: &&OpenSession| {
            (period.from..=period.to).contains(&open.session.date) && meets(filter, &open.session)
        };
        self.of(&scope.org_id, &scope.product_id).filter(wanted)
    }

    /// The session of an organisation with this session_key, and the number of its key.
    pub(super) fn named(&self, org_id: &str, session_key: &str) -> Option<(u32, &OpenSession)> {
        let org = self.orgs.get(org_id)?;
        let (product_id, key) = org.places.get(session_key)?;
        let mut sessions = org.products.get(product_id)?.get(key)?.iter();
        sessions.find(|open| open.session.session_key == session_key).map(|open| (key.1, open))
    }
}

fn meets(filter: &Filter, session: &Session) -> bool {
    let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    same(&filter.segment, &session.segment)
        && same(&filter.version, &session.version_tag)
        && same(&filter.device, &session.device_type)
        && filter.task_type.as_ref().is_none_or(|wanted| session.task_types.contains(wanted))
}
