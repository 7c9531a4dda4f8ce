//! One build of a pack.
//!
//!     contributors ─▶ contributions, visitor by visitor ─▶ bound ─▶ tallies ─▶ is there a version of just this?
//!                                                                                │ no          └ yes: that one
//!                                                                                ▼
//!                                                        gate ─▶ version, spends and shares, stored at once
//!
//! Invariant: errors and log lines of a build name no organisation and no number of a cell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use netcrab_market::{Contribution as Share, Contributor, Market, NewVersion, Spend, Version};
use netcrab_pack_build::{self as pack_build, Eligible, Slice, Window};
use netcrab_packs::bound::bound;
use netcrab_packs::definition::{ANY, Unit};
use netcrab_packs::method::{METHOD, columns, measures};
use netcrab_packs::noise::Noise;
use netcrab_packs::tallies::{Tallies, TalliesBuilder};
use netcrab_packs::{Contribution, Definition, Kind, Plan, Release, open};
use netcrab_sinks::delta::DeltaSink;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;
use xxhash_rust::xxh3::xxh3_128;

use super::reports;
use super::window::periods;
use crate::config::Config;

/// The lease that makes builders take turns, and how long it holds without being renewed.
pub const LEASE: &str = "packs";
const LEASE_MS: i64 = 600_000;

/// What is stored of a version: all that its files are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The definition that it was built by.
    pub definition: Definition,
    /// The version of the method.
    pub method: u32,
    /// The first day, and the last.
    pub window: (String, String),
    /// When it was built, ms.
    pub built_at_ms: i64,
    /// What left.
    pub release: Release,
}

/// What a build is made with.
pub struct Builder<'a> {
    /// Settings.
    pub config: &'a Config,
    /// The operational database.
    pub market: &'a Market,
    /// The tables of facts.
    pub sink: &'a DeltaSink,
    /// Where noise comes from.
    pub noise: &'a mut (dyn Noise + Send),
    /// The clock, ms.
    pub now_ms: fn() -> i64,
    /// Who builds, unlike anybody else.
    pub holder: String,
    /// Is told how many slices of the window are done, and of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What a build came to.
#[derive(Debug, Clone)]
pub struct Built {
    /// The version.
    pub version: String,
    /// Whether it was there already.
    pub existed: bool,
    /// Its rows.
    pub rows: usize,
}

/// Too few organisations contribute.
#[derive(Debug, thiserror::Error)]
#[error(
    "fewer than {0} organisations of the vertical opted in and have tasks in these days, so no cell could leave; nothing \
     was spent. Build again when more did (netcrab packs orgs)"
)]
pub struct TooFew(u32);

/// A window's bounded contributions, added up.
struct Summed {
    tallies: Tallies,
    digest: u128,
}

