//! One event as the column builders take it.

use netcrab_schema::Type;
use netcrab_schema::events::EVENT;

use crate::event_columns::COLUMNS;

/// Stand for an absent instant or whole number, number and boolean. No valid value equals them.
pub(super) const NO_INSTANT: i64 = i64::MIN;
pub(super) const NO_NUMBER: f32 = f32::NAN;
pub(super) const NO_TRUTH: i64 = 2;

/// Stands for an absent symbol.
pub(super) const NO_KEY: i32 = -1;

/// A valid event, by index of the column: the dictionary key of a symbol, the bits of a number, an instant, a
/// whole number, a boolean.
pub(crate) type Cells = [i64; COLUMNS];

/// The cells of an event without any value.
pub(crate) const ABSENT: Cells = {
    let mut cells = [0; COLUMNS];
    let mut at = 0;
    while at < COLUMNS {
        cells[at] = match EVENT[at].kind {
            Type::Symbol | Type::Repeated => NO_KEY as i64,
            Type::Timestamp | Type::Int64 => NO_INSTANT,
            Type::Float32 => NO_NUMBER.to_bits() as i64,
            Type::Bool if EVENT[at].nullable => NO_TRUTH,
            _ => 0,
        };
        at += 1;
    }
    cells
};
