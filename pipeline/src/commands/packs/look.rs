//! `netcrab packs list`, `plan`, `show`, `diff`, `verify`, `budget`: what there is, what it promises, what it cost.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use netcrab_market::{Market, Version};
use netcrab_packs::noise::epsilon;
use netcrab_packs::plan::{Query, WEIGHT};
use netcrab_packs::{Definition, Plan, method};
use netcrab_pipeline::packs::build::sealed;
use netcrab_pipeline::packs::files;
use serde_json::json;

use super::{definitions, released};
use crate::Context;
use crate::commands::grouped;

/// What a cell of so many sessions is told of with what margin.
pub(super) fn plan(context: &Context, definition: &Definition) -> Result<()> {
    let plan = Plan::of(definition)?;
    let sizes = [1, 3, 10].map(|times| u64::from(definition.min_sessions) * times);
    let margins = |query: &Query, sigma: f64| {
        sizes.map(|size| 1.96 * sigma / (WEIGHT as f64 * size as f64 * divisor(definition, query)))
    };
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
        "a cell leaves nineteen times of twenty with {} organisations of {} visitors each, and {} sessions",
        plan.orgs_needed(),
        plan.whole_org_units,
        grouped(u64::from(definition.min_sessions))
    );
    println!("an organisation weighs {} sessions of a cell at most", grouped(u64::from(plan.org_sessions_max)));
    println!(
        "\n{:<28}{:>16}{:>16}{:>16}",
        "margin with sessions:",
        grouped(sizes[0]),
        grouped(sizes[1]),
        grouped(sizes[2])
    );
    let measures = method::measures(definition.kind);
    for noised in &plan.queries {
        let what = match noised.query {
            Query::Histogram(place) => format!("rank of {}, %", measures[place].name),
            Query::Sum(place) => format!("mean of {}", measures[place].name),
            Query::Count(place) => format!("sessions with {}, %", measures[place].name),
        };
        let [small, middle, large] = margins(&noised.query, noised.sigma);
        println!("{what:<28}{small:>16.4}{middle:>16.4}{large:>16.4}");
    }
    println!("\nBoth ways, nineteen times of twenty, for the noise alone.");
    Ok(())
}

/// What an answer is divided by, beside sessions, to be what the plan says of it.
fn divisor(definition: &Definition, query: &Query) -> f64 {
    let measures = method::measures(definition.kind);
    match query {
        // The rank of a quantile is off by the noise of half of the bins.
        Query::Histogram(place) => 0.01 / (measures[*place].edges.len() as f64 / 4.0).sqrt(),
        Query::Sum(place) => measures[*place].per_unit as f64,
        Query::Count(_) => 0.01,
    }
}

pub(super) async fn list(context: &Context, market: &Market) -> Result<()> {
    let mut listed = Vec::new();
    for definition in definitions(context)? {
        let newest = market.versions(&definition.pack_id).await?.pop();
        listed.push((definition, newest));
    }
    if context.json {
        let row = |(definition, newest): &(Definition, Option<Version>)| {
            json!({ "packId": definition.pack_id, "kind": definition.kind, "title": definition.title,
                "version": newest.as_ref().map(|version| &version.version),
                "status": newest.as_ref().map(|version| version.status.name()),
                "windowTo": newest.as_ref().map(|version| &version.window_to) })
        };
        println!("{}", serde_json::Value::Array(listed.iter().map(row).collect()));
        return Ok(());
    }
    println!("{:<20}{:<17}{:<9}{:<12}{:<24}title", "pack", "kind", "version", "status", "window");
    for (definition, newest) in &listed {
        let window = newest.as_ref().map_or("none yet".to_owned(), |v| format!("{}/{}", v.window_from, v.window_to));
        println!(
            "{:<20}{:<17}{:<9}{:<12}{:<24}{}",
            definition.pack_id,
            definition.kind.name(),
            newest.as_ref().map_or("-", |version| &version.version),
            newest.as_ref().map_or("-", |version| version.status.name()),
            window,
            definition.title
        );
    }
    Ok(())
}

async fn find(market: &Market, pack: &str, version: Option<&str>) -> Result<Version> {
    let versions = market.versions(pack).await?;
    match version {
        None => versions.into_iter().next_back().with_context(|| format!("`{pack}` has no version yet; build one")),
        Some(named) => {
            let all: Vec<&str> = versions.iter().map(|version| version.version.as_str()).collect();
            let unknown = format!("`{pack}` has no version {named}; it has {}", all.join(", "));
            versions.into_iter().find(|version| version.version == named).context(unknown)
        }
    }
}

