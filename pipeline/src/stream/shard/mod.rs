//! One shard: its epochs, one after another, and where it goes on after a kill.

mod maintenance;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use netcrab_api::open_sessions::OpenSessionRows;
use netcrab_bus::{Bus, Fault, Fetched};
use netcrab_operators::chain::{self, DERIVED, TablePlan};
use netcrab_operators::rules::Rules;
use netcrab_operators::sessionize::streaming::{OpenSessions, StreamingSessionizeExec};
use netcrab_schema::Table;
use netcrab_schema::arrow::event_in_flight;
use netcrab_schema::tables::{EVENTS_RAW, EVENTS_SESSIONIZED, FACT_INCIDENTS, FACT_SESSIONS, REJECTS};
use netcrab_sinks::clickhouse::ClickHouse;
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Change, Position, RunId, Sink};
use netcrab_sources::reject;
use xxhash_rust::xxh3::xxh3_128;

use self::maintenance::{RunningCompaction, RunningRepair, maintenance_context};
use super::crash_points::{self, Step};
use super::open_sessions::feed::{FeedChange, OpenSessionFeed};
use super::open_sessions::view::OpenSessionView;
use super::publish;
use super::repair::{self, ReopenedSessions};
use super::table_files::TableFiles;
use super::watermark::{self, WatermarkInput};
use crate::checkpoints::Checkpoints;
use crate::checkpoints::folder::Folder;
use crate::checkpoints::manifest::{FORMAT, LateKeys, Manifest, NO_WATERMARK, StateFile, digest};
use crate::config::stream::StreamSettings;
use crate::plans::date_exec::DatedExec;
use crate::plans::resources::ACTIONS_MAX;
use crate::plans::staging::{Staging, stage_all};
use crate::plans::table_order::in_table_order;

/// How far the watermark goes between two looks for what may be forgotten, ms.
const FORGET_EVERY_MS: i64 = 3_600_000;

/// The table that ClickHouse notes the epochs of all tables under.
pub const POSITION_TABLE: &Table = &EVENTS_RAW;

/// What all shards of a process share.
pub struct StreamContext {
    /// Where events come from.
    pub bus: Arc<dyn Bus>,
    /// Where tables go.
    pub sink: DeltaSink,
    /// Where the tables lie too.
    pub clickhouse: Option<ClickHouse>,
    /// How the stream runs.
    pub settings: StreamSettings,
    /// Memory and threads of the plans.
    pub context: Arc<TaskContext>,
    /// Where open sessions are shown, if anywhere.
    pub live: Option<Arc<dyn OpenSessionFeed>>,
}

/// What is asked of an epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochRequest<'a> {
    /// The clock, ms.
    pub now_ms: i64,
    /// Whether the stream has ended: then every session is closed.
    pub finish: bool,
    /// The rules to derive with.
    pub rules: &'a Arc<Rules>,
}

/// What an epoch did.
#[derive(Debug, Clone, Default)]
pub struct EpochReport {
    /// Its number.
    pub epoch: u64,
    /// Events read.
    pub events: u64,
    /// Sessions closed.
    pub closed: u64,
    /// Events that came too late for their session.
    pub late: u64,
    /// How many offsets more the bus had than one epoch takes on.
    pub lag: u64,
    /// How long each step took, in the order of the steps.
    pub steps: Vec<(Step, Duration)>,
}

/// A shard that this process works on.
pub struct Shard {
    shared: Arc<StreamContext>,
    number: u32,
    checkpoints: Checkpoints,
    state: Arc<Mutex<OpenSessions>>,
    done: ShardPosition,
    files: TableFiles,
    compacting: Option<RunningCompaction>,
    repairing: Option<RunningRepair>,
    idle_since_ms: Option<i64>,
    /// Since when late events wait.
    late_since_ms: Option<i64>,
    /// No repair is tried before this, after one that failed.
    repair_again_ms: i64,
    /// Tables whose small files could not be brought together; not tried again until the shard is opened anew.
    uncompactable: BTreeSet<&'static str>,
}

