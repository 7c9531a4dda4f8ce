//! The bounds of stored values.

use crate::error::Error;

/// Longest name of an organisation, in bytes.
pub const ORG_ID_BYTES_MAX: usize = 64;
/// Longest text of any other kind (a pack, a category, a digest, …), in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Longest prefix of a route and longest segment, in bytes.
pub const PATH_BYTES_MAX: usize = 2048;
/// Most entries of a list: of excluded paths, of segments, of categories, of spends.
pub const LIST_ENTRIES_MAX: usize = 1000;
/// Most organisations that contribute to one version.
pub const CONTRIBUTIONS_MAX: usize = 100_000;
/// Largest result, in bytes (64 MiB).
pub const RESULT_BYTES_MAX: usize = 64 << 20;

/// Refuses the name of an organisation that is empty or too long.
pub(crate) fn org_id(org_id: &str) -> Result<(), Error> {
    bounded("the organisation", org_id, ORG_ID_BYTES_MAX)
}

/// Refuses a text that is empty or too long.
pub(crate) fn text(what: &'static str, text: &str) -> Result<(), Error> {
    bounded(what, text, TEXT_BYTES_MAX)
}

/// Refuses a list of routes or segments with too many entries, or with one that is empty or too long.
pub(crate) fn list(what: &'static str, entry: &'static str, list: &[String]) -> Result<(), Error> {
    entries(what, list.len(), LIST_ENTRIES_MAX)?;
    list.iter().try_for_each(|text| bounded(entry, text, PATH_BYTES_MAX))
}

/// Refuses a list with too many entries.
pub(crate) fn entries(what: &'static str, entries: usize, max: usize) -> Result<(), Error> {
    if entries > max {
        return Err(Error::TooMany { what, entries, max });
    }
    Ok(())
}

/// Refuses more bytes than `max`.
pub(crate) fn bytes(what: &'static str, bytes: usize, max: usize) -> Result<(), Error> {
    if bytes > max {
        return Err(Error::TooLong { what, bytes, max });
    }
    Ok(())
}

fn bounded(what: &'static str, text: &str, max: usize) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Empty { what });
    }
    if text.contains('\0') {
        return Err(Error::Nul { what });
    }
    bytes(what, text.len(), max)
}