impl Builder<'_> {
    /// Builds a window of a pack, or finds that it is built. One builder at a time.
    pub async fn build(&mut self, definition: &Definition, window: &Window) -> Result<Built> {
        let _turn = turn(self.market, &self.holder, self.now_ms).await?;
        let built = self.build_alone(definition, window).await;
        self.market.release_lease(LEASE, &self.holder).await?;
        built
    }

    async fn build_alone(&mut self, definition: &Definition, window: &Window) -> Result<Built> {
        if definition.kind == Kind::InsightReports {
            return self.build_report(definition, window).await;
        }
        let plan = Plan::of(definition)?;
        let context = self.session().await?;
        for needed in needed(definition.kind) {
            if !context.table_exist(*needed)? {
                bail!("the tables have no `{needed}`; make it with `netcrab run`, or check the path given to --tables");
            }
        }
        let products = self.eligible(definition, pack_build::products(&context, window).await?).await?;
        let eligible: Vec<Eligible> = products.iter().map(|(product, _)| product.clone()).collect();
        // Who opted in is no secret of a visitor's, so a build that can give nothing need not spend anything.
        let orgs: BTreeSet<&String> = eligible.iter().map(|eligible| &eligible.org_id).collect();
        if orgs.len() < definition.min_orgs as usize {
            return Err(TooFew(definition.min_orgs).into());
        }
        let slices = pack_build::slices(products, self.config.packs.slice_tasks);
        let summed = self.sum(definition, &plan, window, &context, &slices).await?;
        let input = digest(&[
            &serde_json::to_string(definition)?,
            &METHOD.to_string(),
            &window.from,
            &window.to,
            &serde_json::to_string(&eligible.iter().map(texts).collect::<Vec<_>>())?,
            &format!("{:032x}", summed.digest),
        ]);
        if let Some(built) = self.built(definition, &input).await? {
            return Ok(built);
        }
        let release = open(definition.kind, &plan, &summed.tallies, self.noise)?;
        let spends = spends(definition, &plan, window);
        self.store(definition, window, input, release, &spends, &shares(&summed.tallies)?).await
    }

    /// A session over the tables whose memory is bounded, however many facts a window has.
    async fn session(&self) -> Result<SessionContext> {
        let settings = crate::tables::settings(&self.config.run)
            // A view would hold, and count, all texts of what it was taken out of.
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            // The side that is held in memory is the one of the slice, as written.
            .set_bool("datafusion.optimizer.join_reordering", false);
        crate::tables::session_with(settings, self.sink, &self.config.run).await
    }

    /// A report is made of what was released, so it spends nothing and nobody contributes to it anew.
    async fn build_report(&self, definition: &Definition, window: &Window) -> Result<Built> {
        let sources = reports::sources(self.market, definition, window).await?;
        if sources.is_empty() {
            bail!("none of {} has a version of these days yet; build them first", definition.sources.join(", "));
        }
        let made_of: Vec<String> =
            sources.iter().map(|source| format!("{} {}", source.pack_id, source.version)).collect();
        let texts =
            [&serde_json::to_string(definition)?, &METHOD.to_string(), &window.from, &window.to, &made_of.join("\n")];
        let input = digest(&texts.map(String::as_str));
        match self.built(definition, &input).await? {
            Some(built) => Ok(built),
            None => self.store(definition, window, input, reports::report(&sources, window), &[], &[]).await,
        }
    }

    /// The version that was made of just this.
    async fn built(&self, definition: &Definition, input: &str) -> Result<Option<Built>> {
        let Some(version) = self.market.version_of_input(&definition.pack_id, input).await? else { return Ok(None) };
        let sealed = sealed(self.market, &version).await?;
        Ok(Some(Built { version: version.version, existed: true, rows: sealed.release.cells.len() }))
    }

    /// The products that contribute, and what they keep to themselves.
    async fn eligible(
        &self,
        definition: &Definition,
        products: Vec<(String, String, u64)>,
    ) -> Result<Vec<(Eligible, u64)>> {
        let vertical = (definition.vertical != ANY).then_some(definition.vertical.as_str());
        let contributors = self.market.contributors(vertical, &definition.categories).await?;
        let mut by_org: BTreeMap<&str, Vec<&Contributor>> = BTreeMap::new();
        contributors.iter().for_each(|contributor| by_org.entry(&contributor.org_id).or_default().push(contributor));
        let product = |(org_id, product_id, tasks): (String, String, u64)| {
            let of = by_org.get(org_id.as_str())?;
            // One that names the product knows what holds for all of them too.
            let named = of.iter().find(|contributor| contributor.product_id.as_ref() == Some(&product_id));
            let contributor = named.or_else(|| of.iter().find(|contributor| contributor.product_id.is_none()))?;
            let eligible = Eligible {
                org_id,
                product_id,
                excluded_segments: contributor.excluded_segments.clone(),
                excluded_paths: contributor.excluded_paths.clone(),
            };
            Some((eligible, tasks))
        };
        Ok(products.into_iter().filter_map(product).collect())
    }

    /// Bounds the contributions of each unit, and adds them up, slice by slice.
    async fn sum(
        &self,
        definition: &Definition,
        plan: &Plan,
        window: &Window,
        context: &SessionContext,
        slices: &[Slice],
    ) -> Result<Summed> {
        let measures = measures(definition.kind);
        let mut units = Units::of(definition, plan, self.config.packs.entries_max);
        for (done, slice) in slices.iter().enumerate() {
            (self.progress)(done, slices.len());
            let rows = pack_build::contributions(context, definition.kind, window, slice).await?;
            // They are merged while those before them are added up.
            let mut rows = spawn_buffered(rows, 4);
            while let Some(batch) = rows.next().await {
                units.take(&Columns::of(&batch?, measures.len())?)?;
            }
        }
        units.finish()
    }

    async fn store(
        &self,
        definition: &Definition,
        window: &Window,
        input: String,
        release: Release,
        spends: &[Spend],
        shares: &[Share],
    ) -> Result<Built> {
        let schema = digest(&[&serde_json::to_string(&columns(definition.kind))?, &definition.fields.join(",")]);
        let versions = self.market.versions(&definition.pack_id).await?;
        let (major, minor) = match versions.last() {
            None => (1, 0),
            Some(last) if last.schema == schema => (last.major, last.minor + 1),
            Some(last) => (last.major + 1, 0),
        };
        let rows = release.cells.len();
        let sealed = Sealed {
            definition: definition.clone(),
            method: METHOD,
            window: (window.from.clone(), window.to.clone()),
            built_at_ms: (self.now_ms)(),
            release,
        };
        let version = NewVersion {
            pack_id: definition.pack_id.clone(),
            version: format!("{major}.{minor}"),
            major,
            minor,
            kind: definition.kind.name().to_owned(),
            definition: digest(&[&serde_json::to_string(definition)?]),
            schema,
            method: METHOD.to_string(),
            input,
            window_from: window.from.clone(),
            window_to: window.to.clone(),
            result: serde_json::to_vec(&sealed)?,
            created_at_ms: sealed.built_at_ms,
        };
        self.market.store(&version, spends, shares).await?;
        Ok(Built { version: version.version, existed: false, rows })
    }
}

