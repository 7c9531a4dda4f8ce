//! One shard: its epochs in order, and its recovery after a kill.
//!
//!     step:  plan ─▶ stage ─▶ sync ─▶ state file ─▶ epoch-n.json ─▶ apply ─▶ advance ─▶ release
//!            range of the bus,                      the commit
//!            watermark
//!
//! | file | what it holds |
//! |---|---|
//! | `epoch.rs` | what the next epoch is, its plans, and its manifest |
//! | `apply.rs` | a committed epoch into Delta, ClickHouse and the result topics |
//! | `state.rs` | open sessions and position after the last epoch, and how a restart rebuilds them |
//! | `check.rs` | whether state, tables and bus are of one history |
//! | `maintenance.rs` | compaction and repairs, which run in the background, concurrently with epochs |

pub mod apply;
pub mod check;
pub mod epoch;
mod maintenance;
pub mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use netcrab_api::open_sessions::OpenSessionRows;
use netcrab_operators::rules::Rules;
use netcrab_schema::Table;
use netcrab_schema::tables::{EVENTS_SESSIONIZED, FACT_INCIDENTS, FACT_SESSIONS};
use netcrab_sinks::TableChange;

use self::apply::{apply, check_clickhouse, sync};
use self::check::{check_bus, check_tables};
use self::epoch::{EpochOutput, EpochPlan, StepTimer};
pub use self::epoch::{EpochReport, EpochRequest};
use self::maintenance::Maintenance;
use self::state::ShardState;
use super::context::StreamContext;
use super::crash_points::{self, Step};
use super::open_sessions::feed::FeedChange;
use super::open_sessions::view::OpenSessionView;
use super::repair::{Repair, write_reopened};
use crate::checkpoints::Checkpoints;
use crate::checkpoints::folder::Folder;
use crate::checkpoints::manifest::StateFile;
use crate::error::Result;

/// A shard that this process owns.
pub struct Shard {
    context: Arc<StreamContext>,
    checkpoints: Checkpoints,
    state: ShardState,
    maintenance: Maintenance,
}

impl Shard {
    /// Opens the shard at its last committed epoch: applies that epoch if it is not applied yet, and rebuilds the open
    /// sessions.
    ///
    /// # Errors
    /// [`crate::error::Error::StateDisagrees`] where state, tables and bus are not of one history;
    /// [`crate::error::Error::ClickHouseBehind`] where ClickHouse lacks epochs; otherwise whatever reading the
    /// shard's files, the bus or the tables gives.
    pub async fn open(context: Arc<StreamContext>, number: u32, rules: &Arc<Rules>) -> Result<Self> {
        context.sink.add_columns().await?;
        let folder = Folder::of(&context.sink)?;
        folder.register(&context.task.runtime_env());
        let checkpoints = Checkpoints::open(&folder, number)?;
        check_clickhouse(&context, number, &checkpoints).await?;
        let newest = checkpoints.newest().await?;
        let applied = match &newest {
            Some((newest, _)) => checkpoints.applied(newest.epoch).await?,
            None => true,
        };
        let last_changes = check_tables(&context.sink, number, newest.as_ref(), applied).await?;
        if let Some((newest, _)) = &newest {
            check_bus(context.bus.as_ref(), number, newest.to, newest.last_event.as_deref()).await?;
        }
        if let Some((newest, bytes)) = newest.as_ref().filter(|_| !applied) {
            apply(&context, &checkpoints, newest, bytes, &mut StepTimer::start()).await?;
        }
        let state = ShardState::restore(&context, number, &checkpoints, rules, newest, last_changes).await?;
        Ok(Self { context, checkpoints, state, maintenance: Maintenance::default() })
    }

    /// Open sessions and position after the last epoch.
    pub fn state(&self) -> &ShardState {
        &self.state
    }

