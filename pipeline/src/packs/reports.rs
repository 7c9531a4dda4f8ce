//! Insight reports: findings out of released packs, and of nothing else.
//!
//!     released rows of the source packs ─▶ findings that stand beyond their margins ─▶ rows, and a page
//!
//! What left through the gate is public, so a report spends nothing. A difference is a finding where it is greater
//! than the margins of both sides together; what noise may have made is none.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use netcrab_market::{Market, Status, Version};
use netcrab_pack_build::Window;
use netcrab_packs::bound::SEPARATOR;
use netcrab_packs::method::OTHER;
use netcrab_packs::release::NoisyCell;
use netcrab_packs::rows::rows;
use netcrab_packs::{Definition, Kind, Plan, Release};
use serde_json::{Value, json};

use super::build::sealed;
use super::files::as_json;

/// Most findings of one row.
const FINDINGS_MAX: usize = 10;

/// A released version and its rows.
pub struct Source {
    /// Its pack.
    pub pack_id: String,
    /// The version.
    pub version: String,
    kind: Kind,
    rows: Vec<Value>,
    /// The version before it.
    before: Vec<Value>,
}

/// The newest version of each source pack whose window is over with the report's, and the one before.
pub async fn sources(market: &Market, definition: &Definition, window: &Window) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for pack_id in &definition.sources {
        let mut versions = market.versions(pack_id).await?;
        versions.retain(|version| version.status != Status::Revoked && version.window_to <= window.to);
        versions.sort_by(|a, b| (&a.window_to, a.major, a.minor).cmp(&(&b.window_to, b.major, b.minor)));
        let Some(newest) = versions.pop() else { continue };
        let older = versions.into_iter().rev().find(|version| version.window_to < newest.window_to);
        let (kind, now) = released(market, &newest).await?;
        let before = match older {
            Some(older) => released(market, &older).await?.1,
            None => Vec::new(),
        };
        sources.push(Source { pack_id: pack_id.clone(), version: newest.version, kind, rows: now, before });
    }
    Ok(sources)
}

async fn released(market: &Market, version: &Version) -> Result<(Kind, Vec<Value>)> {
    let sealed = sealed(market, version).await?;
    let plan = Plan::of(&sealed.definition)?;
    let rows = rows(&sealed.definition, &plan, &sealed.release, "")?;
    let Value::Array(rows) = as_json(&rows)? else { return Ok((sealed.definition.kind, Vec::new())) };
    Ok((sealed.definition.kind, rows))
}

/// The report of a window: a row for each source that has findings.
pub fn report(sources: &[Source], window: &Window) -> Release {
    let mut cells = Vec::new();
    for source in sources {
        let (kind, findings) = match source.kind {
            Kind::UxBenchmarks => ("friction", friction(source)),
            Kind::TaskFlows => ("flows", flows(source)),
            Kind::ReleaseDeltas => ("releases", releases(source)),
            Kind::InsightReports => continue,
        };
        if findings.is_empty() {
            continue;
        }
        let sessions: i64 = source.rows.iter().filter_map(|row| row["sample_sessions"].as_i64()).sum();
        let orgs = source.rows.iter().filter_map(|row| row["org_count"].as_i64()).min().unwrap_or(0);
        let findings = Value::Array(findings.into_iter().take(FINDINGS_MAX).collect());
        let parts = [window.to.clone(), kind.to_owned(), findings.to_string(), sessions.to_string(), orgs.to_string()];
        cells.push(NoisyCell {
            key: parts.join(&SEPARATOR.to_string()),
            org_parts: 0,
            sessions: 0,
            answers: Vec::new(),
            factor: 1.0,
        });
    }
    Release { kind: Kind::InsightReports, cells, left_out: 0, brought_together: 0 }
}

/// A mean over rows, weighed by sessions, and its margin.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    weight: f64,
    sum: f64,
    square: f64,
}

impl Mean {
    fn value(self) -> f64 {
        self.sum / self.weight
    }

    fn moe95(self) -> f64 {
        self.square.sqrt() / self.weight
    }
}

fn by_task(rows: &[Value], column: &str) -> BTreeMap<String, Mean> {
    let mut means: BTreeMap<String, Mean> = BTreeMap::new();
    for row in rows {
        let number = |name: &str| row[name].as_f64();
        let (Some(task), Some(value), Some(moe), Some(weight)) = (
            row["task_type"].as_str(),
            number(column),
            number(&format!("{column}_moe95")),
            number("sample_sessions").filter(|sessions| *sessions > 0.0),
        ) else {
            continue;
        };
        let mean = means.entry(named(task)).or_default();
        mean.weight += weight;
        mean.sum += weight * value;
        mean.square += (weight * moe).powi(2);
    }
    means
}

/// A task type as a sentence names it.
fn named(task: &str) -> String {
    if task == OTHER { "all other tasks".to_owned() } else { task.to_owned() }
}