/// Where the last epoch left the shard.
#[derive(Debug, Clone)]
struct ShardPosition {
    epoch: u64,
    digest: String,
    next: u64,
    watermark_ms: i64,
    latest_ms: i64,
    forgotten_ms: i64,
    /// LateKeys events that wait.
    late: LateKeys,
    /// LateKeys events on their way to their sessions; none of these closes.
    repairing: LateKeys,
    /// The latest watermark that closed anything, the end of a stream included.
    closed_ms: i64,
    rules: String,
    rules_since_ms: i64,
    /// The newest epoch whose open sessions were written; 0 before there is one.
    state_epoch: u64,
    /// Events since then.
    events_since: u64,
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
            state_epoch: 0,
            events_since: 0,
        }
    }
}

/// How the last steps of an epoch are timed.
struct StepTimer {
    steps: Vec<(Step, Duration)>,
    since: Instant,
}

impl StepTimer {
    fn new() -> Self {
        Self { steps: Vec::with_capacity(Step::ALL.len()), since: Instant::now() }
    }

    /// Ends a step, behind which tests may kill the process.
    fn done(&mut self, step: Step) {
        crash_points::after(step);
        self.took(step);
    }

    fn took(&mut self, step: Step) {
        self.steps.push((step, self.since.elapsed()));
        self.since = Instant::now();
    }
}

impl Shard {
    /// Takes the shard up where its last epoch left it: applies that epoch where it was not, and reads
    /// the open sessions anew.
    pub async fn open(shared: Arc<StreamContext>, number: u32, rules: &Arc<Rules>) -> Result<Self> {
        let folder = Folder::of(&shared.sink)?;
        folder.register(&shared.context.runtime_env());
        let checkpoints = Checkpoints::open(&folder, number)?;
        let fields = event_in_flight().fields().clone();
        let state = OpenSessions::new(&fields, rules.sessionize.clone(), ACTIONS_MAX)?;
        let mut shard = Self {
            shared,
            number,
            checkpoints,
            state: Arc::new(Mutex::new(state)),
            done: ShardPosition::default(),
            files: TableFiles::default(),
            compacting: None,
            repairing: None,
            idle_since_ms: None,
            late_since_ms: None,
            repair_again_ms: i64::MIN,
            uncompactable: BTreeSet::new(),
        };
        shard.check_clickhouse().await?;
        let Some((newest, bytes)) = shard.checkpoints.newest().await? else { return Ok(shard) };
        if !shard.checkpoints.applied(newest.epoch).await? {
            shard.apply(&newest, &mut StepTimer::new()).await?;
        }
        shard.restore(rules, &newest).await.context("the open sessions could not be read back")?;
        shard.done.digest = digest(&bytes);
        shard.files = TableFiles::read(&shard.shared.sink, number).await?;
        Ok(shard)
    }

    /// Refuses a ClickHouse that lacks epochs whose files may be gone by now.
    async fn check_clickhouse(&self) -> Result<()> {
        let Some(server) = &self.shared.clickhouse else { return Ok(()) };
        let name = writer(self.number);
        let noted = server.position(POSITION_TABLE, &name).await?.unwrap_or(0);
        let applied = self.checkpoints.last_applied().await?;
        if noted >= applied as i64 {
            return Ok(());
        }
        Err(ClickHouseBehind { shard: self.number, noted, applied }.into())
    }

    /// The number of the shard.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The next offset of the bus to read.
    pub fn next_offset(&self) -> u64 {
        self.done.next
    }

    /// The watermark of the last epoch, ms.
    pub fn watermark_ms(&self) -> i64 {
        self.done.watermark_ms
    }

