//! The archetype of a task, as an aggregate of SQL.
//!
//!     archetype(position, screen_id) ─▶ "list > detail > edit"
//!
//! The step types of the task's screens in the order of their positions; a step that repeats the one before is dropped,
//! and the first six remain. DataFusion has no aggregate that orders the rows of a group without sorting all groups.

use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StringArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use crate::steps::{step_name, step_number};

/// Most steps of an archetype.
const STEPS_MAX: usize = 6;

/// `archetype(position, screen_id)` in SQL.
pub(crate) fn function() -> AggregateUDF {
    AggregateUDF::from(Archetype { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Archetype {
    signature: Signature,
}

impl AggregateUDFImpl for Archetype {
    fn name(&self) -> &str {
        "archetype"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("visits", DataType::List(visit()), false))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Err(DataFusionError::NotImplemented("archetype is an aggregate of groups only; add a GROUP BY".to_owned()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Visits::default()))
    }
}

/// The screen visits of each task, unordered. A visit is `position << 8 | number of the step type`.
#[derive(Default)]
struct Visits {
    tasks: Vec<Vec<u64>>,
    /// Visits that the allocated memory holds.
    capacity: usize,
}

fn visit() -> FieldRef {
    Arc::new(Field::new("visit", DataType::UInt64, false))
}

/// The visit of each row; none where the filter drops the row or a value is null.
fn visits(values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<Option<u64>>> {
    let [positions, screens] = values else {
        return Err(DataFusionError::Plan("archetype takes a position and a screen".to_owned()));
    };
    let (positions, screens) = (cast(positions, &DataType::Int64)?, cast(screens, &DataType::Utf8)?);
    let (positions, screens) = (positions.as_primitive::<Int64Type>(), screens.as_string::<i32>());
    // Few screens have many visits, so each name is cut into words once.
    let mut known: HashMap<&str, u64> = HashMap::new();
    let rows = positions.iter().zip(screens.iter()).enumerate();
    let visits = rows.map(|(row, (position, screen))| {
        let counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let (position, screen) = position.zip(screen).filter(|_| counted)?;
        let step = *known.entry(screen).or_insert_with(|| step_number(screen) as u64);
        Some((position as u64) << 8 | step)
    });
    Ok(visits.collect())
}

fn state(tasks: &[&[u64]]) -> Result<Vec<ArrayRef>> {
    let offsets = OffsetBuffer::from_lengths(tasks.iter().map(|visits| visits.len()));
    let visits = UInt64Array::from(tasks.concat());
    Ok(vec![Arc::new(ListArray::try_new(visit(), offsets, Arc::new(visits), None)?)])
}

impl Visits {
    fn add(&mut self, task: usize, visits: &[u64]) {
        let task = &mut self.tasks[task];
        let before = task.capacity();
        task.extend_from_slice(visits);
        self.capacity += task.capacity() - before;
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Vec<u64>> {
        let tasks = emit_to.take_needed(&mut self.tasks);
        self.capacity -= tasks.iter().map(Vec::capacity).sum::<usize>();
        tasks
    }
}

impl GroupsAccumulator for Visits {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.tasks.resize_with(total_num_groups, Vec::new);
        for (visit, task) in visits(values, opt_filter)?.into_iter().zip(group_indices) {
            self.add(*task, visit.as_slice());
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let archetype = |mut visits: Vec<u64>| {
            visits.sort_unstable();
            let mut steps: Vec<usize> = visits.into_iter().map(|visit| (visit & 0xff) as usize).collect();
            steps.dedup();
            steps.truncate(STEPS_MAX);
            steps.into_iter().map(step_name).collect::<Vec<_>>().join(" > ")
        };
        Ok(Arc::new(self.take(emit_to).into_iter().map(|visits| Some(archetype(visits))).collect::<StringArray>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let tasks = self.take(emit_to);
        state(&tasks.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.tasks.resize_with(total_num_groups, Vec::new);
        let [lists] = values else {
            return Err(DataFusionError::Plan("the state of archetype is one list".to_owned()));
        };
        let lists = lists.as_list::<i32>();
        for (row, task) in group_indices.iter().enumerate() {
            self.add(*task, lists.value(row).as_primitive::<UInt64Type>().values());
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        state(&visits(values, opt_filter)?.iter().map(Option::as_slice).collect::<Vec<_>>())
    }

    fn size(&self) -> usize {
        self.tasks.capacity() * size_of::<Vec<u64>>() + self.capacity * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    const VISITS: [(usize, i64, &str); 12] = [
        (0, 5, "lead-edit"),
        (1, 0, "xyz"),
        (0, 1, "leads"),
        (0, 2, "lead-detail"),
        (0, 3, "ticket-view"),
        (0, 9, "home"),
        (0, 10, "settings"),
        (0, 11, "search"),
        (0, 12, "pay"),
        (0, 4, "lead-detail"),
        (0, 300, "report"),
        (0, 7, "lead-detail"),
    ];

    fn update(visits: &mut Visits, of: &[(usize, i64, &str)], filter: Option<&BooleanArray>) {
        let positions = Int64Array::from_iter_values(of.iter().map(|visit| visit.1));
        let screens = StringArray::from_iter_values(of.iter().map(|visit| visit.2));
        let tasks: Vec<usize> = of.iter().map(|visit| visit.0).collect();
        visits.update_batch(&[Arc::new(positions), Arc::new(screens)], &tasks, filter, 3).unwrap();
    }

    fn evaluated(visits: &mut Visits, emit_to: EmitTo) -> Vec<String> {
        let archetypes = visits.evaluate(emit_to).unwrap();
        archetypes.as_string::<i32>().iter().map(|archetype| archetype.unwrap().to_owned()).collect()
    }

    #[test]
    fn steps_come_in_the_order_of_positions_however_visits_are_split() {
        let expected = ["list > detail > edit > detail > list > settings", "page", ""];
        for at in 0..=VISITS.len() {
            let (mut first, mut second) = (Visits::default(), Visits::default());
            update(&mut first, &VISITS[at..], None);
            update(&mut second, &VISITS[..at], None);
            let state = second.state(EmitTo::All).unwrap();
            assert_eq!((second.tasks.len(), second.capacity), (0, 0));
            first.merge_batch(&state, &[0, 1, 2], 3).unwrap();
            assert_eq!(evaluated(&mut first, EmitTo::First(1)), expected[..1]);
            assert_eq!(evaluated(&mut first, EmitTo::All), expected[1..]);
            assert_eq!(first.capacity, 0);
        }
    }

    #[test]
    fn what_is_filtered_out_does_not_count() {
        let mut visits = Visits::default();
        let filter = VISITS.iter().map(|visit| (visit.0 == 1).then_some(true)).collect::<BooleanArray>();
        update(&mut visits, &VISITS, Some(&filter));
        assert_eq!(evaluated(&mut visits, EmitTo::All), ["", "page", ""]);
    }
}
