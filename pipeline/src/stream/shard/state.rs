//! What a shard knows after its last epoch: its open sessions, its position on the bus, its files in the tables.
//!
//!     newest state file ─▶ the epochs since: [from, to) of the bus again, closed at their watermarks ─▶ ShardState
//!
//! An epoch takes the events of its range and closes sessions at its watermark, and its manifest has both. So a
//! restart rebuilds the open sessions from the last state file and the ranges since, and the state file is written
//! only once as many events came as are open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netcrab_operators::chain;
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::streaming::OpenSessions;
use netcrab_schema::arrow::event_in_flight;
use netcrab_sinks::RunId;

use crate::checkpoints::Checkpoints;
use crate::checkpoints::manifest::{
    LastChange, LastChanges, LateKeys, Manifest, NO_WATERMARK, StateFile, digest, history,
};
use crate::error::{Error, Result};
use crate::plans::resources::ACTIONS_MAX;
use crate::stream::context::StreamContext;
use crate::stream::repair::{self, ReopenedSessions};
use crate::stream::table_files::TableFiles;

/// How far the watermark moves between two searches for keys that may be forgotten, ms.
const FORGET_EVERY_MS: i64 = 3_600_000;

/// Open sessions, position and files of a shard.
pub struct ShardState {
    number: u32,
    open: Arc<Mutex<OpenSessions>>,
    position: ShardPosition,
    /// The shard's files in the tables.
    pub(super) files: TableFiles,
    idle_since_ms: Option<i64>,
}

/// Where the last epoch left the shard.
#[derive(Debug, Clone)]
pub(super) struct ShardPosition {
    pub(super) epoch: u64,
    /// Digest of its manifest.
    pub(super) digest: String,
    /// The next offset of the bus.
    pub(super) next: u64,
    pub(super) watermark_ms: i64,
    pub(super) latest_ms: i64,
    forgotten_ms: i64,
    /// Late events that wait for a repair.
    pub(super) late: LateKeys,
    /// Late events under repair; no session of these keys closes meanwhile.
    pub(super) repairing: LateKeys,
    /// The latest watermark that closed anything, the end of a stream included.
    pub(super) closed_ms: i64,
    pub(super) rules: String,
    pub(super) rules_since_ms: i64,
    /// The last epoch that changed each table.
    pub(super) changed: LastChanges,
    /// The digest of the last event that was read.
    pub(super) last_event: Option<String>,
    /// Events that the bus lost.
    pub(super) lost: u64,
    /// The newest epoch with a state file; 0 before there is one.
    state_epoch: u64,
    /// Events since then.
    events_since_state: u64,
}

impl Default for ShardPosition {
    fn default() -> Self {
        Self {
            epoch: 0,
            digest: String::new(),
            next: 0,
            watermark_ms: NO_WATERMARK,
            latest_ms: NO_WATERMARK,
            forgotten_ms: NO_WATERMARK,
            late: LateKeys::new(),
            repairing: LateKeys::new(),
            closed_ms: NO_WATERMARK,
            rules: String::new(),
            rules_since_ms: NO_WATERMARK,
            changed: LastChanges::new(),
            last_event: None,
            lost: 0,
            state_epoch: 0,
            events_since_state: 0,
        }
    }
}

impl ShardPosition {
    /// Notes that an epoch changed its tables; `bytes` are those of its manifest.
    fn note_changes(&mut self, manifest: &Manifest, bytes: &[u8]) {
        let change = LastChange { epoch: manifest.epoch, history: Some(history(bytes)) };
        let changed = manifest.tables.iter().filter(|(_, change)| !change.is_empty());
        self.changed.extend(changed.map(|(table, _)| (table.clone(), change)));
    }
}

impl ShardState {
    /// Rebuilds the state after `newest`, a manifest and its bytes; an empty one where there is none. `changed` says
    /// which epochs before it changed the tables.
    pub(super) async fn restore(
        context: &StreamContext,
        number: u32,
        checkpoints: &Checkpoints,
        rules: &Rules,
        newest: Option<(Manifest, Vec<u8>)>,
        changed: LastChanges,
    ) -> Result<Self> {
        let fields = event_in_flight().fields().clone();
        let open = OpenSessions::new(&fields, rules.sessionize.clone(), ACTIONS_MAX)?;
        let mut state = Self {
            number,
            open: Arc::new(Mutex::new(open)),
            position: ShardPosition::default(),
            files: TableFiles::default(),
            idle_since_ms: None,
        };
        let Some((newest, bytes)) = newest else { return Ok(state) };
        let restored = state.replay_since_state_file(context, checkpoints, rules, &newest).await;
        restored.map_err(|source| Error::Restore { source: Box::new(source) })?;
        state.position.digest = digest(&bytes);
        state.position.changed = changed;
        state.position.note_changes(&newest, &bytes);
        state.files = TableFiles::read(&context.sink, number).await?;
        Ok(state)
    }

