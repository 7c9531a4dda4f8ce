//! Insight reports: findings out of released rows, and out of nothing else.
//!
//!     released rows of other packs ─▶ findings that exceed their margins of error ─▶ a release of kind insight_reports
//!
//! What the gate released is public, so a report spends no privacy. A difference is a finding where it exceeds the
//! margins of both sides together; a smaller one may come from the noise alone.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use serde_json::{Value, json};

use crate::bound::SEPARATOR;
use crate::definition::Kind;
use crate::estimate::{Estimate, WeightedMean};
use crate::method::OTHER;
use crate::release::{NoisyCell, PackRelease};

/// Most findings of one row of a report.
const FINDINGS_MAX: usize = 10;

/// The released rows that a report is made from.
#[derive(Debug)]
pub struct ReleasedRows {
    /// The pack.
    pub pack_id: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// The rows of the version, see [`crate::rows::rows`].
    pub rows: RecordBatch,
    /// The rows of the version before it, where there is one.
    pub rows_before: Option<RecordBatch>,
}

/// The report of a window whose last day is `report_date`: a cell for each source that has findings.
pub fn report(sources: &[ReleasedRows], report_date: &str) -> PackRelease {
    let cells = sources.iter().filter_map(|source| report_cell(source, report_date)).collect();
    PackRelease { kind: Kind::InsightReports, cells, suppressed: 0, merged: 0 }
}

fn report_cell(source: &ReleasedRows, report_date: &str) -> Option<NoisyCell> {
    let (report_type, findings) = match source.kind {
        Kind::UxBenchmarks => ("friction", friction(source)),
        Kind::TaskFlows => ("flows", flows(source)),
        Kind::ReleaseDeltas => ("releases", product_releases(source)),
        Kind::InsightReports => return None,
    };
    if findings.is_empty() {
        return None;
    }
    let findings = Value::Array(findings.into_iter().take(FINDINGS_MAX).collect());
    let sessions: i64 = whole_numbers(&source.rows, "sample_sessions").sum();
    let orgs = whole_numbers(&source.rows, "org_count").min().unwrap_or(0);
    let parts =
        [report_date.to_owned(), report_type.to_owned(), findings.to_string(), sessions.to_string(), orgs.to_string()];
    let key = parts.join(&SEPARATOR.to_string());
    Some(NoisyCell { key, org_parts: 0, sessions: 0, answers: Vec::new(), factor: 1.0 })
}

/// The tasks whose friction changed since the version before, the largest change first; then the tasks with the
/// greatest friction.
fn friction(source: &ReleasedRows) -> Vec<Value> {
    let now = friction_by_task(&source.rows);
    let before = source.rows_before.as_ref().map(friction_by_task).unwrap_or_default();
    let changes = now.iter().filter_map(|(task, now)| {
        let change = now.minus(*before.get(task)?);
        change.beyond_margin().then_some((task, change))
    });
    let mut changes: Vec<(&String, Estimate)> = changes.collect();
    changes.sort_by(|a, b| b.1.value.abs().total_cmp(&a.1.value.abs()));
    let mut worst: Vec<(&String, &Estimate)> = now.iter().collect();
    worst.sort_by(|a, b| b.1.value.total_cmp(&a.1.value));
    let changed = changes.into_iter().map(|(task, change)| {
        let text = format!("Friction of {task} {} since the version before.", rose_or_fell(change));
        finding(source, text, change)
    });
    let worst = worst
        .into_iter()
        .take(3)
        .map(|(task, mean)| finding(source, format!("The mean friction of {task} is {:.3}.", mean.value), *mean));
    changed.chain(worst).collect()
}

/// The mean friction of each task, over all rows with this task, weighted by sessions.
fn friction_by_task(rows: &RecordBatch) -> BTreeMap<String, Estimate> {
    let mut means: BTreeMap<String, WeightedMean> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let weight = number(rows, "sample_sessions", row).filter(|sessions| *sessions > 0.0);
        if let (Some(task), Some(friction), Some(weight)) =
            (text(rows, "task_type", row), estimate(rows, "mean_frict_score", row), weight)
        {
            means.entry(in_a_sentence(task)).or_default().add(weight, friction);
        }
    }
    means.into_iter().map(|(task, mean)| (task, mean.estimate())).collect()
}

