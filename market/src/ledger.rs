//! The privacy ledger: what each version spends of a privacy budget.
//!
//!     spent so far + rho ≤ rho budget, and the same for delta ─▶ a row of privacy_ledger
//!
//! Zero-concentrated differential privacy composes by adding up: two releases about the same unit in the same period
//! cost the sum of their rho (Bun and Steinke, 2016, <https://arxiv.org/abs/1605.02065>, lemma 1.7). A budget belongs
//! to a pack, a unit and a period.

use sqlx::{Any, Transaction};

use crate::database::Market;
use crate::error::{Error, OverBudget};
use crate::new_version::NewVersion;
use crate::{bounds, rows};

/// How much of a budget may be overspent, as a fraction of it. Sums of many amounts have rounding errors; without this a
/// budget could not be used up exactly.
const SLACK: f64 = 1e-9;

const READ: &str = "read the privacy ledger";

/// What a version spends for one unit in one period, and its budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Spend {
    /// The unit of privacy: `visitor_month`, `org`, ….
    pub unit: String,
    /// The period that the budget is for, such as `2026-10`.
    pub period: String,
    /// The zCDP parameter that is spent.
    pub rho: f64,
    /// The failure probability that is spent.
    pub delta: f64,
    /// Most rho that all versions of the pack may spend for this unit in this period.
    pub rho_budget: f64,
    /// Most delta that they may spend.
    pub delta_budget: f64,
}

/// What all versions of a pack have spent for one unit in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// The unit of privacy.
    pub unit: String,
    /// The period.
    pub period: String,
    /// The sum of rho.
    pub rho: f64,
    /// The sum of delta.
    pub delta: f64,
    /// The rho budget of the last spend.
    pub rho_budget: f64,
    /// The delta budget of the last spend.
    pub delta_budget: f64,
    /// How many versions have spent.
    pub versions: i64,
}

impl Market {
    /// What a pack has spent, sorted by unit and period. What a version spent stays spent when it is revoked.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn spent(&self, pack_id: &str) -> Result<Vec<Spent>, Error> {
        let found = sqlx::query(include_str!("sql/spent.sql")).bind(rows::sought(pack_id)).fetch_all(&self.pool).await;
        let found = found.map_err(Error::doing(READ))?;
        let spent = found.iter().map(|row| {
            Ok(Spent {
                unit: rows::value(row, "unit", READ)?,
                period: rows::value(row, "period", READ)?,
                rho: rows::value(row, "rho", READ)?,
                delta: rows::value(row, "delta", READ)?,
                rho_budget: rows::value(row, "rho_budget", READ)?,
                delta_budget: rows::value(row, "delta_budget", READ)?,
                versions: rows::value(row, "versions", READ)?,
            })
        });
        let mut spent = spent.collect::<Result<Vec<_>, Error>>()?;
        spent.sort_by(|a, b| (&a.unit, &a.period).cmp(&(&b.unit, &b.period)));
        Ok(spent)
    }
}

/// Refuses spends with values out of their bounds.
pub(crate) fn check(spends: &[Spend]) -> Result<(), Error> {
    bounds::entries("spends", spends.len(), bounds::LIST_ENTRIES_MAX)?;
    for spend in spends {
        bounds::text("the unit of a spend", &spend.unit)?;
        bounds::text("the period of a spend", &spend.period)?;
        amount("rho", spend.rho, spend)?;
        amount("delta", spend.delta, spend)?;
        amount("rho budget", spend.rho_budget, spend)?;
        amount("delta budget", spend.delta_budget, spend)?;
    }
    Ok(())
}

fn amount(what: &'static str, value: f64, spend: &Spend) -> Result<(), Error> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::Amount { what, unit: spend.unit.clone(), period: spend.period.clone(), value })
}

/// Adds a spend of `version` to the ledger. Refuses one that exceeds the budget.
pub(crate) async fn add(
    write: &mut Transaction<'static, Any>,
    version: &NewVersion,
    spend: &Spend,
    doing: &'static str,
) -> Result<(), Error> {
    let sums = sqlx::query(include_str!("sql/spent_so_far.sql"));
    let sums = sums.bind(&*version.pack_id).bind(&*spend.unit).bind(&*spend.period);
    let sums = sums.fetch_one(&mut **write).await.map_err(Error::doing(doing))?;
    let spent = (rows::value(&sums, "rho", doing)?, rows::value(&sums, "delta", doing)?);
    if let Some(over) = over_budget(version, spend, spent) {
        return Err(Error::OverBudget(Box::new(over)));
    }
    let add = sqlx::query(include_str!("sql/spend.sql"))
        .bind(&*version.pack_id)
        .bind(&*version.version)
        .bind(&*spend.unit)
        .bind(&*spend.period)
        .bind(spend.rho)
        .bind(spend.delta)
        .bind(spend.rho_budget)
        .bind(spend.delta_budget)
        .bind(version.created_at_ms);
    add.execute(&mut **write).await.map_err(Error::doing(doing))?;
    Ok(())
}

/// Whether a spend exceeds its budget, and in what, when this much of rho and delta was `spent` before.
fn over_budget(version: &NewVersion, spend: &Spend, spent: (f64, f64)) -> Option<OverBudget> {
    let parts = [("rho", spent.0, spend.rho, spend.rho_budget), ("delta", spent.1, spend.delta, spend.delta_budget)];
    let over = parts.into_iter().find(|(_, spent, asked, budget)| spent + asked > budget * (1.0 + SLACK));
    over.map(|(what, spent, asked, budget)| OverBudget {
        pack_id: version.pack_id.clone(),
        version: version.version.clone(),
        unit: spend.unit.clone(),
        period: spend.period.clone(),
        what,
        asked,
        spent,
        budget,
    })
}
