//! One build of a pack.
//!
//!     products ─▶ eligible ─▶ contributions, slice by slice ─▶ bounded, added up ─▶ was this input built before?
//!                                                                                    │ no        └ yes: that version
//!                                                                                    ▼
//!                                         gate ─▶ version, privacy spent, and shares, committed in one transaction
//!
//! Invariant: errors and log lines of a build name no organisation and no number of a cell.

use std::collections::BTreeSet;

use datafusion::physical_plan::common::spawn_buffered;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use netcrab_market::{Contribution as Share, Market, NewVersion, Spend};
use netcrab_pack_build::{
    BoundedContributions, BuildWindow, ContributionBounder, EligibleProduct, Slice, contributions, products, slices,
};
use netcrab_packs::method::{METHOD, columns};
use netcrab_packs::noise::Noise;
use netcrab_packs::tallies::Tallies;
use netcrab_packs::{Definition, Kind, PackRelease, ReleasePlan, findings, gate};
use netcrab_sinks::delta::DeltaSink;

use super::digest::sha256_of_texts;
use super::eligibility::eligible_products;
use super::error::Error;
use super::lease::{self, LEASE};
use super::report_sources::report_sources;
use super::stored::StoredRelease;
use super::window::periods;
use crate::config::Config;

/// What a build is made with.
pub struct PackBuilder<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The operational database.
    pub market: &'a Market,
    /// The tables of facts.
    pub facts: &'a DeltaSink,
    /// Where noise comes from.
    pub noise: &'a mut (dyn Noise + Send),
    /// The clock, in ms since 1970 UTC.
    pub now_ms: fn() -> i64,
    /// Names the builder in the lease; no two builders may have the same name.
    pub holder: String,
    /// Is called with the number of slices that are done, and the number of all slices.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// The version that a build came to.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// The version.
    pub version: String,
    /// Whether an earlier build stored it.
    pub existed: bool,
    /// Its rows.
    pub rows: usize,
}