/// The fastest archetype of each task against its slowest.
fn flows(source: &ReleasedRows) -> Vec<Value> {
    let rows = &source.rows;
    let mut by_task: BTreeMap<&str, Vec<(&str, Estimate)>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        if let (Some(task), Some(label), Some(seconds)) =
            (text(rows, "task_type", row), text(rows, "archetype_label", row), estimate(rows, "avg_duration_s", row))
        {
            by_task.entry(task).or_default().push((label, seconds));
        }
    }
    let mut findings = Vec::new();
    for (task, mut archetypes) in by_task {
        archetypes.sort_by(|a, b| a.1.value.total_cmp(&b.1.value));
        let (Some((fast, fast_s)), Some((slow, slow_s))) = (archetypes.first(), archetypes.last()) else { continue };
        let gap = slow_s.minus(*fast_s);
        if gap.beyond_margin() {
            let text = format!("As “{fast}” {task} takes {:.1} s less than as “{slow}”.", gap.value);
            findings.push(finding(source, text, gap));
        }
    }
    findings
}

/// The tasks whose friction changed after product releases.
fn product_releases(source: &ReleasedRows) -> Vec<Value> {
    let rows = &source.rows;
    let changed = (0..rows.num_rows()).filter_map(|row| {
        let change = estimate(rows, "friction_delta", row)?;
        let task = text(rows, "task_type", row)?;
        let text = format!("After releases, friction of {} {}.", in_a_sentence(task), rose_or_fell(change));
        change.beyond_margin().then(|| finding(source, text, change))
    });
    changed.collect()
}

fn finding(source: &ReleasedRows, text: String, estimate: Estimate) -> Value {
    let round = |number: f64| (number * 10_000.0).round() / 10_000.0;
    json!({ "finding": text, "packId": source.pack_id, "version": source.version,
        "value": round(estimate.value), "moe95": round(estimate.moe95) })
}

fn rose_or_fell(change: Estimate) -> String {
    format!("{} by {:.3}", if change.value > 0.0 { "rose" } else { "fell" }, change.value.abs())
}

/// A task type as a sentence names it.
fn in_a_sentence(task: &str) -> String {
    if task == OTHER { "all other tasks".to_owned() } else { task.to_owned() }
}

fn text<'a>(rows: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = rows.column_by_name(column)?.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row))
}

fn number(rows: &RecordBatch, column: &str, row: usize) -> Option<f64> {
    let column = rows.column_by_name(column)?;
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row) as f64),
        _ => None,
    }
}

/// A column with noise and its margin.
fn estimate(rows: &RecordBatch, column: &str, row: usize) -> Option<Estimate> {
    Some(Estimate { value: number(rows, column, row)?, moe95: number(rows, &format!("{column}_moe95"), row)? })
}

/// The values of a column of whole numbers, without nulls.
fn whole_numbers<'a>(rows: &'a RecordBatch, column: &str) -> impl Iterator<Item = i64> + use<'a> {
    let column = rows.column_by_name(column).and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.into_iter().flat_map(|column| column.iter().flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;

    fn rows(tasks: [&str; 3], friction: [f64; 3]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 5] = [
            ("task_type", Arc::new(StringArray::from(tasks.to_vec()))),
            ("mean_frict_score", Arc::new(Float64Array::from(friction.to_vec()))),
            ("mean_frict_score_moe95", Arc::new(Float64Array::from(vec![0.03, 0.04, 0.03]))),
            ("sample_sessions", Arc::new(Int64Array::from(vec![300, 300, 100]))),
            ("org_count", Arc::new(Int64Array::from(vec![30, 25, 28]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn a_change_within_the_margins_of_both_versions_is_no_finding() {
        let tasks = ["pay", "search", "OTHER"];
        let source = ReleasedRows {
            pack_id: "crm".to_owned(),
            version: "1.1".to_owned(),
            kind: Kind::UxBenchmarks,
            rows: rows(tasks, [0.5, 0.30, 0.2]),
            // √(0.03² + 0.03²) = 0.0424 for `pay`, √(0.04² + 0.04²) = 0.0566 for `search`.
            rows_before: Some(rows(tasks, [0.45, 0.25, 0.2])),
        };
        let report = report(&[source], "2026-10-31");
        let parts: Vec<&str> = report.cells[0].key.split(SEPARATOR).collect();
        assert_eq!((parts[0], parts[1], parts[3], parts[4]), ("2026-10-31", "friction", "700", "25"));
        let findings: Vec<Value> = serde_json::from_str(parts[2]).unwrap();
        let texts: Vec<&str> = findings.iter().map(|finding| finding["finding"].as_str().unwrap()).collect();
        assert_eq!(
            texts,
            [
                "Friction of pay rose by 0.050 since the version before.",
                "The mean friction of pay is 0.500.",
                "The mean friction of search is 0.300.",
                "The mean friction of all other tasks is 0.200.",
            ]
        );
        assert_eq!((&findings[0]["value"], &findings[0]["moe95"]), (&json!(0.05), &json!(0.0424)));
    }
}
