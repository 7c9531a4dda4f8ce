//! The files of a version, made from what the database stores of it.
//!
//!     released/crm_friction/1.0/data.parquet, data.csv, sample.json, datapackage.json, manifest.json
//!
//! They are made from the stored release and nothing else, so they are the same bytes on any machine and any day. A
//! file is created and never overwritten. The manifest comes last and lists the others with their SHA-256.

use netcrab_packs::{Kind, ReleasePlan, rows};

use super::encode::{as_csv, as_json, as_parquet, as_pretty_json};
use super::error::Error;
use super::manifest::{datapackage, manifest};
use super::report_page::report_page;
use super::stored::StoredRelease;
use crate::checkpoints::folder::Folder;

/// Most rows of the sample for a catalog.
const SAMPLE_ROWS_MAX: usize = 20;

/// The name of the file that lists the others.
pub const MANIFEST: &str = "manifest.json";

/// The files of a version as name and bytes; the manifest last.
///
/// # Errors
///
/// [`Error::Noise`] when OpenDP computes no plan, and errors of encoding, which are defects of netcrab.
pub fn files(version: &str, stored: &StoredRelease) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let definition = &stored.definition;
    let plan = ReleasePlan::of(definition)?;
    let batch = rows::rows(definition, &plan, &stored.release, &stored.window_text())?;
    let sample = batch.slice(0, batch.num_rows().min(SAMPLE_ROWS_MAX));
    let mut files = vec![
        ("data.parquet".to_owned(), as_parquet(&batch, &definition.pack_id, version)?),
        ("data.csv".to_owned(), as_csv(&batch)?),
        ("sample.json".to_owned(), as_pretty_json(&as_json(&sample)?)?),
    ];
    if definition.kind == Kind::InsightReports {
        let page = report_page(definition, version, &as_json(&batch)?);
        files.push(("report.html".to_owned(), page.into_bytes()));
    }
    files.push(("datapackage.json".to_owned(), as_pretty_json(&datapackage(version, stored, &batch, &files))?));
    files.push((MANIFEST.to_owned(), as_pretty_json(&manifest(version, stored, &plan, &batch, &files)?)?));
    Ok(files)
}

/// Creates the files of a version that are not there yet, and answers how many.
///
/// # Errors
///
/// [`Error::FileChanged`] when a file is there with other bytes, [`Error::Folder`] when the folder cannot be read or
/// written, and the errors of [`files`].
pub async fn write(folder: &Folder, version: &str, stored: &StoredRelease) -> Result<usize, Error> {
    let folder = folder.join(&stored.definition.pack_id).join(version);
    folder.make()?;
    let mut created = 0;
    for (name, bytes) in files(version, stored)? {
        if folder.create(&name, &bytes).await? {
            created += 1;
        } else if folder.read(&name).await? != bytes {
            return Err(Error::FileChanged(folder.name_of(&name)));
        }
    }
    Ok(created)
}

/// A line for each file of a version that is missing or was changed.
///
/// # Errors
///
/// [`Error::Folder`] when the folder cannot be read, and the errors of [`files`].
pub async fn differences(folder: &Folder, version: &str, stored: &StoredRelease) -> Result<Vec<String>, Error> {
    let folder = folder.join(&stored.definition.pack_id).join(version);
    let mut differences = Vec::new();
    for (name, bytes) in files(version, stored)? {
        if !folder.has(&name).await? {
            differences.push(format!("{} is missing", folder.name_of(&name)));
        } else if folder.read(&name).await? != bytes {
            differences.push(format!("{} was changed", folder.name_of(&name)));
        }
    }
    Ok(differences)
}
