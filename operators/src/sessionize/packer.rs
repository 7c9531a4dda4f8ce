//! Encodes batches of events: the codes of their symbols, tuples and visitors.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMillisecondArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Float32Type, Int64Type, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::action_dictionary::{ActionDictionary, RecentCodes};
use super::encoded_batch::{Columns, EncodedBatch, Symbols, TupleCode};
use super::layout::{ACTION, CLIENT, ColumnEncoding, Id, Layout};
use super::text;
use super::visitor::{PackedDictionary, Visitor};
use crate::session::wrong_type;
use crate::symbols::{Interner, Lookup, NULL_CODE, SymbolArray};

/// Encodes and packs the events of one task.
pub struct Packer {
    /// For each column, its symbols.
    pub interners: Vec<Interner>,
    /// The dictionaries of clients and of actions.
    pub dictionaries: [ActionDictionary; 2],
    /// For each code of org_id and of product_id, the hash of its text.
    pub(super) hashes: [Vec<u64>; 2],
    /// Places of org_id and product_id.
    pub(super) owner: [usize; 2],
    /// For each column, the codes for the values of the batch's dictionary.
    lookups: Vec<Lookup>,
    /// For each group, a cache of the codes of recent tuples.
    recent: [RecentCodes; 2],
    /// The last dictionaries of session_id and user_hash, packed.
    pub(super) ids: [PackedDictionary; 2],
}

impl Packer {
    /// An empty packer, with room for `actions_max` tuples in each dictionary.
    pub fn new(layout: &Layout, actions_max: usize) -> Self {
        Self {
            interners: layout.encodings.iter().map(|_| Interner::default()).collect(),
            dictionaries: [CLIENT, ACTION].map(|group| ActionDictionary::new(layout.width(group), actions_max)),
            hashes: [Vec::new(), Vec::new()],
            owner: layout.owner,
            lookups: layout.encodings.iter().map(|_| Lookup::default()).collect(),
            recent: <[RecentCodes; 2]>::default(),
            ids: <[PackedDictionary; 2]>::default(),
        }
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        let interners: usize = self.interners.iter().map(Interner::memory).sum();
        let lookups: usize = self.lookups.iter().map(Lookup::memory).sum();
        let recent: usize = self.recent.iter().map(RecentCodes::memory).sum();
        interners + lookups + recent + self.dictionaries.iter().map(ActionDictionary::memory).sum::<usize>()
    }