/// What a build of a window spends, in each period of a unit that the window reaches into.
fn spends(definition: &Definition, plan: &Plan, window: &Window) -> Vec<Spend> {
    let spend = |period| Spend {
        unit: definition.privacy.unit.name().to_owned(),
        period,
        rho: plan.rho_window,
        delta: plan.delta_window,
        rho_budget: plan.rho_total,
        delta_budget: definition.privacy.delta / 2.0,
    };
    periods(definition.privacy.unit, window).into_iter().map(spend).collect()
}

/// What is stored of a version.
pub async fn sealed(market: &Market, version: &Version) -> Result<Sealed> {
    let bytes = market.result(&version.pack_id, &version.version).await?;
    let bytes = bytes.with_context(|| format!("{} {} has no result", version.pack_id, version.version))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} {} was built by another release of netcrab", version.pack_id, version.version))
}

/// Takes the turn of building, and keeps it until what is returned goes.
async fn turn(market: &Market, holder: &str, now_ms: fn() -> i64) -> Result<AbortOnDropHandle<()>> {
    if !market.lease(LEASE, holder, now_ms() + LEASE_MS, now_ms()).await? {
        bail!("another process builds packs; wait until it is done (at most ten minutes after one that was killed)");
    }
    let (market, holder) = (market.clone(), holder.to_owned());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS as u64 / 4)).await;
            if let Err(fault) = market.lease(LEASE, &holder, now_ms() + LEASE_MS, now_ms()).await {
                tracing::warn!(reason = %fault, "the turn to build could not be kept");
            }
        }
    })))
}

/// The tables that a kind is built from.
fn needed(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::UxBenchmarks | Kind::TaskFlows => &["fact_tasks", "fact_sessions", "events_sessionized"],
        Kind::ReleaseDeltas => &["fact_tasks", "fact_sessions", "events_sessionized", "dim_releases"],
        Kind::InsightReports => &[],
    }
}

fn texts(eligible: &Eligible) -> (&str, &str, BTreeSet<&String>, BTreeSet<&String>) {
    let Eligible { org_id, product_id, excluded_segments, excluded_paths } = eligible;
    (org_id, product_id, excluded_segments.iter().collect(), excluded_paths.iter().collect())
}

/// SHA-256 of texts, each with its length.
fn digest(texts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
    super::files::hex(&digest.finalize())
}

/// The columns of a batch of contributions.
struct Columns {
    org_id: StringArray,
    product_id: StringArray,
    user_hash: StringArray,
    cell: StringArray,
    session: StringArray,
    values: Vec<Int64Array>,
}

