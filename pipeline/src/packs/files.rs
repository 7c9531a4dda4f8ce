//! The files of a version, out of what is stored of it.
//!
//!     released/crm_friction/1.0/data.parquet, data.csv, sample.json, datapackage.json, manifest.json
//!
//! They are made of what is stored and nothing else, so they are the same bytes wherever and whenever they are made.
//! A file is created and never overwritten; the manifest comes last and names the others with their SHA-256.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use jiff::Timestamp;
use netcrab_packs::definition::Definition;
use netcrab_packs::noise::epsilon;
use netcrab_packs::rows::{chosen, rows};
use netcrab_packs::{Kind, Plan, method};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::build::Sealed;
use crate::checkpoints::folder::Folder;

/// Rows of the sample that a catalog shows.
const SAMPLE_ROWS: usize = 20;

/// The name of the file that names the others.
pub const MANIFEST: &str = "manifest.json";

/// The files of a version by name; the manifest last.
pub fn files(version: &str, sealed: &Sealed) -> Result<Vec<(String, Vec<u8>)>> {
    let Sealed { definition, window: (from, to), release, .. } = sealed;
    let plan = Plan::of(definition)?;
    let batch = rows(definition, &plan, release, &format!("{from}/{to}"))?;
    let mut files = vec![
        ("data.parquet".to_owned(), as_parquet(&batch, &definition.pack_id, version)?),
        ("data.csv".to_owned(), as_csv(&batch)?),
        ("sample.json".to_owned(), pretty(&as_json(&batch.slice(0, batch.num_rows().min(SAMPLE_ROWS)))?)?),
    ];
    if definition.kind == Kind::InsightReports {
        let page = super::reports::page(definition, version, &as_json(&batch)?);
        files.push(("report.html".to_owned(), page.into_bytes()));
    }
    files.push(("datapackage.json".to_owned(), pretty(&datapackage(version, sealed, &batch, &files))?));
    files.push((MANIFEST.to_owned(), pretty(&manifest(version, sealed, &plan, &batch, &files)?)?));
    Ok(files)
}

/// Creates the files of a version; those that are there already must be the same.
pub async fn write(folder: &Folder, version: &str, sealed: &Sealed) -> Result<usize> {
    let folder = folder.join(&sealed.definition.pack_id).join(version);
    folder.make()?;
    let mut created = 0;
    for (name, bytes) in files(version, sealed)? {
        if folder.create(&name, &bytes).await? {
            created += 1;
        } else if folder.read(&name).await? != bytes {
            bail!("{} is not what was released; keep it as evidence, remove it and build again", folder.name_of(&name));
        }
    }
    Ok(created)
}

/// What is wrong with the files of a version: each that is missing or was changed.
pub async fn differences(folder: &Folder, version: &str, sealed: &Sealed) -> Result<Vec<String>> {
    let folder = folder.join(&sealed.definition.pack_id).join(version);
    let mut wrong = Vec::new();
    for (name, bytes) in files(version, sealed)? {
        if !folder.has(&name).await? {
            wrong.push(format!("{} is missing", folder.name_of(&name)));
        } else if folder.read(&name).await? != bytes {
            wrong.push(format!("{} was changed", folder.name_of(&name)));
        }
    }
    Ok(wrong)
}

fn as_parquet(batch: &RecordBatch, pack_id: &str, version: &str) -> Result<Vec<u8>> {
    let about = vec![
        KeyValue::new("packId".to_owned(), pack_id.to_owned()),
        KeyValue::new("version".to_owned(), version.to_owned()),
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("netcrab".to_owned())
        .set_key_value_metadata(Some(about))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

fn as_csv(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(batch.schema().fields().iter().map(|field| field.name()))?;
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        writer.write_record(columns.iter().map(|column| column.value(row).to_string()))?;
    }
    writer.into_inner().context("a table in memory")
}

/// The rows as objects.
pub fn as_json(batch: &RecordBatch) -> Result<Value> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let bytes = writer.into_inner();
    Ok(if bytes.is_empty() { json!([]) } else { serde_json::from_slice(&bytes)? })
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A Frictionless data package.
fn datapackage(version: &str, sealed: &Sealed, batch: &RecordBatch, files: &[(String, Vec<u8>)]) -> Value {
    let definition = &sealed.definition;
    let schema = json!({ "fields": fields(batch, "name", frictionless) });
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

fn fields(batch: &RecordBatch, name: &str, kind: fn(&DataType) -> &'static str) -> Vec<Value> {
    let schema = batch.schema();
    let field = |field: &Arc<arrow::datatypes::Field>| {
        let meaning = field.metadata().get("comment").cloned().unwrap_or_default();
        json!({ name: field.name(), "type": kind(field.data_type()), "description": meaning })
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

fn manifest(
    version: &str,
    sealed: &Sealed,
    plan: &Plan,
    batch: &RecordBatch,
    files: &[(String, Vec<u8>)],
) -> Result<Value> {
    let Definition { pack_id, kind, vertical, privacy, min_orgs, min_sessions, .. } = &sealed.definition;
    let built_at = Timestamp::from_millisecond(sealed.built_at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let file =
        |(name, bytes): &(String, Vec<u8>)| json!({ "name": name, "bytes": bytes.len(), "sha256": sha256(bytes) });
    let release = &sealed.release;
    Ok(json!({
        "packId": pack_id,
        "version": version,
        "kind": kind,
        "table": kind.table(),
        "vertical": vertical,
        "builtAt": built_at.to_string(),
        "window": { "from": sealed.window.0, "to": sealed.window.1 },
        "method": sealed.method,
        "measures": method::measures(*kind),
        "columns": chosen(&sealed.definition).collect::<Vec<_>>(),
        "schema": fields(batch, "name", frictionless),
        "rows": batch.num_rows(),
        "cells": {
            "released": release.cells.len(),
            // Both with noise, for how many cells there are tells of the visitors in them.
            "aboutLeftOut": release.left_out,
            "aboutBroughtTogether": release.brought_together,
        },
        "rules": { "minOrgs": min_orgs, "minSessions": min_sessions, "orgsNeeded": plan.orgs_needed() },
        "privacy": {
            "unit": privacy.unit,
            "perVersion": {
                "epsilon": rounded(epsilon(plan.rho_window, plan.delta_window)?),
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
        },
        "files": files.iter().map(file).collect::<Vec<_>>(),
    }))
}

/// Upwards, to four digits: a claim is never less than what it stands for.
fn rounded(epsilon: f64) -> f64 {
    (epsilon * 10_000.0).ceil() / 10_000.0
}

/// The SHA-256 of some bytes, as hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