pub(super) async fn show(context: &Context, market: &Market, pack: &str, version: Option<String>) -> Result<()> {
    let version = find(market, pack, version.as_deref()).await?;
    let sealed = sealed(market, &version).await?;
    let plan = Plan::of(&sealed.definition)?;
    let window = format!("{}/{}", version.window_from, version.window_to);
    let rows = netcrab_packs::rows::rows(&sealed.definition, &plan, &sealed.release, &window)?;
    if context.json {
        println!(
            "{}",
            json!({ "packId": pack, "version": version.version, "status": version.status.name(), "window": window,
                "rows": files::as_json(&rows)? })
        );
        return Ok(());
    }
    println!("{}", arrow::util::pretty::pretty_format_batches(&[rows])?);
    println!(
        "{pack} {} ({}) of {window}: about {} cells left out, {} brought together; ε {:.3} of {} for each {}",
        version.version,
        version.status,
        sealed.release.left_out,
        sealed.release.brought_together,
        epsilon(plan.rho_window, plan.delta_window)?,
        sealed.definition.privacy.epsilon,
        sealed.definition.privacy.unit.name()
    );
    Ok(())
}

pub(super) async fn diff(context: &Context, market: &Market, pack: &str, first: &str, second: &str) -> Result<()> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for named in [first, second] {
        let version = find(market, pack, Some(named)).await?;
        let sealed = sealed(market, &version).await?;
        let files = files::files(&version.version, &sealed)?;
        let csv = files.iter().find(|(name, _)| name == "data.csv").map(|(_, bytes)| bytes.clone()).unwrap_or_default();
        let mut said = vec![format!("window {}/{}", version.window_from, version.window_to)];
        said.extend(serde_json::to_string_pretty(&sealed.definition)?.lines().map(str::to_owned));
        said.extend(String::from_utf8_lossy(&csv).lines().map(str::to_owned));
        lines.push(said);
    }
    let [before, after] = lines.as_slice() else { bail!("two versions") };
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let those: std::collections::BTreeSet<&String> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (gone, come) = (only(before, after), only(after, before));
    if context.json {
        println!("{}", json!({ "gone": gone, "come": come }));
    } else {
        gone.iter().for_each(|line| println!("- {line}"));
        come.iter().for_each(|line| println!("+ {line}"));
    }
    Ok(())
}

pub(super) async fn verify(context: &Context, market: &Market, pack: Option<String>) -> Result<ExitCode> {
    let folder = released(context)?;
    let packs = match pack {
        Some(pack) => vec![pack],
        None => market.pack_ids().await?,
    };
    let (mut versions, mut wrong) = (0, Vec::new());
    for pack in packs {
        for version in market.versions(&pack).await? {
            versions += 1;
            wrong.extend(files::differences(&folder, &version.version, &sealed(market, &version).await?).await?);
        }
    }
    if context.json {
        println!("{}", json!({ "versions": versions, "wrong": wrong }));
    } else {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!("{versions} versions, {} files that are not what was released", wrong.len());
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn budget(context: &Context, market: &Market, pack: Option<String>) -> Result<()> {
    let packs = match pack {
        Some(pack) => vec![pack],
        None => market.pack_ids().await?,
    };
    if !context.json {
        println!("{:<20}{:<15}{:<12}{:>9}{:>9}  of ρ", "pack", "unit", "period", "versions", "spent %");
    }
    for pack in packs {
        for spent in market.spent(&pack).await? {
            if context.json {
                println!(
                    "{}",
                    json!({ "packId": pack, "unit": spent.unit, "period": spent.period, "versions": spent.versions,
                        "rho": spent.rho, "rhoBudget": spent.rho_budget, "delta": spent.delta,
                        "deltaBudget": spent.delta_budget })
                );
                continue;
            }
            let share = 100.0 * spent.rho / spent.rho_budget;
            let (unit, period, versions) = (&spent.unit, &spent.period, spent.versions);
            println!("{pack:<20}{unit:<15}{period:<12}{versions:>9}{share:>9.1}  {:.4}", spent.rho_budget);
        }
    }
    Ok(())
}
