//! The files that describe a version: manifest.json and datapackage.json.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use jiff::Timestamp;
use netcrab_packs::definition::{Definition, Privacy};
use netcrab_packs::noise::epsilon;
use netcrab_packs::rows::columns_of;
use netcrab_packs::{ReleasePlan, method};
use serde_json::{Value, json};

use super::digest::sha256;
use super::error::Error;
use super::stored::StoredRelease;

/// The description of the data files as a Frictionless data package (<https://datapackage.org>).
pub(super) fn datapackage(
    version: &str,
    stored: &StoredRelease,
    batch: &RecordBatch,
    files: &[(String, Vec<u8>)],
) -> Value {
    let definition = &stored.definition;
    let schema = json!({ "fields": fields(batch) });
    let resource = |(name, bytes): &(String, Vec<u8>)| {
        let format = name.rsplit('.').next().unwrap_or_default();
        json!({
            "name": name.replace('.', "-"), "path": name, "format": format, "bytes": bytes.len(),
            "hash": format!("sha256:{}", sha256(bytes)), "schema": schema,
        })
    };
    json!({
        "name": definition.pack_id.replace('_', "-"),
        "title": definition.title,
        "description": definition.short_description,
        "version": version,
        "resources": files.iter().filter(|(name, _)| name.starts_with("data.")).map(resource).collect::<Vec<_>>(),
    })
}

/// The columns of the rows as fields of a Frictionless table schema.
fn fields(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let field = |field: &Arc<arrow::datatypes::Field>| {
        let meaning = field.metadata().get("comment").cloned().unwrap_or_default();
        json!({ "name": field.name(), "type": frictionless(field.data_type()), "description": meaning })
    };
    schema.fields().iter().map(field).collect()
}

fn frictionless(kind: &DataType) -> &'static str {
    match kind {
        DataType::Int64 => "integer",
        DataType::Float64 => "number",
        _ => "string",
    }
}

/// The description of a version: what it covers, its rules and privacy, and its files with their SHA-256.
pub(super) fn manifest(
    version: &str,
    stored: &StoredRelease,
    plan: &ReleasePlan,
    batch: &RecordBatch,
    files: &[(String, Vec<u8>)],
) -> Result<Value, Error> {
    let Definition { pack_id, kind, vertical, privacy, min_orgs, min_sessions, .. } = &stored.definition;
    let built_at = Timestamp::from_millisecond(stored.built_at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let file =
        |(name, bytes): &(String, Vec<u8>)| json!({ "name": name, "bytes": bytes.len(), "sha256": sha256(bytes) });
    let release = &stored.release;
    Ok(json!({
        "packId": pack_id,
        "version": version,
        "kind": kind,
        "table": kind.table(),
        "vertical": vertical,
        "builtAt": built_at.to_string(),
        "window": { "from": stored.window.0, "to": stored.window.1 },
        "method": stored.method,
        "measures": method::measures(*kind),
        "columns": columns_of(&stored.definition).collect::<Vec<_>>(),
        "schema": fields(batch),
        "rows": batch.num_rows(),
        "cells": {
            "released": release.cells.len(),
            // Both with noise, because exact numbers would depend on single visitors.
            "aboutLeftOut": release.suppressed,
            "aboutBroughtTogether": release.merged,
        },
        "rules": { "minOrgs": min_orgs, "minSessions": min_sessions, "orgsNeeded": plan.orgs_needed() },
        "privacy": privacy_section(privacy, plan)?,
        "files": files.iter().map(file).collect::<Vec<_>>(),
    }))
}

fn privacy_section(privacy: &Privacy, plan: &ReleasePlan) -> Result<Value, Error> {
    Ok(json!({
        "unit": privacy.unit,
        "perVersion": {
            "epsilon": rounded_up(epsilon(plan.rho_window, plan.delta_window)?),
            "delta": 2.0 * plan.delta_window,
            "rho": plan.rho_window,
        },
        "inTotal": {
            "epsilon": privacy.epsilon, "delta": privacy.delta, "rho": plan.rho_total,
            "versionsOfAPeriod": plan.windows,
        },
        "maxCellsPerUnit": privacy.max_cells_per_unit,
        "maxShareOfCell": privacy.max_share_of_cell,
        "wholeOrgUnits": privacy.whole_org_units,
        "plan": plan,
    }))
}

/// Rounds up to four digits, so that the manifest never claims less ε than the build spent.
fn rounded_up(epsilon: f64) -> f64 {
    (epsilon * 10_000.0).ceil() / 10_000.0
}
