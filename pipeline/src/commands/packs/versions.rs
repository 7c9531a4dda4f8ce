//! `netcrab packs list`, `show`, `diff`, `verify`, `budget` and `mark`: the versions in the database.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use netcrab_market::{Market, Status, Version};
use netcrab_packs::noise::epsilon;
use netcrab_packs::{Definition, ReleasePlan, rows};
use netcrab_pipeline::checkpoints::folder::Folder;
use netcrab_pipeline::packs::stored::StoredRelease;
use netcrab_pipeline::packs::{as_json, files};
use serde_json::json;

use super::definitions::definitions;
use crate::Context;
use crate::commands::clock::now_ms;

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

/// The version of a pack, by default the newest.
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
    let stored = StoredRelease::read(market, &version).await?;
    let plan = ReleasePlan::of(&stored.definition)?;
    let window = format!("{}/{}", version.window_from, version.window_to);
    let rows = rows::rows(&stored.definition, &plan, &stored.release, &window)?;
    if context.json {
        println!(
            "{}",
            json!({ "packId": pack, "version": version.version, "status": version.status.name(), "window": window,
                "rows": as_json(&rows)? })
        );
        return Ok(());
    }
    println!("{}", arrow::util::pretty::pretty_format_batches(&[rows])?);
    println!(
        "{pack} {} ({}) of {window}: about {} cells suppressed, {} merged into OTHER; ε {:.3} of {} for each {}",
        version.version,
        version.status,
        stored.release.suppressed,
        stored.release.merged,
        epsilon(plan.rho_window, plan.delta_window)?,
        stored.definition.privacy.epsilon,
        stored.definition.privacy.unit.name()
    );
    Ok(())
}

pub(super) async fn diff(context: &Context, market: &Market, pack: &str, first: &str, second: &str) -> Result<()> {
    let (before, after) = (lines_of(market, pack, first).await?, lines_of(market, pack, second).await?);
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let those: std::collections::BTreeSet<&String> = those.iter().collect();
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (removed, added) = (only(&before, &after), only(&after, &before));
    if context.json {
        println!("{}", json!({ "gone": removed, "come": added }));
    } else {
        removed.iter().for_each(|line| println!("- {line}"));
        added.iter().for_each(|line| println!("+ {line}"));
    }
    Ok(())
}

/// A version as lines of text: its window, its definition, its rows.
async fn lines_of(market: &Market, pack: &str, version: &str) -> Result<Vec<String>> {
    let version = find(market, pack, Some(version)).await?;
    let stored = StoredRelease::read(market, &version).await?;
    let files = files::files(&version.version, &stored)?;
    let rows = files.iter().find(|(name, _)| name == "data.csv").map(|(_, bytes)| bytes.as_slice());
    let mut lines = vec![format!("window {}/{}", version.window_from, version.window_to)];
    lines.extend(serde_json::to_string_pretty(&stored.definition)?.lines().map(str::to_owned));
    lines.extend(String::from_utf8_lossy(rows.unwrap_or_default()).lines().map(str::to_owned));
    Ok(lines)
}

pub(super) async fn verify(context: &Context, market: &Market, pack: Option<String>) -> Result<ExitCode> {
    let folder = released_folder(context)?;
    let packs = match pack {
        Some(pack) => vec![pack],
        None => market.pack_ids().await?,
    };
    let (mut versions, mut differences) = (0, Vec::new());
    for pack in packs {
        for version in market.versions(&pack).await? {
            versions += 1;
            let stored = StoredRelease::read(market, &version).await?;
            differences.extend(files::differences(&folder, &version.version, &stored).await?);
        }
    }
    if context.json {
        println!("{}", json!({ "versions": versions, "wrong": differences }));
    } else {
        differences.iter().for_each(|line| println!("{line}"));
        println!("{versions} versions, {} files that are not what was released", differences.len());
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

pub(super) async fn mark(market: &Market, pack: &str, version: &str, status: &str) -> Result<()> {
    let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
    let found = Status::ALL.iter().find(|known| known.name() == status);
    let status = found.with_context(|| format!("`{status}` is none of {}", names.join(", ")))?;
    Ok(market.set_status(pack, version, *status, now_ms()).await?)
}

/// The folder of the released files.
fn released_folder(context: &Context) -> Result<Folder> {
    Ok(Folder::at(&netcrab_pipeline::tables::address(&context.config.packs.released)?)?)
}
