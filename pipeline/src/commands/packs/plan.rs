//! `netcrab packs plan`: what to expect of a pack, from its definition alone.

use anyhow::Result;
use netcrab_packs::estimate::expected_moe95;
use netcrab_packs::noise::epsilon;
use netcrab_packs::plan::Query;
use netcrab_packs::{Definition, ReleasePlan, method};
use serde_json::json;

use crate::Context;
use crate::commands::grouped;

/// Prints the privacy of a pack, what a cell needs to be released, and its margins by the number of its sessions.
pub(super) fn plan(context: &Context, definition: &Definition) -> Result<()> {
    let plan = ReleasePlan::of(definition)?;
    if context.json {
        println!("{}", json!({ "packId": definition.pack_id, "plan": plan, "orgsNeeded": plan.orgs_needed() }));
        return Ok(());
    }
    let privacy = &definition.privacy;
    println!(
        "{}: ε {} and δ {:e} for each {} over {} builds of its period; ε {:.3} a build",
        definition.pack_id,
        privacy.epsilon,
        privacy.delta,
        privacy.unit.name().replace('_', "'s "),
        plan.windows,
        epsilon(plan.rho_window, plan.delta_window)?
    );
    println!(
        "a cell is released nineteen times of twenty with {} organisations of {} visitors each, and {} sessions",
        plan.orgs_needed(),
        plan.whole_org_units,
        grouped(u64::from(definition.min_sessions))
    );
    println!("an organisation weighs at most {} sessions of a cell", grouped(u64::from(plan.org_sessions_max)));
    print_margins(definition, &plan);
    Ok(())
}

/// Prints the expected margin of each query for cells of one, three and ten times the fewest sessions.
fn print_margins(definition: &Definition, plan: &ReleasePlan) {
    let sizes = [1, 3, 10].map(|times| u64::from(definition.min_sessions) * times);
    println!(
        "\n{:<28}{:>16}{:>16}{:>16}",
        "margin with sessions:",
        grouped(sizes[0]),
        grouped(sizes[1]),
        grouped(sizes[2])
    );
    let measures = method::measures(definition.kind);
    for noisy in &plan.queries {
        let what = match noisy.query {
            Query::Histogram(place) => format!("rank of {}, %", measures[place].name),
            Query::Sum(place) => format!("mean of {}", measures[place].name),
            Query::Count(place) => format!("sessions with {}, %", measures[place].name),
        };
        let [small, middle, large] = sizes.map(|size| expected_moe95(definition.kind, noisy, size));
        println!("{what:<28}{small:>16.4}{middle:>16.4}{large:>16.4}");
    }
    println!("\nThe margins hold in both directions, nineteen times of twenty, for the noise alone.");
}
