//! The released versions that an insight report is made from.
//!
//!     source packs of the definition ─▶ newest version that ends with the window or earlier, and the one before it

use arrow::array::RecordBatch;
use netcrab_market::{Market, Status, Version};
use netcrab_pack_build::BuildWindow;
use netcrab_packs::findings::ReleasedRows;
use netcrab_packs::{Definition, Kind, ReleasePlan, rows};

use super::error::Error;
use super::stored::StoredRelease;

/// The rows of each source pack of a report. A pack without a version that ends by the window's last day has none;
/// revoked versions do not count.
///
/// # Errors
///
/// [`Error::Market`] when the database does not answer, and [`Error::OtherRelease`] or [`Error::NoResult`] when it
/// holds a version that cannot be read.
pub(super) async fn report_sources(
    market: &Market,
    definition: &Definition,
    window: &BuildWindow,
) -> Result<Vec<ReleasedRows>, Error> {
    let mut sources = Vec::new();
    for pack_id in &definition.sources {
        let mut versions = market.versions(pack_id).await?;
        versions.retain(|version| version.status != Status::Revoked && version.window_to <= window.to);
        versions.sort_by(|a, b| (&a.window_to, a.major, a.minor).cmp(&(&b.window_to, b.major, b.minor)));
        let Some(newest) = versions.pop() else { continue };
        let before = versions.into_iter().rev().find(|version| version.window_to < newest.window_to);
        let (kind, rows) = released_rows(market, &newest).await?;
        let rows_before = match before {
            Some(before) => Some(released_rows(market, &before).await?.1),
            None => None,
        };
        sources.push(ReleasedRows { pack_id: pack_id.clone(), version: newest.version, kind, rows, rows_before });
    }
    Ok(sources)
}

async fn released_rows(market: &Market, version: &Version) -> Result<(Kind, RecordBatch), Error> {
    let StoredRelease { definition, release, .. } = StoredRelease::read(market, version).await?;
    let plan = ReleasePlan::of(&definition)?;
    Ok((definition.kind, rows::rows(&definition, &plan, &release, "")?))
}
