//! Contribution bounding: what counts of all that one unit contributes.
//!
//!     contributions of one unit ─▶ one session for each cell ─▶ at most `cells_max` cells
//!
//! A hash of the pack, the unit and the session decides which ones. So the choice for one unit depends on no other
//! unit, and the same data give the same choice.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// What a session contributes to a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The cell's key, its parts joined by [`SEPARATOR`].
    pub cell: String,
    /// The session, or the part of one, unique within the unit.
    pub session: String,
    /// One value for each measure of the kind, in steps of `1 / per_unit`; `None` where the session has no value.
    pub values: Vec<Option<i64>>,
}

/// Separates the parts of a cell's key.
pub const SEPARATOR: char = '\u{1f}';

/// A pseudorandom rank of something among those of a unit; the lowest ranks count. The text breaks ties of the hash.
pub(crate) fn rank(pack_id: &str, unit: &str, what: &str) -> (u64, String) {
    let text = [pack_id, unit, what].join("\u{1e}");
    (xxh3_64(text.as_bytes()), text)
}

/// The contributions of a unit that count: one for each cell, in at most `cells_max` cells; sorted by their keys.
pub fn bound_contributions(
    pack_id: &str,
    unit: &str,
    cells_max: u32,
    contributions: impl IntoIterator<Item = Contribution>,
) -> Vec<Contribution> {
    let rank = |what: &str| rank(pack_id, unit, what);
    let mut by_cell: BTreeMap<String, ((u64, String), Contribution)> = BTreeMap::new();
    for contribution in contributions {
        let session_rank = rank(&format!("{}{SEPARATOR}{}", contribution.cell, contribution.session));
        match by_cell.get_mut(&contribution.cell) {
            Some(first) if first.0 <= session_rank => {}
            Some(first) => *first = (session_rank, contribution),
            None => {
                by_cell.insert(contribution.cell.clone(), (session_rank, contribution));
            }
        }
    }
    let mut bounded: Vec<Contribution> = by_cell.into_values().map(|(_, contribution)| contribution).collect();
    if bounded.len() > cells_max as usize {
        bounded.sort_by_cached_key(|contribution| rank(&contribution.cell));
        bounded.truncate(cells_max as usize);
        bounded.sort_by(|a, b| a.cell.cmp(&b.cell));
    }
    bounded
}