    /// The number of the last epoch; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.done.epoch
    }

    /// How many keys have late events that wait for a repair or are in one.
    pub fn late(&self) -> usize {
        self.done.late.len() + self.done.repairing.len()
    }

    /// What is open: sessions, events, bytes.
    pub fn open_sessions(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.counts().sessions, state.counts().events, state.memory())
    }

    /// The open sessions as they would be written.
    pub fn state_bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.lock().write(&mut bytes)?;
        Ok(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, OpenSessions> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the next epoch; `None` where there is nothing to do. After an error the shard must be opened anew.
    pub async fn step(&mut self, request: EpochRequest<'_>) -> Result<Option<EpochReport>> {
        let mut timer = StepTimer::new();
        crash_points::before(Step::Read);
        let repair = self.repaired(request).await?;
        let Some(plan) = self.plan(request, repair.is_some()).await? else { return Ok(None) };
        timer.done(Step::Read);

        crash_points::before(Step::Stage);
        if let Some(repair) = &repair {
            self.reopen(&repair.reopened)?;
        }
        let mut tables = self.stage(&plan, request.rules).await?;
        let maintenance_changes = match &repair {
            Some(repair) => {
                let mut changes = repair.changes.clone();
                let place = maintenance_context(&self.shared, &self.files, request.rules, &plan.name, self.number)?;
                repair::reinsert_concurrent_rows(&place, &mut changes).await?;
                changes
            }
            None => self.maintenance_changes(&plan, request).await,
        };
        add_changes(&mut tables, maintenance_changes);
        timer.done(Step::Stage);

        crash_points::before(Step::Sync);
        self.keep(&tables).await?;
        timer.done(Step::Sync);

        let late = self.lock().take_late();
        let forgotten_ms = self.forget(plan.watermark_ms);
        crash_points::before(Step::State);
        let reopened = repair.as_ref().filter(|repair| !repair.reopened.is_empty());
        let reopened = match reopened {
            Some(repair) => {
                let draft = self.checkpoints.draft(|to| repair::write_reopened(&repair.reopened, to))?;
                Some(self.checkpoints.publish(draft, "reopened", plan.epoch, &plan.run).await?)
            }
            None => None,
        };
        let state = self.write_state(&plan).await?;
        timer.done(Step::State);

        let before = |late: &LateKeys| if state.is_some() { late.clone() } else { LateKeys::new() };
        let (late_before, repairing_before) = (before(&self.done.late), before(&self.done.repairing));
        let manifest = Manifest {
            format: FORMAT,
            shard: self.number,
            epoch: plan.epoch,
            parent: self.done.digest.clone(),
            from: self.done.next,
            to: plan.fetched.next,
            events: plan.fetched.rows() as u64,
            watermark_ms: plan.watermark_ms,
            latest_ms: plan.latest_ms,
            forgotten_ms,
            state,
            reopened,
            late: late.since,
            late_before,
            repairing_before,
            begins: plan.begins,
            repaired: repair.is_some(),
            tables,
            rules: plan.rules.clone(),
            rules_since_ms: plan.rules_since_ms,
        };
        let bytes = manifest.to_bytes()?;
        crash_points::before(Step::Commit);
        self.checkpoints.commit(plan.epoch, &bytes).await?;
        timer.done(Step::Commit);

        self.apply(&manifest, &mut timer).await?;
        self.advance(&manifest, &bytes, request.finish);
        self.files.apply(&manifest.tables);
        if plan.begins {
            self.hold();
            self.late_since_ms = None;
        }
        // One thing beside the epochs after another.
        if self.compacting.is_none() && self.done.repairing.is_empty() && !request.finish {
            self.compacting = self.compact(&plan, request.rules);
        }
        crash_points::before(Step::Release);
        self.release().await?;
        timer.done(Step::Release);
        let closed = manifest.tables.get("fact_sessions").map_or(0, rows);
        Ok(Some(EpochReport {
            epoch: plan.epoch,
            events: manifest.events,
            closed,
            late: late.events as u64,
            lag: plan.lag,
            steps: timer.steps,
        }))
    }

    /// Decides what the next epoch is; `None` where it would change nothing.
    async fn plan(&mut self, request: EpochRequest<'_>, repaired: bool) -> Result<Option<EpochPlan>> {
        let StreamSettings { epoch_bytes_max, .. } = self.shared.settings;
        let fetched = self.shared.bus.read(self.number, self.done.next, None, epoch_bytes_max).await?;
        for fault in &fetched.faults {
            let Fault { shard, offsets, reason, .. } = fault;
            tracing::warn!(shard, ?offsets, %reason, "no event on the bus; see the table rejects");
        }
        let end = self.shared.bus.bounds(self.number).await?.end;
        let latest_ms = fetched.batches.iter().filter_map(latest).fold(self.done.latest_ms, i64::max);
        let idle = fetched.next == self.done.next;
        let idle_since_ms = if idle { Some(self.idle_since_ms.unwrap_or(request.now_ms)) } else { None };
        self.idle_since_ms = idle_since_ms;
        let known = WatermarkInput {
            previous_ms: self.done.watermark_ms,
            latest_ms,
            idle_ms: idle_since_ms.map_or(0, |since| request.now_ms - since),
            now_ms: request.now_ms,
        };
        let watermark_ms = match request.finish && fetched.next == end {
            true => i64::MAX,
            false => watermark::next(&self.shared.settings, known),
        };
        let due = self.lock().next_due().is_some_and(|due| due <= watermark_ms);
        let begins = self.repair_due(request);
        let compacted = self.compacting.as_ref().is_some_and(|compacting| compacting.task.is_finished());
        if idle && !due && !begins && !repaired && !compacted {
            return Ok(None);
        }
        let epoch = self.done.epoch + 1;
        let rules =
            digest(&[env!("CARGO_PKG_VERSION").as_bytes(), &serde_json::to_vec(request.rules.as_ref())?].concat());
        let rules_since_ms = if rules == self.done.rules { self.done.rules_since_ms } else { self.done.closed_ms };
        let name = format!(
            "{} {epoch} {} {} {} {watermark_ms} {rules} {repaired}",
            self.number, self.done.digest, self.done.next, fetched.next,
        );
        let run = RunId::of_shard(self.number, xxh3_128(name.as_bytes()));
        let lag = end.saturating_sub(fetched.next);
        Ok(Some(EpochPlan { epoch, name, run, fetched, watermark_ms, latest_ms, rules, rules_since_ms, lag, begins }))
    }

    /// Runs the plans of an epoch; gives what they staged.
    async fn stage(&self, plan: &EpochPlan, rules: &Arc<Rules>) -> Result<BTreeMap<String, Change>> {
        let plans = self.plans(plan, rules)?;
        let mut staging = Staging { sink: &self.shared.sink, staged: Vec::new() };
        let ids = |_: &netcrab_schema::Table| &plan.run;
        // What an epoch that fails has staged stays as litter: another process that works on the same epoch
        // stages files of the same names, and may have committed them.
        stage_all(&self.shared.sink, &plans, &self.shared.context, &ids, &mut staging).await?;
        let changes = staging.staged.into_iter().filter(|(_, staged)| !staged.parts.is_empty());
        let change =
            changes.map(|(table, staged)| (table.name.to_owned(), Change { added: staged.parts, ..Change::default() }));
        Ok(change.collect())
    }

    /// Opens sessions again, and lets close what was held for their repair.
    fn reopen(&self, reopened: &[ReopenedSessions]) -> Result<()> {
        let mut state = self.lock();
        state.hold([]);
        reopened.iter().try_for_each(|of_key| {
            state.reopen(&of_key.events, of_key.sessions, of_key.closed_until).map_err(anyhow::Error::from)
        })
    }

    /// Holds open what is under repair, and nothing else.
    fn hold(&self) {
        self.lock().hold(self.done.repairing.keys());
    }

    fn plans(&self, plan: &EpochPlan, rules: &Arc<Rules>) -> Result<Vec<TablePlan>> {
        let events = || -> Result<Arc<dyn ExecutionPlan>> {
            let batches = plan.fetched.batches.clone();
            Ok(MemorySourceConfig::try_new_exec(&[batches], event_in_flight(), None)?)
        };
        let columns = chain::event_fields(&DERIVED);
        let sessions = StreamingSessionizeExec::new(events()?, Arc::clone(&self.state), plan.watermark_ms, columns)?;
        let mut plans = chain::plans_over(Arc::new(sessions), rules, &DERIVED);
        plans.push((&EVENTS_RAW, Arc::new(DatedExec::new(events()?))));
        if !plan.fetched.faults.is_empty() {
            let rows = vec![rejected(&plan.fetched.faults)?];
            plans.push((&REJECTS, MemorySourceConfig::try_new_exec(&[rows], REJECTS.in_flight(), None)?));
        }
        plans.into_iter().map(|(table, plan)| Ok((table, in_table_order(table, plan)?))).collect()
    }

    async fn keep(&self, tables: &BTreeMap<String, Change>) -> Result<()> {
        for (name, change) in tables {
            let staged = netcrab_sinks::Staged { parts: change.staged().cloned().collect() };
            self.shared.sink.keep(table(name)?, &staged).await?;
        }
        Ok(())
    }

    /// Forgets keys that closed long before the watermark, where it is time to look.
    fn forget(&self, watermark_ms: i64) -> i64 {
        let before = watermark_ms.saturating_sub(self.shared.settings.remember_ms);
        // The end of a stream is no reason to forget anybody.
        if watermark_ms == i64::MAX || before.saturating_sub(self.done.forgotten_ms) < FORGET_EVERY_MS {
            return self.done.forgotten_ms;
        }
        self.lock().forget(before);
        before
    }

    /// Writes the open sessions where as many events came since they last were as are open.
    async fn write_state(&self, plan: &EpochPlan) -> Result<Option<StateFile>> {
        let events = self.done.events_since + plan.fetched.rows() as u64;
        let open = self.lock().counts().events as u64;
        if events < self.shared.settings.state_events_min.max(open) {
            return Ok(None);
        }
        let (checkpoints, state) = (self.checkpoints.clone(), Arc::clone(&self.state));
        let write = move || {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoints.draft(|to| state.write(to))
        };
        let draft = tokio::task::spawn_blocking(write).await??;
        Ok(Some(self.checkpoints.publish(draft, "state", plan.epoch, &plan.run).await?))
    }

    /// Changes the tables as a committed epoch says, and notes it; what was changed before is left alone.
    async fn apply(&self, manifest: &Manifest, timer: &mut StepTimer) -> Result<()> {
        let position = Position { writer: writer(self.number), number: i64::try_from(manifest.epoch)? };
        for (name, change) in manifest.tables.iter().filter(|(_, change)| !change.is_empty()) {
            crash_points::before(Step::Apply);
            self.shared.sink.apply(table(name)?, &position, change).await?;
            crash_points::after(Step::Apply);
        }
        timer.took(Step::Apply);
        crash_points::before(Step::Insert);
        self.insert(manifest, &position).await?;
        timer.done(Step::Insert);
        crash_points::before(Step::Publish);
        publish::publish(&self.shared, manifest).await?;
        timer.done(Step::Publish);
        crash_points::before(Step::Applied);
        self.checkpoints.mark_applied(manifest.epoch).await?;
        timer.done(Step::Applied);
        Ok(())
    }

    /// Changes the tables in ClickHouse, all at once; an epoch that is noted there is left alone.
    async fn insert(&self, manifest: &Manifest, position: &Position) -> Result<()> {
        let Some(server) = &self.shared.clickhouse else { return Ok(()) };
        if server.position(POSITION_TABLE, &position.writer).await?.is_some_and(|number| number >= position.number) {
            return Ok(());
        }
        let written = manifest.tables.iter().map(|(name, change)| async move {
            server.write(table(name)?, self.number, position, change, &self.shared.sink).await?;
            anyhow::Ok(())
        });
        futures::future::try_join_all(written).await?;
        server.note(POSITION_TABLE, position).await?;
        Ok(())
    }

    /// Notes where a committed epoch left the shard.
    fn advance(&mut self, manifest: &Manifest, bytes: &[u8], finished: bool) {
        let done = &mut self.done;
        if manifest.state.is_some() {
            (done.state_epoch, done.events_since) = (manifest.epoch, 0);
        } else {
            done.events_since += manifest.events;
        }
        done.epoch = manifest.epoch;
        done.digest = digest(bytes);
        done.next = manifest.to;
        done.latest_ms = manifest.latest_ms;
        done.forgotten_ms = manifest.forgotten_ms;
        if manifest.state.is_some() {
            (done.late, done.repairing) = (manifest.late_before.clone(), manifest.repairing_before.clone());
        }
        if manifest.repaired {
            done.repairing.clear();
        }
        if manifest.begins {
            (done.repairing, done.late) = repair::take_batch(&done.late);
        }
        repair::merge_late(&mut done.late, &manifest.late);
        (done.rules, done.rules_since_ms) = (manifest.rules.clone(), manifest.rules_since_ms);
        done.closed_ms = done.closed_ms.max(manifest.watermark_ms);
        // A stream that ended may go on: then its end was no time that passed.
        if !finished || manifest.watermark_ms != i64::MAX {
            done.watermark_ms = manifest.watermark_ms;
        }
    }

    /// Lets go of what no restart needs: events before the written state, and epochs before it.
    async fn release(&self) -> Result<()> {
        if self.done.state_epoch == 0 || self.done.state_epoch != self.done.epoch {
            return Ok(());
        }
        self.shared.bus.release(self.number, self.done.next).await?;
        self.checkpoints.delete_before(self.done.state_epoch).await?;
        Ok(())
    }

    /// Shows what is open from now on, in place of what was shown before.
    pub fn show(&self) {
        if let Some(live) = &self.shared.live {
            live.restart(self.number);
            self.lock().note_changes(self.shared.settings.live_sessions_max);
        }
    }

    /// Shows the sessions that changed since this was last done.
    pub async fn show_changes(&self, rules: &Arc<Rules>) -> Result<()> {
        let Some(live) = &self.shared.live else { return Ok(()) };
        if live.needs_restart(self.number) {
            self.show();
        }
        let (open, gone) = self.lock().take_changed();
        if open.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let view = OpenSessionView {
            state: Arc::clone(&self.state),
            rules: Arc::clone(rules),
            context: Arc::clone(&self.shared.context),
        };
        let shown: &[&Table] = if live.wants_events() {
            &[&FACT_SESSIONS, &FACT_INCIDENTS, &EVENTS_SESSIONIZED]
        } else {
            &[&FACT_SESSIONS, &FACT_INCIDENTS]
        };
        let (keys, tables) = view.rows(open, shown).await?;
        let mut tables = tables.into_iter();
        let mut next = || tables.next().unwrap_or_default();
        let opened = OpenSessionRows { keys, sessions: next(), incidents: next() };
        live.change(self.number, FeedChange { gone, opened, events: next(), events_on_demand: Arc::new(view) }).await?;
        Ok(())
    }

    /// Makes the open sessions as they were after `newest`.
    async fn restore(&mut self, rules: &Rules, newest: &Manifest) -> Result<()> {
        let mut epochs: Vec<Manifest> = Vec::new();
        for epoch in self.checkpoints.epochs().await?.into_iter().rev() {
            let (manifest, _) = self.checkpoints.read(epoch).await?;
            let whole = manifest.state.is_some();
            epochs.push(manifest);
            if whole {
                break;
            }
        }
        let oldest = epochs.last().map_or(newest.epoch, |manifest| manifest.epoch);
        if oldest != 1 && epochs.last().is_none_or(|manifest| manifest.state.is_none()) {
            bail!("epochs before {oldest} of shard {} are gone and its open sessions were never written", self.number);
        }
        for manifest in epochs.iter().rev() {
            match &manifest.state {
                Some(file) => self.read_state(rules, file).await?,
                None => self.replay(manifest).await?,
            }
            let finished = manifest.watermark_ms == i64::MAX;
            self.advance(manifest, &[], finished);
            self.hold();
        }
        Ok(())
    }

    async fn read_state(&mut self, rules: &Rules, file: &StateFile) -> Result<()> {
        let (mut bytes, sessionize) = (self.checkpoints.open_state(file).await?, rules.sessionize.clone());
        let read = move || -> Result<OpenSessions> {
            Ok(OpenSessions::read(&mut bytes, event_in_flight().fields(), sessionize, ACTIONS_MAX)?)
        };
        self.state = Arc::new(Mutex::new(tokio::task::spawn_blocking(read).await??));
        Ok(())
    }

    /// Does to the open sessions what an epoch did to them.
    async fn replay(&self, manifest: &Manifest) -> Result<()> {
        if manifest.repaired {
            let reopened = match &manifest.reopened {
                Some(file) => repair::read_reopened(self.checkpoints.open_state(file).await?)?,
                None => Vec::new(),
            };
            self.reopen(&reopened)?;
        }
        let mut next = manifest.from;
        while next < manifest.to {
            let fetched = self
                .shared
                .bus
                .read(self.number, next, Some(manifest.to), self.shared.settings.epoch_bytes_max)
                .await?;
            if fetched.next == next {
                bail!(
                    "the bus has no events from {next} of shard {}, which epoch {} read",
                    self.number,
                    manifest.epoch
                );
            }
            next = fetched.next;
            let mut state = self.lock();
            for batch in &fetched.batches {
                state.push(batch)?;
            }
        }
        let mut state = self.lock();
        let schema = netcrab_operators::session::schema(chain::event_fields(&[]));
        let mut closing = state.close(manifest.watermark_ms)?;
        while state.next_closed(&mut closing, &schema)?.is_some() {}
        // The manifest has them.
        state.take_late();
        if manifest.forgotten_ms > self.done.forgotten_ms {
            state.forget(manifest.forgotten_ms);
        }
        Ok(())
    }
}