    /// Encodes the rows of `batch`.
    ///
    /// # Errors
    /// Where a column of `batch` has another type than `layout` says.
    pub fn encode(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<EncodedBatch> {
        let (events, bits) = self.read(layout, batch)?;
        for (hashes, place) in self.hashes.iter_mut().zip(layout.owner) {
            let interner = &self.interners[place];
            hashes.extend((hashes.len()..interner.len()).map(|code| xxh3_64(interner.text(code as u32).as_bytes())));
        }
        let (mut inline, mut tuples) = (Vec::new(), [Vec::new(), Vec::new()]);
        for group in [CLIENT, ACTION] {
            let column = |&place: &usize| batch.column(place).as_dictionary_opt().ok_or_else(|| wrong(layout, place));
            let columns = layout.symbols[group].iter().map(column).collect::<Result<Vec<_>>>()?;
            let (bits, bits_width) = if group == ACTION { (&bits[..], layout.bits) } else { (&bits[..0], 0) };
            let symbols = Symbols { columns, bits, bits_width };
            tuples[group] = self.tuple_codes(layout, group, &symbols, batch.num_rows(), &mut inline)?;
        }
        Ok(EncodedBatch { events, tuples, inline })
    }

    /// The tuple of each row in one group.
    fn tuple_codes(
        &mut self,
        layout: &Layout,
        group: usize,
        symbols: &Symbols<'_>,
        rows: usize,
        inline: &mut Vec<u32>,
    ) -> Result<Vec<TupleCode>> {
        let mut changed = false;
        for (&place, column) in layout.symbols[group].iter().zip(&symbols.columns) {
            changed |= self.lookups[place].begin(column.values());
        }
        let Self { interners, dictionaries, lookups, recent, .. } = self;
        let (dictionary, recent) = (&mut dictionaries[group], &mut recent[group]);
        if changed {
            recent.clear();
        }
        let mut tuple = Vec::with_capacity(layout.width(group));
        let mut code_of = |row: usize| {
            tuple.clear();
            for (&place, column) in layout.symbols[group].iter().zip(&symbols.columns) {
                let code = |key| lookups[place].code(&mut interners[place], key);
                tuple.push(column.key(row).map_or(NULL_CODE, code));
            }
            tuple.extend(symbols.bits.get(row));
            dictionary.code(&tuple).map_or_else(
                || {
                    inline.extend_from_slice(&tuple);
                    TupleCode::Inline((inline.len() - tuple.len()) as u32)
                },
                TupleCode::Known,
            )
        };
        let Some(numbers) = symbols.numbers(rows) else { return Ok((0..rows).map(code_of).collect()) };
        let known = numbers.into_iter().enumerate().map(|(row, number)| {
            if let Some(code) = recent.find(number) {
                return TupleCode::Known(code);
            }
            let tuple = code_of(row);
            if let TupleCode::Known(code) = tuple {
                recent.keep(number, code);
            }
            tuple
        });
        Ok(known.collect())
    }

    /// The columns that are not symbols, and the bits of each row's action.
    fn read(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<(Columns, Vec<u32>)> {
        let mut bits = vec![0; batch.num_rows()];
        let (mut event_id, mut ids) = (None, [ScalarBuffer::default(), ScalarBuffer::default()]);
        let mut owner = [Vec::new(), Vec::new()];
        let (mut ts, mut reals, mut texts) = (None, Vec::new(), Vec::new());
        let mut instants: Vec<Option<TimestampMillisecondArray>> = vec![None; layout.instants.len()];
        for (place, (encoding, column)) in layout.encodings.iter().zip(batch.columns()).enumerate() {
            let wrong = || wrong(layout, place);
            match *encoding {
                ColumnEncoding::Owner(at) => {
                    owner[at] = self.interners[place].codes(column.as_dictionary_opt().ok_or_else(wrong)?);
                }
                ColumnEncoding::Symbol { .. } => {}
                ColumnEncoding::Flag { shift } => {
                    put_flags(column.as_boolean_opt().ok_or_else(wrong)?, shift, &mut bits)
                }
                ColumnEncoding::Ts => ts = Some(instants_of(column).ok_or_else(wrong)?.values().clone()),
                ColumnEncoding::Id(Id::Event) => {
                    event_id = Some(column.as_string_view_opt().ok_or_else(wrong)?.clone())
                }
                ColumnEncoding::Id(id) => {
                    let keys: &SymbolArray = column.as_dictionary_opt().ok_or_else(wrong)?;
                    self.ids[id as usize].read(keys.values())?;
                    ids[id as usize] = keys.keys().values().clone();
                }
                ColumnEncoding::Instant { bit, at } => {
                    put_presence(column, bit, &mut bits);
                    instants[at] = Some(instants_of(column).ok_or_else(wrong)?.clone());
                }
                ColumnEncoding::Whole { bit, at } => {
                    put_presence(column, bit, &mut bits);
                    let numbers = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                    instants[at] = Some(numbers.reinterpret_cast());
                }
                ColumnEncoding::Real { bit } => {
                    put_presence(column, bit, &mut bits);
                    reals.push(column.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?.clone());
                }
                ColumnEncoding::Text { bit } => {
                    put_presence(column, bit, &mut bits);
                    texts.push(column.as_string_view_opt().ok_or_else(wrong)?.clone());
                }
            }
        }
        let event_id = event_id.ok_or_else(|| wrong_type("event_id"))?;
        let ts = ts.ok_or_else(|| wrong_type("ts"))?;
        let instants = instants.into_iter().collect::<Option<_>>().ok_or_else(|| wrong_type("received_at"))?;
        Ok((Columns { owner, ids, event_id, ts, instants, reals, texts }, bits))
    }

    /// Writes to `visitor` the visitor that row `row` is from.
    pub fn visitor(&self, batch: &EncodedBatch, row: usize, visitor: &mut Visitor) {
        let keys = batch.batch_visitor(row);
        let [session, user] = keys.keys.map(|key| key as usize);
        let [sessions, users] = &self.ids;
        visitor.owner = keys.owner;
        visitor.key.clear();
        visitor.key.extend_from_slice(sessions.packed(session));
        let session_or_user = if text::is_empty(&visitor.key) { users.hashes[user] } else { sessions.hashes[session] };
        visitor.key.extend_from_slice(users.packed(user));
        let hash = |at: usize| self.hashes[at][visitor.owner[at] as usize];
        visitor.hash = mix(session_or_user, hash(0), hash(1));
    }

    /// The hash of the session key of this owner (codes of org_id and product_id) and packed session_id or user_hash.
    pub fn hash_of(&self, session_or_user: &[u8], owner: [u32; 2]) -> u64 {
        let text = |at: usize, place: usize| xxh3_64(self.interners[place].text(owner[at]).as_bytes());
        mix(xxh3_64(session_or_user), text(0, self.owner[0]), text(1, self.owner[1]))
    }

    /// How many values the batch's dictionaries of session_id and of user_hash have.
    pub fn id_keys(&self) -> [usize; 2] {
        [self.ids[0].ends.len(), self.ids[1].ends.len()]
    }

    /// Counts the dictionaries of session_id and user_hash: within one edition, equal
    /// [`BatchVisitor`](super::visitor::BatchVisitor)s are one visitor.
    pub fn edition(&self) -> u64 {
        self.ids[0].edition + self.ids[1].edition
    }
}

fn instants_of(column: &ArrayRef) -> Option<&TimestampMillisecondArray> {
    column.as_primitive_opt::<TimestampMillisecondType>()
}

fn put_flags(flags: &BooleanArray, shift: u32, bits: &mut [u32]) {
    match flags.nulls() {
        None => flags.values().iter().zip(bits).for_each(|(flag, bits)| *bits |= u32::from(flag) << shift),
        Some(nulls) if nulls.null_count() == flags.len() => bits.iter_mut().for_each(|bits| *bits |= 2 << shift),
        Some(_) => flags.iter().zip(bits).for_each(|(flag, bits)| *bits |= flag.map_or(2, u32::from) << shift),
    }
}

fn put_presence(column: &dyn Array, bit: u32, bits: &mut [u32]) {
    match column.nulls() {
        None => bits.iter_mut().for_each(|bits| *bits |= 1 << bit),
        Some(nulls) if nulls.null_count() == column.len() => {}
        Some(nulls) => nulls.iter().zip(bits).for_each(|(present, bits)| *bits |= u32::from(present) << bit),
    }
}

fn wrong(layout: &Layout, place: usize) -> DataFusionError {
    wrong_type(layout.fields[place].name())
}

/// Mixes the hashes of the three parts of a session key.
fn mix(session_or_user: u64, org: u64, product: u64) -> u64 {
    let mixed = session_or_user ^ org.rotate_left(21) ^ product.rotate_left(42);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (mixed >> 32)
}
