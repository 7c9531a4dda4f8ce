//! Bounds what a unit contributes.
//!
//!     contributions of one unit ─▶ one session of each cell ─▶ at most C cells
//!
//! Which ones is decided by a hash of the pack, the unit and the session alone, so what one unit contributes does not
//! depend on any other, and the same data give the same choice.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// What a session says of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The cell's key, its parts joined by [`SEPARATOR`].
    pub cell: String,
    /// The session, or the part of it, among those of the unit.
    pub session: String,
    /// The values of the kind's measures; `None` where it says nothing.
    pub values: Vec<Option<i64>>,
}

/// What stands between the parts of a cell's key.
pub const SEPARATOR: char = '\u{1f}';

/// The lot of something among those of a unit: the lowest are kept. The text settles lots that are the same.
pub(crate) fn lot(pack_id: &str, unit: &str, what: &str) -> (u64, String) {
    let text = [pack_id, unit, what].join("\u{1e}");
    (xxh3_64(text.as_bytes()), text)
}

/// Keeps at most `cells` cells of a unit, and one session in each; in the order of their keys.
pub fn bound(
    pack_id: &str,
    unit: &str,
    cells: u32,
    contributions: impl IntoIterator<Item = Contribution>,
) -> Vec<Contribution> {
    let drawn = |what: &str| lot(pack_id, unit, what);
    let mut chosen: BTreeMap<String, ((u64, String), Contribution)> = BTreeMap::new();
    for contribution in contributions {
        let lot = drawn(&format!("{}{SEPARATOR}{}", contribution.cell, contribution.session));
        match chosen.get_mut(&contribution.cell) {
            Some(first) if first.0 <= lot => {}
            Some(first) => *first = (lot, contribution),
            None => {
                chosen.insert(contribution.cell.clone(), (lot, contribution));
            }
        }
    }
    let mut kept: Vec<Contribution> = chosen.into_values().map(|(_, contribution)| contribution).collect();
    if kept.len() > cells as usize {
        kept.sort_by_cached_key(|contribution| drawn(&contribution.cell));
        kept.truncate(cells as usize);
        kept.sort_by(|a, b| a.cell.cmp(&b.cell));
    }
    kept
}