    /// Runs the next epoch; `None` where there is nothing to do.
    ///
    /// # Errors
    /// Any error of a step. Then reopen the shard: its state in memory may be ahead of its checkpoints.
    pub async fn step(&mut self, request: EpochRequest<'_>) -> Result<Option<EpochReport>> {
        let mut timer = StepTimer::start();
        crash_points::before(Step::Read);
        let repair = self.maintenance.take_repair(&self.context, &self.state, request).await?;
        let due = self.maintenance.due(&self.context, &self.state, request, repair.is_some());
        let Some(plan) = EpochPlan::next(&self.context, &mut self.state, request, due).await? else { return Ok(None) };
        timer.done(Step::Read);

        crash_points::before(Step::Stage);
        if let Some(repair) = &repair {
            self.state.reopen(&repair.reopened)?;
        }
        let mut tables = plan.stage(&self.context, &self.state, request.rules).await?;
        let changes = match &repair {
            Some(repair) => maintenance::repair_changes(&self.context, &self.state, &plan, request, repair).await?,
            None => self.maintenance.changes(&self.context, &self.state, &plan, request).await,
        };
        add_changes(&mut tables, changes);
        timer.done(Step::Stage);

        crash_points::before(Step::Sync);
        sync(&self.context, &tables).await?;
        timer.done(Step::Sync);

        let late = self.state.open().take_late();
        let forgotten_ms = self.state.forget(&self.context, plan.watermark_ms);
        crash_points::before(Step::State);
        let reopened = self.write_reopened(&plan, repair.as_ref()).await?;
        let state = self.state.write(&self.context, &self.checkpoints, plan.fetched.rows(), &plan.run).await?;
        timer.done(Step::State);

        let late_events = late.events as u64;
        let output = EpochOutput { tables, late: late.since, forgotten_ms, state, reopened };
        let manifest = plan.manifest(&self.state, output);
        let bytes = manifest.to_bytes()?;
        crash_points::before(Step::Commit);
        self.checkpoints.commit(manifest.epoch, &bytes).await?;
        timer.done(Step::Commit);

        apply(&self.context, &self.checkpoints, &manifest, &bytes, &mut timer).await?;
        self.state.advance(&manifest, &bytes, request.finish);
        self.state.files.apply(&manifest.tables);
        if manifest.repair_begins {
            self.state.hold_keys_under_repair();
            self.maintenance.repair_began();
        }
        self.maintenance.compact_when_idle(&self.context, &self.state, &plan, request);
        crash_points::before(Step::Release);
        self.state.release(&self.context, &self.checkpoints).await?;
        timer.done(Step::Release);
        Ok(Some(EpochReport::new(&manifest, late_events, &plan, timer)))
    }

    /// Writes the file of sessions that the repair reopens, if any.
    async fn write_reopened(&self, plan: &EpochPlan, repair: Option<&Repair>) -> Result<Option<StateFile>> {
        let Some(repair) = repair.filter(|repair| !repair.reopened.is_empty()) else { return Ok(None) };
        let draft = self.checkpoints.draft(|to| write_reopened(&repair.reopened, to))?;
        Ok(Some(self.checkpoints.publish(draft, "reopened", plan.epoch, &plan.run).await?))
    }

    /// Restarts the feed: its next change is a snapshot of all open sessions.
    pub fn restart_feed(&self) {
        if let Some(feed) = &self.context.feed {
            feed.restart(self.state.number());
            self.state.open().note_changes(self.context.settings.live_sessions_max);
        }
    }

    /// Sends the feed the sessions that changed since the last call.
    ///
    /// # Errors
    /// Whatever deriving the rows of open sessions or writing them gives.
    pub async fn update_feed(&self, rules: &Arc<Rules>) -> Result<()> {
        let Some(feed) = &self.context.feed else { return Ok(()) };
        let shard = self.state.number();
        if feed.needs_restart(shard) {
            self.restart_feed();
        }
        let (changed, closed) = self.state.open().take_changed();
        if changed.is_empty() && closed.is_empty() {
            return Ok(());
        }
        let view = OpenSessionView::new(self.state.shared(), Arc::clone(rules), Arc::clone(&self.context.task));
        let tables: &[&Table] = if feed.wants_events() {
            &[&FACT_SESSIONS, &FACT_INCIDENTS, &EVENTS_SESSIONIZED]
        } else {
            &[&FACT_SESSIONS, &FACT_INCIDENTS]
        };
        let (keys, rows) = view.rows(changed, tables).await?;
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or_default();
        let opened = OpenSessionRows { keys, sessions: next(), incidents: next() };
        let change = FeedChange { closed, opened, events: next(), events_on_demand: Arc::new(view) };
        feed.change(shard, change).await
    }
}

fn add_changes(to: &mut BTreeMap<String, TableChange>, changes: BTreeMap<String, TableChange>) {
    for (table, change) in changes {
        to.entry(table).or_default().add(change);
    }
}
