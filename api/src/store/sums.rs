//! Adds up rows of the small additive tables, and cuts rows into days.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use hashbrown::HashMap;

use super::columns::{Columns, dates, plain_text, wrong};
use super::error::StoreError;
use super::records::{MoveSums, ScreenSums};
use crate::period::Day;

/// Adds up the rows of `fact_screen_hotspots`, by screen.
pub(crate) fn sum_screens<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
) -> Result<Vec<ScreenSums>, StoreError> {
    let mut screens: HashMap<String, ScreenSums> = HashMap::new();
    for batch in batches {
        let (screen_id, route) = (batch.texts("screen_id")?, batch.texts("route")?);
        let (sessions, visits) = (batch.numbers("sessions")?, batch.numbers("visits")?);
        let (frustration_sum, efficiency_sum) = (batch.scores("frustration_sum")?, batch.scores("efficiency_sum")?);
        let (rage_clicks, dead_clicks) = (batch.numbers("rage_clicks")?, batch.numbers("dead_clicks")?);
        let (error_clicks, backtracks) = (batch.numbers("error_clicks")?, batch.numbers("backtracks")?);
        let abandoned_tasks = batch.numbers("abandoned_tasks")?;
        let (dropoffs, time_spent_ms_sum) = (batch.numbers("dropoffs")?, batch.numbers("time_spent_ms_sum")?);
        for row in 0..batch.num_rows() {
            let sums = screens.entry_ref(screen_id.value(row)).or_default();
            if sums.route.is_empty() || route.value(row) < sums.route.as_str() {
                route.value(row).clone_into(&mut sums.route);
            }
            sums.sessions += sessions.value(row);
            sums.visits += visits.value(row);
            sums.frustration_sum += frustration_sum.value(row);
            sums.efficiency_sum += efficiency_sum.value(row);
            sums.rage_clicks += rage_clicks.value(row);
            sums.dead_clicks += dead_clicks.value(row);
            sums.error_clicks += error_clicks.value(row);
            sums.backtracks += backtracks.value(row);
            sums.abandoned_tasks += abandoned_tasks.value(row);
            sums.dropoffs += dropoffs.value(row);
            sums.time_spent_ms_sum += time_spent_ms_sum.value(row);
        }
    }
    let named = screens.into_iter().map(|(screen_id, sums)| ScreenSums { screen_id, ..sums });
    // A repair subtracts rows by negated sums, which can leave a screen whose sums are all zero.
    let mut screens: Vec<ScreenSums> = named.filter(|sums| !sums.is_nothing()).collect();
    screens.sort_unstable_by(|a, b| a.screen_id.cmp(&b.screen_id));
    Ok(screens)
}

/// Adds up the rows of `fact_flows`, by move.
pub(crate) fn sum_moves<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Vec<MoveSums>, StoreError> {
    let mut from_screens: HashMap<String, HashMap<String, MoveSums>> = HashMap::new();
    for batch in batches {
        let (from_screen, to_screen) = (batch.texts("from_screen")?, batch.texts("to_screen")?);
        let (moves, sessions) = (batch.numbers("moves")?, batch.numbers("sessions")?);
        let frustration_sum = batch.scores("frustration_sum")?;
        for row in 0..batch.num_rows() {
            let to_screens = from_screens.entry_ref(from_screen.value(row)).or_default();
            let sums = to_screens.entry_ref(to_screen.value(row)).or_default();
            sums.moves += moves.value(row);
            sums.sessions += sessions.value(row);
            sums.frustration_sum += frustration_sum.value(row);
        }
    }
    let mut named = Vec::new();
    for (from_screen, to_screens) in from_screens {
        let moves = to_screens.into_iter().filter(|(_, sums)| sums.moves != 0);
        named.extend(moves.map(|(to_screen, sums)| MoveSums { from_screen: from_screen.clone(), to_screen, ..sums }));
    }
    named.sort_unstable_by(|a, b| (&a.from_screen, &a.to_screen).cmp(&(&b.from_screen, &b.to_screen)));
    Ok(named)
}

/// Cuts rows sorted by `date` into days. Each day is copied, so that it does not keep the other days in memory.
pub(crate) fn by_day(rows: &[RecordBatch]) -> Result<BTreeMap<Day, RecordBatch>, StoreError> {
    let mut days: BTreeMap<Day, Vec<RecordBatch>> = BTreeMap::new();
    for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
        let dates = dates(batch, "date")?;
        let mut start = 0;
        for end in 1..=dates.len() {
            if end == dates.len() || dates.value(end) != dates.value(start) {
                days.entry(Day(dates.value(start))).or_default().push(batch.slice(start, end - start));
                start = end;
            }
        }
    }
    days.into_iter().map(|(day, parts)| Ok((day, owned(&parts)?))).collect()
}

fn owned(parts: &[RecordBatch]) -> Result<RecordBatch, StoreError> {
    debug_assert!(!parts.is_empty());
    let schema = parts[0].schema();
    // `concat_batches` gives back a single batch as it is, still a slice of the whole; with two it copies.
    let empty = RecordBatch::new_empty(schema.clone());
    let parts: Vec<&RecordBatch> = std::iter::once(&empty).chain(parts).collect();
    let whole = arrow::compute::concat_batches(&schema, parts).map_err(wrong)?;
    let plain = schema.fields().iter().zip(whole.columns()).map(|(field, column)| {
        Ok((
            field.name(),
            if field.data_type() == &DataType::Utf8View { plain_text(column)? } else { column.clone() },
            true,
        ))
    });
    RecordBatch::try_from_iter_with_nullable(plain.collect::<Result<Vec<_>, StoreError>>()?).map_err(wrong)
}