    /// The number of the shard.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The next offset of the bus to read.
    pub fn next_offset(&self) -> u64 {
        self.position.next
    }

    /// The watermark of the last epoch, ms.
    pub fn watermark_ms(&self) -> i64 {
        self.position.watermark_ms
    }

    /// The number of the last epoch; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.position.epoch
    }

    /// How many keys have late events that wait for a repair or are in one.
    pub fn late_keys(&self) -> usize {
        self.position.late.len() + self.position.repairing.len()
    }

    /// What is open: sessions, events, bytes of memory.
    pub fn open_counts(&self) -> (usize, usize, usize) {
        let open = self.open();
        (open.counts().sessions, open.counts().events, open.memory())
    }

    /// The open sessions as a state file has them.
    ///
    /// # Errors
    /// None but what writing to memory gives.
    pub fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open().write(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn position(&self) -> &ShardPosition {
        &self.position
    }

    /// The open sessions, locked.
    pub(super) fn open(&self) -> MutexGuard<'_, OpenSessions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open sessions, shared with plans.
    pub(super) fn shared(&self) -> Arc<Mutex<OpenSessions>> {
        Arc::clone(&self.open)
    }

    /// For how long the bus had nothing new at `now_ms`, where it has nothing now (`idle`), ms.
    pub(super) fn idle_ms(&mut self, idle: bool, now_ms: i64) -> i64 {
        self.idle_since_ms = idle.then(|| self.idle_since_ms.unwrap_or(now_ms));
        self.idle_since_ms.map_or(0, |since| now_ms - since)
    }

    /// Opens sessions again, and releases the keys that were held for their repair.
    pub(super) fn reopen(&self, reopened: &[ReopenedSessions]) -> Result<()> {
        let mut open = self.open();
        open.hold([]);
        for of_key in reopened {
            open.reopen(&of_key.events, of_key.sessions, of_key.closed_until)?;
        }
        Ok(())
    }

    /// Holds the sessions of keys under repair open, and no others.
    pub(super) fn hold_keys_under_repair(&self) {
        self.open().hold(self.position.repairing.keys());
    }

    /// Forgets keys that closed long before the watermark; returns up to which watermark keys are forgotten, ms.
    pub(super) fn forget(&self, context: &StreamContext, watermark_ms: i64) -> i64 {
        let before = watermark_ms.saturating_sub(context.settings.remember_ms);
        // At the end of a stream the watermark is infinite, and no key is forgotten for that.
        if watermark_ms == i64::MAX || before.saturating_sub(self.position.forgotten_ms) < FORGET_EVERY_MS {
            return self.position.forgotten_ms;
        }
        self.open().forget(before);
        before
    }

    /// Writes a state file for the next epoch, which has `events` events, where as many events came since the last one
    /// as are open; `run` names the file.
    pub(super) async fn write(
        &self,
        context: &StreamContext,
        checkpoints: &Checkpoints,
        events: usize,
        run: &RunId,
    ) -> Result<Option<StateFile>> {
        let events = self.position.events_since_state + events as u64;
        let open = self.open().counts().events as u64;
        if events < context.settings.state_events_min.max(open) {
            return Ok(None);
        }
        let (to, open) = (checkpoints.clone(), self.shared());
        let write = move || {
            let open = open.lock().unwrap_or_else(PoisonError::into_inner);
            to.draft(|file| open.write(file))
        };
        let draft = tokio::task::spawn_blocking(write).await??;
        Ok(Some(checkpoints.publish(draft, "state", self.position.epoch + 1, run).await?))
    }

    /// Moves the position behind a committed epoch; `bytes` are those of its manifest.
    pub(super) fn advance(&mut self, manifest: &Manifest, bytes: &[u8], finished: bool) {
        let position = &mut self.position;
        if manifest.state.is_some() {
            (position.state_epoch, position.events_since_state) = (manifest.epoch, 0);
        } else {
            position.events_since_state += manifest.events;
        }
        position.epoch = manifest.epoch;
        position.digest = digest(bytes);
        position.note_changes(manifest, bytes);
        position.last_event.clone_from(&manifest.last_event);
        position.lost = manifest.lost;
        position.next = manifest.to;
        position.latest_ms = manifest.latest_ms;
        position.forgotten_ms = manifest.forgotten_ms;
        if manifest.state.is_some() {
            (position.late, position.repairing) = (manifest.late_before.clone(), manifest.repairing_before.clone());
        }
        if manifest.repaired {
            position.repairing.clear();
        }
        if manifest.repair_begins {
            (position.repairing, position.late) = repair::take_batch(&position.late);
        }
        repair::merge_late(&mut position.late, &manifest.late);
        (position.rules, position.rules_since_ms) = (manifest.rules.clone(), manifest.rules_since_ms);
        position.closed_ms = position.closed_ms.max(manifest.watermark_ms);
        // A stream that ended may go on, so the infinite watermark of its end is not kept.
        if !finished || manifest.watermark_ms != i64::MAX {
            position.watermark_ms = manifest.watermark_ms;
        }
    }

    /// Releases what no restart needs: events of the bus before the state file, and epochs before it.
    pub(super) async fn release(&self, context: &StreamContext, checkpoints: &Checkpoints) -> Result<()> {
        if self.position.state_epoch == 0 || self.position.state_epoch != self.position.epoch {
            return Ok(());
        }
        context.bus.release(self.number, self.position.next).await?;
        checkpoints.delete_before(self.position.state_epoch).await?;
        Ok(())
    }

    /// Reads the newest state file and repeats the epochs since.
    async fn replay_since_state_file(
        &mut self,
        context: &StreamContext,
        checkpoints: &Checkpoints,
        rules: &Rules,
        newest: &Manifest,
    ) -> Result<()> {
        let mut epochs: Vec<Manifest> = Vec::new();
        for epoch in checkpoints.epochs().await?.into_iter().rev() {
            let (manifest, _) = checkpoints.read(epoch).await?;
            let has_state = manifest.state.is_some();
            epochs.push(manifest);
            if has_state {
                break;
            }
        }
        let oldest = epochs.last().map_or(newest.epoch, |manifest| manifest.epoch);
        if oldest != 1 && epochs.last().is_none_or(|manifest| manifest.state.is_none()) {
            return Err(Error::EpochsMissing { shard: self.number, before: oldest });
        }
        for manifest in epochs.iter().rev() {
            match &manifest.state {
                Some(file) => self.read_state(checkpoints, rules, file).await?,
                None => self.replay(context, checkpoints, manifest).await?,
            }
            let finished = manifest.watermark_ms == i64::MAX;
            self.advance(manifest, &[], finished);
            self.hold_keys_under_repair();
        }
        Ok(())
    }

    async fn read_state(&mut self, checkpoints: &Checkpoints, rules: &Rules, file: &StateFile) -> Result<()> {
        let (mut bytes, sessionize) = (checkpoints.open_state(file).await?, rules.sessionize.clone());
        let read = move || OpenSessions::read(&mut bytes, event_in_flight().fields(), sessionize, ACTIONS_MAX);
        self.open = Arc::new(Mutex::new(tokio::task::spawn_blocking(read).await??));
        Ok(())
    }

    /// Does to the open sessions what an epoch did to them.
    async fn replay(&self, context: &StreamContext, checkpoints: &Checkpoints, manifest: &Manifest) -> Result<()> {
        if manifest.repaired {
            let reopened = match &manifest.reopened {
                Some(file) => repair::read_reopened(checkpoints.open_state(file).await?)?,
                None => Vec::new(),
            };
            self.reopen(&reopened)?;
        }
        let mut next = manifest.from;
        while next < manifest.to {
            let bytes_max = context.settings.epoch_bytes_max;
            let fetched = context.bus.read(self.number, next, Some(manifest.to), bytes_max).await?;
            if fetched.next == next {
                return Err(Error::BusLacksEpoch { shard: self.number, from: next, epoch: manifest.epoch });
            }
            next = fetched.next;
            let mut open = self.open();
            for batch in &fetched.batches {
                open.push(batch)?;
            }
        }
        let mut open = self.open();
        let schema = netcrab_operators::session::schema(chain::event_fields(&[]));
        let mut closing = open.close(manifest.watermark_ms)?;
        while open.next_closed(&mut closing, &schema)?.is_some() {}
        // The manifest has the late events of the epoch.
        open.take_late();
        if manifest.forgotten_ms > self.position.forgotten_ms {
            open.forget(manifest.forgotten_ms);
        }
        Ok(())
    }
}