fn finding(source: &Source, text: String, value: f64, moe95: f64) -> Value {
    let round = |number: f64| (number * 10_000.0).round() / 10_000.0;
    json!({ "finding": text, "packId": source.pack_id, "version": source.version, "value": round(value), "moe95": round(moe95) })
}

/// What moved since the version before, most first; then where friction is greatest.
fn friction(source: &Source) -> Vec<Value> {
    let (now, before) = (by_task(&source.rows, "mean_frict_score"), by_task(&source.before, "mean_frict_score"));
    let moved = now.iter().filter_map(|(task, now)| {
        let before = before.get(task)?;
        let (change, margin) = (now.value() - before.value(), now.moe95().hypot(before.moe95()));
        (change.abs() > margin).then_some((task, change, margin))
    });
    let mut moved: Vec<_> = moved.collect();
    moved.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let mut findings: Vec<Value> = moved
        .into_iter()
        .map(|(task, change, margin)| {
            let way = if change > 0.0 { "rose" } else { "fell" };
            let text = format!("Friction of {task} {way} by {:.3} since the version before.", change.abs());
            finding(source, text, change, margin)
        })
        .collect();
    let mut worst: Vec<_> = now.iter().collect();
    worst.sort_by(|a, b| b.1.value().total_cmp(&a.1.value()));
    findings.extend(worst.into_iter().take(3).map(|(task, mean)| {
        let text = format!("The mean friction of {task} is {:.3}.", mean.value());
        finding(source, text, mean.value(), mean.moe95())
    }));
    findings
}

/// The fastest archetype of each task against its slowest.
fn flows(source: &Source) -> Vec<Value> {
    let mut by_task: BTreeMap<&str, Vec<(&str, f64, f64)>> = BTreeMap::new();
    for row in &source.rows {
        if let (Some(task), Some(label), Some(seconds), Some(moe)) = (
            row["task_type"].as_str(),
            row["archetype_label"].as_str(),
            row["avg_duration_s"].as_f64(),
            row["avg_duration_s_moe95"].as_f64(),
        ) {
            by_task.entry(task).or_default().push((label, seconds, moe));
        }
    }
    let mut findings = Vec::new();
    for (task, mut archetypes) in by_task {
        archetypes.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (Some(fast), Some(slow)) = (archetypes.first(), archetypes.last()) else { continue };
        let (gap, margin) = (slow.1 - fast.1, slow.2.hypot(fast.2));
        if gap > margin {
            let text = format!("As “{}” {task} takes {gap:.1} s less than as “{}”.", fast.0, slow.0);
            findings.push(finding(source, text, gap, margin));
        }
    }
    findings
}

/// Releases that changed friction.
fn releases(source: &Source) -> Vec<Value> {
    let changed = source.rows.iter().filter_map(|row| {
        let (change, moe) = (row["friction_delta"].as_f64()?, row["friction_delta_moe95"].as_f64()?);
        let task = row["task_type"].as_str()?;
        (change.abs() > moe).then(|| {
            let way = if change > 0.0 { "rose" } else { "fell" };
            let text = format!("After releases, friction of {} {way} by {:.3}.", named(task), change.abs());
            finding(source, text, change, moe)
        })
    });
    changed.collect()
}

/// A report as a page of its own.
pub fn page(definition: &Definition, version: &str, rows: &Value) -> String {
    let mut body = String::new();
    for row in rows.as_array().into_iter().flatten() {
        let insights = row["insights"].as_str().unwrap_or("[]");
        let Ok(Value::Array(findings)) = serde_json::from_str::<Value>(insights) else { continue };
        let about = row["report_type"].as_str().unwrap_or_default();
        let _ = write!(body, "<section><h2>{}</h2><ul>", escaped(about));
        for finding in findings {
            let text = |name: &str| escaped(finding[name].as_str().unwrap_or_default());
            let number = |name: &str| finding[name].as_f64().unwrap_or(0.0);
            let _ = write!(
                body,
                "<li>{} <small>± {:.4}, {} {}</small></li>",
                text("finding"),
                number("moe95"),
                text("packId"),
                text("version")
            );
        }
        let _ = write!(
            body,
            "</ul><p><small>{} sessions, at least {} organisations in each row.</small></p></section>",
            row["sample_sessions"], row["org_count"]
        );
    }
    if body.is_empty() {
        body.push_str("<p>Nothing stands out beyond its margin of error.</p>");
    }
    let title = escaped(&definition.title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1c2330}}\
         h1{{margin-bottom:0}}h2{{text-transform:capitalize;border-bottom:1px solid #dde3ea;margin-top:2rem}}\
         li{{margin:.4rem 0}}small{{color:#667}}</style></head>\n\
         <body><h1>{title}</h1><p><small>{} {}</small></p>{body}</body></html>\n",
        escaped(&definition.pack_id),
        escaped(version)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
