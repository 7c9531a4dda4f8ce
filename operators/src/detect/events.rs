//! The events of a session batch as plain slices, and their click targets.

use arrow::array::{Array, AsArray, BinaryViewArray, Float32Array, StructArray};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::Result;

use super::actions::{Action, Actions};
use crate::session::{symbols, tuples, wrong_type};
use crate::sessionize::layout::ACTION;
use crate::sessionize::text::{self, Digits};
use crate::symbols::{SymbolArray, text_of};

/// Plain slices over the events of a session batch.
pub struct Events<'a> {
    /// When each happened.
    pub ts: &'a [i64],
    pub(super) action: &'a [i32],
    actions: &'a [Action],
    pub(super) marks: &'a [u8],
    /// The columns of the actions.
    symbols: &'a StructArray,
    event_id: &'a BinaryViewArray,
    reaction_ms: &'a Float32Array,
}

impl<'a> Events<'a> {
    /// Slices over the `events` of a session batch, whose dictionary `actions` has read.
    ///
    /// # Errors
    /// Where a column that the rules need is missing or has another type.
    pub fn new(events: &'a StructArray, actions: &'a Actions) -> Result<Self> {
        let column = |name: &str| events.column_by_name(name).ok_or_else(|| wrong_type(name));
        let ts = column("ts")?.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(|| wrong_type("ts"))?;
        let (action, dictionary) = tuples(events, ACTION)?;
        Ok(Self {
            ts: ts.values(),
            action,
            actions: &actions.known,
            marks: &actions.marks,
            symbols: dictionary.as_struct(),
            event_id: column("event_id")?.as_binary_view_opt().ok_or_else(|| wrong_type("event_id"))?,
            reaction_ms: column("reaction_ms")?.as_primitive_opt().ok_or_else(|| wrong_type("reaction_ms"))?,
        })
    }

    /// The action of the event in `row`.
    #[inline]
    pub fn of(&self, row: usize) -> &'a Action {
        &self.actions[self.action[row] as usize]
    }

    /// The symbol column `name` of all actions: its dictionary is that of the codes of [`Action`].
    ///
    /// # Errors
    /// An internal error where the batch has no such column, or one of another type.
    pub fn symbols(&self, name: &str) -> Result<&'a SymbolArray> {
        symbols(self.symbols, name)
    }

    /// The text that a code of the column `name` stands for; empty for −1.
    pub fn text(&self, name: &str, code: i32) -> &'a str {
        symbols(self.symbols, name).map_or("", |column| text_of(column, code))
    }

    /// The event_id in `row`.
    pub fn event_id<'t>(&'t self, row: usize, digits: &'t mut Digits) -> &'t str {
        text::unpack(self.event_id.value(row), digits)
    }

    /// The event_ids in `rows`, packed.
    pub fn packed_ids(&self, rows: &[u32]) -> impl Iterator<Item = Option<&'a [u8]>> + Clone {
        rows.iter().map(|&row| Some(self.event_id.value(row as usize)))
    }

    /// Milliseconds until the page reacted to the click in `row`; `None` where no reaction was seen.
    pub fn reaction_ms(&self, row: usize) -> Option<f32> {
        self.reaction_ms.is_valid(row).then(|| self.reaction_ms.value(row))
    }

    /// Whether the SDK watched for a reaction to the click in `row`.
    pub fn reaction_observed(&self, row: usize) -> bool {
        self.of(row).reaction_observed
    }

    /// The target of the click in `row`, where it has one.
    pub fn target(&self, row: usize) -> Option<Target> {
        let Action { screen, element_type, element_label_h, .. } = *self.of(row);
        match (element_label_h, element_type) {
            (-1, -1) => None,
            (-1, kind) => Some(Target { screen, element: kind, by: By::Type }),
            (label, _) => Some(Target { screen, element: label, by: By::Label }),
        }
    }
}

/// The target of a click: the element by its label or else its type, or the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    screen: i32,
    element: i32,
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Label,
    Type,
    Screen,
}

impl Target {
    /// The screen itself, for a click that has no other target.
    pub fn screen(screen: i32) -> Self {
        Self { screen, element: -1, by: By::Screen }
    }
}
