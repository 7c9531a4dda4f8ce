//! How each event column is encoded in a packed event.

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_datafusion_err};
use netcrab_schema::events::ADDED;
use netcrab_schema::{Column, Type};

/// The group of symbol columns that say which client sent an event; see [`super::action_dictionary`].
pub const CLIENT: usize = 0;
/// The group of all other symbol columns and flags: what happened.
pub const ACTION: usize = 1;

/// The columns that seldom change within a session. All other symbols say what happened.
const OF_CLIENT: [&str; 6] = ["app_name", "os", "browser", "device_type", "version_tag", "segment"];

/// The group that an event column belongs to; `None` for a column of its own.
pub fn group_of(column: &Column) -> Option<usize> {
    match (column.kind, column.name) {
        (Type::Symbol, "org_id" | "product_id") => None,
        (Type::Symbol, name) if OF_CLIENT.contains(&name) => Some(CLIENT),
        (Type::Symbol | Type::Bool, _) => Some(ACTION),
        _ => None,
    }
}

/// Texts that every event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// session_id.
    Session,
    /// user_hash.
    User,
    /// event_id.
    Event,
}

/// How one column is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnEncoding {
    /// As a code of the event's visitor: 0 is org_id, 1 is product_id.
    Owner(usize),
    /// As code number `at` in the tuple of a group.
    Symbol {
        /// [`CLIENT`] or [`ACTION`].
        group: usize,
        /// Place within the tuple.
        at: usize,
    },
    /// 0, 1, or 2 for null, in two bits of the action.
    Flag {
        /// The lower of the two.
        shift: u32,
    },
    /// As the event's ts.
    Ts,
    /// As one of the packed texts every event has.
    Id(Id),
    /// As instant number `at`, where this bit of the action is set.
    Instant {
        /// Which bit.
        bit: u32,
        /// Place among the instants.
        at: usize,
    },
    /// As a whole number, stored as number `at` of the instants, where this bit of the action is set.
    Whole {
        /// Which bit.
        bit: u32,
        /// Place among the instants.
        at: usize,
    },
    /// As a real among the reals whose bits are set.
    Real {
        /// Which bit.
        bit: u32,
    },
    /// As a packed text among the texts whose bits are set.
    Text {
        /// Which bit.
        bit: u32,
    },
}

/// An instant, or a whole number, of a packed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedInstant {
    /// The bit of the action that says whether it is there.
    pub bit: u32,
    /// Whether it is packed as the time since ts.
    pub since_ts: bool,
}

/// The columns of the events that travel through one plan.
#[derive(Debug)]
pub struct Layout {
    /// The event columns, in table order.
    pub fields: Fields,
    /// How each is encoded.
    pub encodings: Vec<ColumnEncoding>,
    /// For each group, the places of its symbol columns in `fields`.
    pub symbols: [Vec<usize>; 2],
    /// Places of org_id and product_id in `fields`.
    pub owner: [usize; 2],
    /// The instants other than ts, and the whole numbers.
    pub instants: Vec<PackedInstant>,
    /// Which of them is received_at.
    pub received_at: usize,
    /// Which of them is seq.
    pub seq: Option<usize>,
    /// Bits of the reals.
    pub reals: u32,
    /// Bits of the texts, lowest first in table order.
    pub texts: u32,
    /// How many bits an action has.
    pub bits: u32,
}

impl Layout {
    /// The layout of events with these fields.
    ///
    /// # Errors
    /// Where a column that `sessionize` needs is missing, or a column has a type that no event column has; the error
    /// names the column.
    pub fn new(fields: &Fields) -> Result<Self> {
        for name in ["session_id", "user_hash", "event_id", "ts", "received_at"] {
            place(fields, name)?;
        }
        let mut layout = Self {
            fields: fields.clone(),
            encodings: Vec::new(),
            symbols: [Vec::new(), Vec::new()],
            owner: [place(fields, "org_id")?, place(fields, "product_id")?],
            instants: Vec::new(),
            received_at: 0,
            seq: None,
            reals: 0,
            texts: 0,
            bits: 0,
        };
        let mut bits = 0;
        // Columns of later releases take the last bits, so the events that earlier releases packed stay readable.
        let later = |field: &Field| ADDED.contains(&field.name().as_str());
        let (added, first): (Vec<_>, Vec<_>) = fields.iter().enumerate().partition(|(_, field)| later(field));
        let mut encodings = Vec::with_capacity(fields.len());
        for (place, field) in first.into_iter().chain(added) {
            encodings.push((place, layout.encode(place, field, &mut bits)?));
        }
        encodings.sort_by_key(|(place, _)| *place);
        layout.encodings = encodings.into_iter().map(|(_, encoding)| encoding).collect();
        layout.bits = bits;
        Ok(layout)
    }

    fn encode(&mut self, place: usize, field: &Field, bits: &mut u32) -> Result<ColumnEncoding> {
        let mut claim = |count: u32| {
            let bit = *bits;
            *bits += count;
            bit
        };
        Ok(match (field.name().as_str(), field.data_type()) {
            ("ts", DataType::Timestamp(..)) => ColumnEncoding::Ts,
            ("session_id", DataType::Dictionary(..)) => ColumnEncoding::Id(Id::Session),
            ("user_hash", DataType::Dictionary(..)) => ColumnEncoding::Id(Id::User),
            ("event_id", DataType::Utf8View) => ColumnEncoding::Id(Id::Event),
            ("org_id", DataType::Dictionary(..)) => ColumnEncoding::Owner(0),
            ("product_id", DataType::Dictionary(..)) => ColumnEncoding::Owner(1),
            (name, DataType::Dictionary(..)) => {
                let group = if OF_CLIENT.contains(&name) { CLIENT } else { ACTION };
                self.symbols[group].push(place);
                ColumnEncoding::Symbol { group, at: self.symbols[group].len() - 1 }
            }
            (_, DataType::Boolean) => ColumnEncoding::Flag { shift: claim(2) },
            (name, DataType::Timestamp(..)) => {
                let (at, bit) = (self.instants.len(), claim(1));
                self.instants.push(PackedInstant { bit, since_ts: true });
                if name == "received_at" {
                    self.received_at = at;
                }
                ColumnEncoding::Instant { bit, at }
            }
            (name, DataType::Int64) => {
                let (at, bit) = (self.instants.len(), claim(1));
                self.instants.push(PackedInstant { bit, since_ts: false });
                if name == "seq" {
                    self.seq = Some(at);
                }
                ColumnEncoding::Whole { bit, at }
            }
            (_, DataType::Float32) => {
                let bit = claim(1);
                self.reals |= 1 << bit;
                ColumnEncoding::Real { bit }
            }
            (_, DataType::Utf8View) => {
                let bit = claim(1);
                self.texts |= 1 << bit;
                ColumnEncoding::Text { bit }
            }
            (name, other) => {
                return Err(exec_datafusion_err!("event column `{name}` is {other}, which no event column is"));
            }
        })
    }

    /// The place of the column `name`.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn place(&self, name: &str) -> Result<usize> {
        place(&self.fields, name)
    }

    /// How many codes a tuple of a group has; the last code of an action is its bits.
    pub fn width(&self, group: usize) -> usize {
        self.symbols[group].len() + usize::from(group == ACTION)
    }
}

fn place(fields: &Fields, name: &str) -> Result<usize> {
    let place = fields.iter().position(|field| field.name() == name);
    place.ok_or_else(|| exec_datafusion_err!("sessionize needs the event column `{name}`"))
}