/// ClickHouse was away from the stream for some epochs.
#[derive(Debug, thiserror::Error)]
#[error(
    "ClickHouse has the tables of shard {shard} up to epoch {noted}, Delta up to {applied}; stop the stream and run \
     `netcrab backfill --to clickhouse`"
)]
pub struct ClickHouseBehind {
    shard: u32,
    noted: i64,
    applied: u64,
}

fn add_changes(to: &mut BTreeMap<String, Change>, changes: BTreeMap<String, Change>) {
    for (table, change) in changes {
        to.entry(table).or_default().add(change);
    }
}

/// An epoch about to run.
struct EpochPlan {
    epoch: u64,
    /// Says what the epoch is, and nothing else: the same epoch has the same name.
    name: String,
    run: RunId,
    fetched: Fetched,
    watermark_ms: i64,
    latest_ms: i64,
    rules: String,
    rules_since_ms: i64,
    /// Offsets of the bus that are left for later epochs.
    lag: u64,
    /// Whether a repair of late events begins with its end.
    begins: bool,
}

/// What stood on the bus and is no event, as rows of `rejects`.
fn rejected(faults: &[Fault]) -> Result<RecordBatch> {
    let files: Vec<String> = faults.iter().map(|fault| format!("bus/shard-{:04}", fault.shard)).collect();
    let rejected = faults.iter().zip(&files);
    Ok(reject::rows(
        rejected.map(|(fault, file)| (file.as_str(), fault.offsets.start, fault.name, fault.field.as_deref())),
    )?)
}

/// The name of a shard in the transactions of tables.
pub fn writer(shard: u32) -> String {
    format!("netcrab/shard-{shard:04}")
}

fn table(name: &str) -> Result<&'static netcrab_schema::Table> {
    netcrab_schema::by_name(name)
        .with_context(|| format!("an epoch names the table `{name}`, which this release does not know"))
}

fn rows(change: &Change) -> u64 {
    change.added.iter().map(|part| part.rows).sum()
}

/// The latest ts of a batch, ms.
fn latest(batch: &RecordBatch) -> Option<i64> {
    use arrow::array::AsArray;
    let ts = batch.column_by_name("ts")?.as_primitive_opt::<arrow::datatypes::TimestampMillisecondType>()?;
    arrow::compute::max(ts)
}