impl PackBuilder<'_> {
    /// Builds a window of a pack, unless its version is in the database already. One builder works at a time.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseHeld`] while another process builds, [`Error::TooFewOrgs`] and [`Error::NoSources`] when there is
    /// nothing to build from yet, [`Error::NoTable`] when a table of facts is missing, [`Error::Market`] when the
    /// privacy budget is spent or the database does not answer, [`Error::Contributions`] when the facts cannot be
    /// read or exceed `packs.entries_max`, and [`Error::Gate`] when no noise could be drawn. Nothing is spent then, unless
    /// the database failed after its commit; a repeated build then finds the version.
    pub async fn build(&mut self, definition: &Definition, window: &BuildWindow) -> Result<BuildOutcome, Error> {
        let _lease = lease::acquire(self.market, &self.holder, self.now_ms).await?;
        let outcome = match definition.kind {
            Kind::InsightReports => self.build_report(definition, window).await,
            _ => self.build_from_facts(definition, window).await,
        };
        self.market.release_lease(LEASE, &self.holder).await?;
        outcome
    }

    async fn build_from_facts(&mut self, definition: &Definition, window: &BuildWindow) -> Result<BuildOutcome, Error> {
        let plan = ReleasePlan::of(definition)?;
        let context = self.facts_session(definition.kind).await?;
        let products = products(&context, window).await?;
        let products = eligible_products(self.market, definition, products).await?;
        let eligible: Vec<EligibleProduct> = products.iter().map(|(product, _)| product.clone()).collect();
        // Who opted in is no visitor's secret. So a build without enough organisations ends before it spends anything.
        let orgs: BTreeSet<&String> = eligible.iter().map(|product| &product.org_id).collect();
        if orgs.len() < definition.min_orgs as usize {
            return Err(Error::TooFewOrgs(definition.min_orgs));
        }
        let slices = slices(products, self.config.packs.slice_tasks);
        let bounded = self.bound(definition, &plan, window, &context, &slices).await?;
        let input = sha256_of_texts(&[
            &serde_json::to_string(definition)?,
            &METHOD.to_string(),
            &window.from,
            &window.to,
            &serde_json::to_string(&eligible.iter().map(sorted_exclusions).collect::<Vec<_>>())?,
            &format!("{:032x}", bounded.digest),
        ]);
        if let Some(outcome) = self.built_before(definition, &input).await? {
            return Ok(outcome);
        }
        let release = gate::open(definition.kind, &plan, &bounded.tallies, self.noise)?;
        let spends = spends(definition, &plan, window);
        self.store(definition, window, input, release, &spends, &shares(&bounded.tallies)?).await
    }

    /// A session over the tables of facts that a kind needs. Its memory is bounded, whatever the window has.
    async fn facts_session(&self, kind: Kind) -> Result<SessionContext, Error> {
        let settings = crate::tables::settings(&self.config.run)
            // A view retains the whole buffer that its text is part of, and is accounted for as much.
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            // The build side of a join is the bounded one of the slice, as the SQL has it.
            .set_bool("datafusion.optimizer.join_reordering", false);
        let context = crate::tables::session_with(settings, self.facts, &self.config.run).await?;
        for table in tables_of_facts(kind) {
            if !context.table_exist(*table).map_err(netcrab_pack_build::Error::from)? {
                return Err(Error::NoTable(table));
            }
        }
        Ok(context)
    }

    /// Builds a report from released versions. So it spends no privacy, and no organisation contributes to it.
    async fn build_report(&self, definition: &Definition, window: &BuildWindow) -> Result<BuildOutcome, Error> {
        let sources = report_sources(self.market, definition, window).await?;
        if sources.is_empty() {
            return Err(Error::NoSources(definition.sources.clone()));
        }
        let versions: Vec<String> =
            sources.iter().map(|source| format!("{} {}", source.pack_id, source.version)).collect();
        let input = sha256_of_texts(&[
            &serde_json::to_string(definition)?,
            &METHOD.to_string(),
            &window.from,
            &window.to,
            &versions.join("\n"),
        ]);
        if let Some(outcome) = self.built_before(definition, &input).await? {
            return Ok(outcome);
        }
        self.store(definition, window, input, findings::report(&sources, &window.to), &[], &[]).await
    }

    /// The version that an earlier build made from the same input.
    async fn built_before(&self, definition: &Definition, input: &str) -> Result<Option<BuildOutcome>, Error> {
        let Some(version) = self.market.version_of_input(&definition.pack_id, input).await? else { return Ok(None) };
        let stored = StoredRelease::read(self.market, &version).await?;
        Ok(Some(BuildOutcome { version: version.version, existed: true, rows: stored.release.cells.len() }))
    }

    /// Bounds the contributions of all slices, and adds them up.
    async fn bound(
        &self,
        definition: &Definition,
        plan: &ReleasePlan,
        window: &BuildWindow,
        context: &SessionContext,
        slices: &[Slice],
    ) -> Result<BoundedContributions, Error> {
        let mut bounder = ContributionBounder::new(definition, plan, self.config.packs.entries_max);
        for (done, slice) in slices.iter().enumerate() {
            (self.progress)(done, slices.len());
            let rows = contributions(context, definition.kind, window, slice).await?;
            // The query computes up to four batches ahead while earlier ones are added up.
            let mut rows = spawn_buffered(rows, 4);
            while let Some(batch) = rows.next().await {
                bounder.take(&batch.map_err(netcrab_pack_build::Error::from)?)?;
            }
        }
        Ok(bounder.finish()?)
    }

    async fn store(
        &self,
        definition: &Definition,
        window: &BuildWindow,
        input: String,
        release: PackRelease,
        spends: &[Spend],
        shares: &[Share],
    ) -> Result<BuildOutcome, Error> {
        let schema =
            sha256_of_texts(&[&serde_json::to_string(&columns(definition.kind))?, &definition.fields.join(",")]);
        let (major, minor) = self.next_version(&definition.pack_id, &schema).await?;
        let rows = release.cells.len();
        let stored = StoredRelease {
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
            definition: sha256_of_texts(&[&serde_json::to_string(definition)?]),
            schema,
            method: METHOD.to_string(),
            input,
            window_from: window.from.clone(),
            window_to: window.to.clone(),
            result: serde_json::to_vec(&stored)?,
            created_at_ms: stored.built_at_ms,
        };
        self.market.store(&version, spends, shares).await?;
        Ok(BuildOutcome { version: version.version, existed: false, rows })
    }

    /// The numbers of a pack's next version: a new schema makes a new major version.
    async fn next_version(&self, pack_id: &str, schema: &str) -> Result<(i64, i64), Error> {
        Ok(match self.market.versions(pack_id).await?.last() {
            None => (1, 0),
            Some(last) if last.schema == schema => (last.major, last.minor + 1),
            Some(last) => (last.major + 1, 0),
        })
    }
}

/// What a build spends in each period of a unit that the window overlaps.
fn spends(definition: &Definition, plan: &ReleasePlan, window: &BuildWindow) -> Vec<Spend> {
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

/// The tables of facts that a kind is built from.
fn tables_of_facts(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::UxBenchmarks | Kind::TaskFlows => &["fact_tasks", "fact_sessions", "events_sessionized"],
        Kind::ReleaseDeltas => &["fact_tasks", "fact_sessions", "events_sessionized", "dim_releases"],
        Kind::InsightReports => &[],
    }
}

/// A product with its exclusions in an order of their own, for the digest of a build's input.
fn sorted_exclusions(product: &EligibleProduct) -> (&str, &str, BTreeSet<&String>, BTreeSet<&String>) {
    let EligibleProduct { org_id, product_id, excluded_segments, excluded_paths } = product;
    (org_id, product_id, excluded_segments.iter().collect(), excluded_paths.iter().collect())
}

/// The sessions that each organisation contributed, for its share of the revenue.
fn shares(tallies: &Tallies) -> Result<Vec<Share>, Error> {
    let share = |(org, sessions): (&str, i64)| Share { org_id: org.to_owned(), sessions };
    let contributed = tallies.contributed().map_err(netcrab_pack_build::Error::from)?;
    Ok(contributed.into_iter().map(share).collect())
}