impl Columns {
    fn of(batch: &RecordBatch, values: usize) -> Result<Self> {
        let column = |name: &str, kind: &DataType| -> Result<ArrayRef> {
            let column = batch.column_by_name(name).with_context(|| format!("no column `{name}`"))?;
            Ok(arrow::compute::cast(column, kind)?)
        };
        let text =
            |name: &str| -> Result<StringArray> { Ok(column(name, &DataType::Utf8)?.as_string::<i32>().clone()) };
        let number = |place: usize| -> Result<Int64Array> {
            Ok(column(&format!("v{place}"), &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        Ok(Self {
            org_id: text("org_id")?,
            product_id: text("product_id")?,
            user_hash: text("user_hash")?,
            cell: text("cell")?,
            session: text("session")?,
            values: (0..values).map(number).collect::<Result<_>>()?,
        })
    }
}

/// Contributions of one unit that are gathered before they are bounded: what is kept of parts, bounded once more, is
/// what is kept of all.
const GATHERED: usize = 4096;

/// Bounds the contributions of one unit after another, and adds up what is kept.
struct Units<'a> {
    definition: &'a Definition,
    plan: &'a Plan,
    /// The unit that is gathered: its organisation, and itself.
    unit: Option<(String, String)>,
    contributions: Vec<Contribution>,
    tallies: TalliesBuilder,
    /// Of all that was kept; a sum, which does not depend on the order.
    digest: u128,
}

impl<'a> Units<'a> {
    fn of(definition: &'a Definition, plan: &'a Plan, entries_max: usize) -> Self {
        let measures = measures(definition.kind);
        let tallies = match definition.privacy.unit {
            // All its sessions count, in at most so many cells, and weigh no more than its share.
            Unit::OrgMonth => TalliesBuilder::of_orgs(measures, entries_max, &definition.pack_id, plan.cells_per_unit),
            _ => TalliesBuilder::of_visitors(measures, entries_max),
        };
        Self { definition, plan, unit: None, contributions: Vec::new(), tallies, digest: 0 }
    }

    fn take(&mut self, columns: &Columns) -> Result<()> {
        let whole_org = self.definition.privacy.unit == Unit::OrgMonth;
        for row in 0..columns.cell.len() {
            let (org, product, user) =
                (columns.org_id.value(row), columns.product_id.value(row), columns.user_hash.value(row));
            let value = |values: &Int64Array| values.is_valid(row).then(|| values.value(row));
            let contribution = Contribution {
                cell: columns.cell.value(row).to_owned(),
                session: columns.session.value(row).to_owned(),
                values: columns.values.iter().map(value).collect(),
            };
            if whole_org {
                self.add(org, org, &contribution)?;
                continue;
            }
            let unit = [org, product, user].join("\u{1d}");
            if self.unit.as_ref().is_none_or(|(_, before)| *before != unit) {
                self.end()?;
                self.unit = Some((org.to_owned(), unit));
            }
            if self.contributions.len() >= GATHERED.max(2 * self.plan.cells_per_unit as usize) {
                self.contributions = self.bounded();
            }
            self.contributions.push(contribution);
        }
        Ok(())
    }

    /// What counts of the contributions gathered so far.
    fn bounded(&mut self) -> Vec<Contribution> {
        let Some((_, unit)) = &self.unit else { return Vec::new() };
        bound(&self.definition.pack_id, unit, self.plan.cells_per_unit, self.contributions.drain(..))
    }

    /// Ends the unit that is gathered.
    fn end(&mut self) -> Result<()> {
        let kept = self.bounded();
        let Some((org, unit)) = self.unit.take() else { return Ok(()) };
        kept.iter().try_for_each(|kept| self.add(&org, &unit, kept))
    }

    fn add(&mut self, org: &str, unit: &str, kept: &Contribution) -> Result<()> {
        let text = format!("{unit}\u{1c}{}\u{1c}{}\u{1c}{:?}", kept.cell, kept.session, kept.values);
        self.digest = self.digest.wrapping_add(xxh3_128(text.as_bytes()));
        Ok(self.tallies.take(org, kept)?)
    }

    fn finish(mut self) -> Result<Summed> {
        self.end()?;
        Ok(Summed { tallies: self.tallies.finish()?, digest: self.digest })
    }
}

/// The sessions of each organisation, for its share of the revenue.
fn shares(tallies: &Tallies) -> Result<Vec<Share>> {
    let share = |(org, sessions): (&str, i64)| Share { org_id: org.to_owned(), sessions };
    Ok(tallies.contributed()?.into_iter().map(share).collect())
}
