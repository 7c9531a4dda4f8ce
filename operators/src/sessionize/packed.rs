//! Events as short runs of bytes: the form in which `sessionize` keeps and spills them.
//!
//!     visitor      visitor  action  ts − base  event_id  received_at − ts  reals   texts
//!     varint   varint   varint  varint     packed    varint            4 each  packed
//!
//! `visitor` is a number of [`super::batch::visitor_dictionary`]; the next number not yet used is followed by what it stands for:
//! hash, org, product, base ts, session_id, user_hash. `visitor` and `action` are one more than the code
//! of a shape, or 0 and then the shape itself. What is absent takes no byte, for the action's bits say
//! what is there. An event of a browser takes about 40 bytes, and writing it touches one place in
//! memory instead of one for each column.
//!
//! Where the events of one key lie together already ([`super::streaming`]), they begin with a *head*, and
//! a row says only what its head does not. From ts on both forms are one, but that whole reals are short.
//!
//!     head   org  product  visitor  session_id  user_hash  base ts
//!     row    action · 2 + differs  (which, then visitor, session_id, user_hash)  ts − base  event_id  …

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, RecordBatch, StringViewArray, TimestampMillisecondArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Float32Type, TimestampMillisecondType};
use datafusion::common::{DataFusionError, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::action_dictionary::{ActionDictionary, RecentCodes};
use super::bytes::{Reader, put_real, put_signed, put_varint};
use super::layout::{ACTION, CLIENT, Id, Kept, Layout};
use super::streaming::{CheckpointError, In, Out};
use super::text;
use crate::session::wrong_type;
use crate::symbols::{self, Interner, Lookup, NULL_CODE, SymbolArray};

/// Packs the events of one task.
pub struct Packer {
    /// For each column, the codes of its symbols.
    pub interners: Vec<Interner>,
    /// The shapes of each group.
    pub dictionaries: [ActionDictionary; 2],
    /// For each code of org_id and of product_id, the hash of its text.
    hashes: [Vec<u64>; 2],
    /// Places of org_id and product_id.
    owner: [usize; 2],
    /// For each column, our codes of the batch's symbols.
    lookups: Vec<Lookup>,
    /// For each group, the shapes of the batch's keys.
    recent: [RecentCodes; 2],
    /// The dictionaries of session_id and user_hash seen last, packed.
    ids: [PackedDictionary; 2],
}

/// The texts of a dictionary, each packed and hashed once.
#[derive(Default)]
struct PackedDictionary {
    given: Option<ArrayRef>,
    packed: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<u64>,
    /// Counts the dictionaries seen.
    edition: u64,
}

impl PackedDictionary {
    fn read(&mut self, given: &ArrayRef) -> Result<()> {
        if self.given.as_ref().is_some_and(|last| symbols::same_buffers(last, given)) {
            return Ok(());
        }
        let texts = given.as_string_opt::<i32>().ok_or_else(|| wrong_type("session_id"))?;
        self.packed.clear();
        self.ends.clear();
        self.hashes.clear();
        for at in 0..texts.len() {
            let start = self.packed.len();
            text::pack(if texts.is_null(at) { "" } else { texts.value(at) }, &mut self.packed);
            self.ends.push(self.packed.len());
            self.hashes.push(xxh3_64(&self.packed[start..]));
        }
        self.given = Some(Arc::clone(given));
        self.edition += 1;
        Ok(())
    }

    fn packed(&self, key: usize) -> &[u8] {
        let start = if key == 0 { 0 } else { self.ends[key - 1] };
        &self.packed[start..self.ends[key]]
    }
}

/// Visitor an event is from, by its keys in the batch's dictionaries: as good as a [`Visitor`] while those last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchVisitor {
    /// Keys of session_id and user_hash.
    pub keys: [i32; 2],
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
}

/// Visitor an event is from.
#[derive(Debug, Default)]
pub struct Visitor {
    /// Hash of org, product and visit; the same in every task and process.
    pub hash: u64,
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
    /// session_id and user_hash, packed.
    pub key: Vec<u8>,
}

impl Visitor {
    /// Appends what a new number stands for.
    pub fn define(&self, base_ts: i64, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.hash.to_le_bytes());
        self.owner.iter().for_each(|&code| put_varint(u64::from(code), to));
        put_signed(base_ts, to);
        to.extend_from_slice(&self.key);
    }
}

/// What the rows of one key need not repeat; texts and shape as they are packed.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Codes of org_id and product_id.
    pub owner: [u32; 2],
    /// The shape of the visitor.
    pub client: &'a [u8],
    /// session_id.
    pub session: &'a [u8],
    /// user_hash.
    pub user: &'a [u8],
    /// The ts that the rows are counted from.
    pub base_ts: i64,
}

/// Bits that say which parts of its head a row replaces.
pub const OTHER_CLIENT: u8 = 1;
/// See [`OTHER_CLIENT`].
pub const OTHER_SESSION: u8 = 2;
/// See [`OTHER_CLIENT`].
pub const OTHER_USER: u8 = 4;

/// A batch about to be packed.
pub struct Packing {
    events: Columns,
    tuples: [Vec<TupleCode>; 2],
    /// The tuples of shapes without a code.
    inline: Vec<u32>,
}

/// A shape of a row.
#[derive(Debug, Clone, Copy)]
enum TupleCode {
    /// This code in [`Packer::dictionaries`].
    Known(u32),
    /// The tuple that begins here in [`Packing::inline`].
    Inline(u32),
}

/// The columns of a batch that a group's shapes are made of.
struct Symbols<'a> {
    columns: Vec<&'a SymbolArray>,
    /// What is there of the rest, for the action.
    bits: &'a [u32],
    bits_width: u32,
}

impl Symbols<'_> {
    /// For each row a number that stands for its keys and bits; `None` where they take more than 64 bits.
    fn numbers(&self, rows: usize) -> Option<Vec<u64>> {
        // One more than the last key stands for null.
        let width = |column: &SymbolArray| usize::BITS - column.values().len().leading_zeros();
        let widths: u32 = self.columns.iter().map(|column| width(column)).sum();
        if widths + self.bits_width > u64::BITS {
            return None;
        }
        let mut numbers: Vec<u64> = self.bits.iter().map(|&bits| u64::from(bits)).collect();
        numbers.resize(rows, 0);
        let mut shift = self.bits_width;
        for column in &self.columns {
            let (keys, null) = (column.keys(), column.values().len() as u64);
            let rows = numbers.iter_mut().zip(keys.values());
            match keys.nulls() {
                None => rows.for_each(|(number, &key)| *number |= u64::from(key.cast_unsigned()) << shift),
                Some(nulls) if nulls.null_count() == keys.len() => {
                    rows.for_each(|(number, _)| *number |= null << shift)
                }
                Some(nulls) => rows.zip(nulls).for_each(|((number, &key), valid)| {
                    *number |= if valid { u64::from(key.cast_unsigned()) } else { null } << shift;
                }),
            }
            // A shift by 64 is none: nothing follows a number that is full.
            shift = (shift + width(column)).min(u64::BITS - 1);
        }
        Some(numbers)
    }
}

/// The columns of a batch that are not symbols.
struct Columns {
    /// Codes of org_id and product_id.
    owner: [Vec<u32>; 2],
    /// Keys of session_id and user_hash in [`Packer::ids`].
    ids: [ScalarBuffer<i32>; 2],
    event_id: StringViewArray,
    ts: ScalarBuffer<i64>,
    instants: Vec<TimestampMillisecondArray>,
    reals: Vec<Float32Array>,
    texts: Vec<StringViewArray>,
}

impl Packer {
    /// No events yet, and never more than `actions_max` shapes in a group.
    pub fn new(layout: &Layout, actions_max: usize) -> Self {
        Self {
            interners: layout.kept.iter().map(|_| Interner::default()).collect(),
            dictionaries: [CLIENT, ACTION].map(|group| ActionDictionary::new(layout.width(group), actions_max)),
            hashes: [Vec::new(), Vec::new()],
            owner: layout.owner,
            lookups: layout.kept.iter().map(|_| Lookup::default()).collect(),
            recent: <[RecentCodes; 2]>::default(),
            ids: <[PackedDictionary; 2]>::default(),
        }
    }

    /// Writes all symbols and shapes.
    pub(super) fn write(&self, to: &mut Out<'_>) -> std::io::Result<()> {
        for interner in &self.interners {
            to.number(interner.len() as u64)?;
            interner.texts().try_for_each(|text| to.text(text.as_bytes()))?;
        }
        for dictionary in &self.dictionaries {
            to.number(dictionary.len() as u64)?;
            dictionary.tuples().try_for_each(|tuple| to.codes(tuple))?;
        }
        Ok(())
    }

    /// Takes the symbols and shapes that [`Self::write`] wrote, in place of none.
    pub(super) fn read_symbols(
        &mut self,
        layout: &Layout,
        from: &mut In<'_>,
    ) -> std::result::Result<(), CheckpointError> {
        for interner in &mut self.interners {
            for code in 0..from.length()? {
                let text = String::from_utf8(from.text()?).map_err(|_| CheckpointError::Damaged)?;
                if interner.intern(&text) as usize != code {
                    return Err(CheckpointError::Damaged);
                }
            }
        }
        for (group, dictionary) in self.dictionaries.iter_mut().enumerate() {
            for code in 0..from.length()? {
                let tuple = from.codes()?;
                if tuple.len() != layout.width(group) || dictionary.code(&tuple) != Some(code as u32) {
                    return Err(CheckpointError::Damaged);
                }
            }
        }
        Ok(())
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        let interners: usize = self.interners.iter().map(Interner::memory).sum();
        let lookups: usize = self.lookups.iter().map(Lookup::memory).sum();
        let recent: usize = self.recent.iter().map(RecentCodes::memory).sum();
        interners + lookups + recent + self.dictionaries.iter().map(ActionDictionary::memory).sum::<usize>()
    }

    /// Gives the rows of `batch` their shapes.
    pub fn start(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<Packing> {
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
        Ok(Packing { events, tuples, inline })
    }

    /// The shape of each row in one group.
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

    /// Takes hold of the columns that are not symbols; and the bits of each row.
    fn read(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<(Columns, Vec<u32>)> {
        let mut bits = vec![0; batch.num_rows()];
        let (mut event_id, mut ids) = (None, [ScalarBuffer::default(), ScalarBuffer::default()]);
        let mut owner = [Vec::new(), Vec::new()];
        let (mut ts, mut instants, mut reals, mut texts) = (None, Vec::new(), Vec::new(), Vec::new());
        for (place, (kept, column)) in layout.kept.iter().zip(batch.columns()).enumerate() {
            let wrong = || wrong(layout, place);
            match *kept {
                Kept::Owner(at) => {
                    owner[at] = self.interners[place].codes(column.as_dictionary_opt().ok_or_else(wrong)?);
                }
                Kept::Symbol { .. } => {}
                Kept::Flag { shift } => put_flags(column.as_boolean_opt().ok_or_else(wrong)?, shift, &mut bits),
                Kept::Ts => ts = Some(instants_of(column).ok_or_else(wrong)?.values().clone()),
                Kept::Id(Id::Event) => event_id = Some(column.as_string_view_opt().ok_or_else(wrong)?.clone()),
                Kept::Id(id) => {
                    let keys: &SymbolArray = column.as_dictionary_opt().ok_or_else(wrong)?;
                    self.ids[id as usize].read(keys.values())?;
                    ids[id as usize] = keys.keys().values().clone();
                }
                Kept::Instant { bit, .. } => {
                    put_presence(column, bit, &mut bits);
                    instants.push(instants_of(column).ok_or_else(wrong)?.clone());
                }
                Kept::Real { bit } => {
                    put_presence(column, bit, &mut bits);
                    reals.push(column.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?.clone());
                }
                Kept::Text { bit } => {
                    put_presence(column, bit, &mut bits);
                    texts.push(column.as_string_view_opt().ok_or_else(wrong)?.clone());
                }
            }
        }
        let event_id = event_id.ok_or_else(|| wrong_type("event_id"))?;
        let ts = ts.ok_or_else(|| wrong_type("ts"))?;
        Ok((Columns { owner, ids, event_id, ts, instants, reals, texts }, bits))
    }

    /// Reads visitor row `row` is from.
    pub fn visitor(&self, batch: &Packing, row: usize, visitor: &mut Visitor) {
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

    /// The hash of the key of a packed visit to a product whose codes are known.
    pub fn hash_of(&self, session_or_user: &[u8], owner: [u32; 2]) -> u64 {
        let text = |at: usize, place: usize| xxh3_64(self.interners[place].text(owner[at]).as_bytes());
        mix(xxh3_64(session_or_user), text(0, self.owner[0]), text(1, self.owner[1]))
    }

    /// How many keys of session_id and of user_hash there are.
    pub fn id_keys(&self) -> [usize; 2] {
        [self.ids[0].ends.len(), self.ids[1].ends.len()]
    }

    /// Counts the dictionaries that keys of a [`BatchVisitor`] belong to: keys of one edition mean the same.
    pub fn edition(&self) -> u64 {
        self.ids[0].edition + self.ids[1].edition
    }

    /// Appends everything of row `row` but its visitor; its ts is counted from `base_ts`.
    pub fn append_body(&self, layout: &Layout, batch: &Packing, row: usize, base_ts: i64, to: &mut Vec<u8>) {
        self.append_tuple(layout, CLIENT, batch, row, |tuple| tuple, to);
        self.append_tuple(layout, ACTION, batch, row, |tuple| tuple, to);
        append_event(&batch.events, row, base_ts, |real, to| to.extend_from_slice(&real.to_le_bytes()), to);
    }

    /// Appends one more than the code of a row's shape, or 0 and the shape itself; the first number as `lead` has it.
    #[inline]
    fn append_tuple(
        &self,
        layout: &Layout,
        group: usize,
        batch: &Packing,
        row: usize,
        lead: impl Fn(u64) -> u64,
        to: &mut Vec<u8>,
    ) {
        match batch.tuples[group][row] {
            TupleCode::Known(code) => put_varint(lead(u64::from(code) + 1), to),
            TupleCode::Inline(start) => {
                put_varint(lead(0), to);
                let tuple = &batch.inline[start as usize..][..layout.width(group)];
                tuple.iter().for_each(|&code| put_varint(u64::from(code), to));
            }
        }
    }

    /// Appends the head of a key that begins with row `row`, which is from `visitor`.
    pub fn append_head(&self, layout: &Layout, batch: &Packing, row: usize, visitor: &Visitor, to: &mut Vec<u8>) {
        visitor.owner.iter().for_each(|&code| put_varint(u64::from(code), to));
        self.append_tuple(layout, CLIENT, batch, row, |tuple| tuple, to);
        to.extend_from_slice(&visitor.key);
        put_signed(batch.ts(row), to);
    }

    /// Appends row `row` to the rows under `head`, of which it replaces the parts that differ from `own`.
    pub fn append_under(
        &self,
        layout: &Layout,
        batch: &Packing,
        row: usize,
        head: &Head<'_>,
        own: &Head<'_>,
        to: &mut Vec<u8>,
    ) {
        let differs = head.differs(own);
        self.append_tuple(layout, ACTION, batch, row, |tuple| tuple << 1 | u64::from(differs != 0), to);
        if differs != 0 {
            to.push(differs);
            let parts = [(OTHER_CLIENT, own.client), (OTHER_SESSION, own.session), (OTHER_USER, own.user)];
            parts.iter().filter(|(bit, _)| differs & bit != 0).for_each(|(_, part)| to.extend_from_slice(part));
        }
        append_event(&batch.events, row, head.base_ts, put_real, to);
    }
}

/// Appends what both forms of a row end in.
#[inline]
fn append_event(columns: &Columns, row: usize, base_ts: i64, put_real: impl Fn(f32, &mut Vec<u8>), to: &mut Vec<u8>) {
    let ts = columns.ts[row];
    put_signed(ts.wrapping_sub(base_ts), to);
    text::pack(columns.event_id.value(row), to);
    for instants in columns.instants.iter().filter(|instants| instants.is_valid(row)) {
        put_signed(instants.value(row).wrapping_sub(ts), to);
    }
    for reals in columns.reals.iter().filter(|reals| reals.is_valid(row)) {
        put_real(reals.value(row), to);
    }
    for texts in columns.texts.iter().filter(|texts| texts.is_valid(row)) {
        text::pack(texts.value(row), to);
    }
}

impl<'a> Head<'a> {
    /// The head at the beginning of `bytes`; `None` where they end too early.
    pub fn read(layout: &Layout, bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut code = || u32::try_from(reader.varint()?).ok();
        let owner = [code()?, code()?];
        let start = reader.at;
        if reader.varint()? == 0 {
            (0..layout.width(CLIENT)).try_for_each(|_| reader.varint().map(|_| ()))?;
        }
        let client = bytes.get(start..reader.at)?;
        let (session, user) = (text::skip(&mut reader)?, text::skip(&mut reader)?);
        Some(Self { owner, client, session, user, base_ts: reader.signed()? })
    }

    /// Its session_id or, where that is empty, its user_hash.
    pub fn session_or_user(&self) -> &'a [u8] {
        if text::is_empty(self.session) { self.user } else { self.session }
    }

    /// Whether both are of one key.
    pub fn same_key(&self, other: &Head<'_>) -> bool {
        self.owner == other.owner && self.session_or_user() == other.session_or_user()
    }

    fn differs(&self, own: &Head<'_>) -> u8 {
        let bit = |same: bool, bit: u8| if same { 0 } else { bit };
        bit(self.client == own.client, OTHER_CLIENT)
            | bit(self.session == own.session, OTHER_SESSION)
            | bit(self.user == own.user, OTHER_USER)
    }
}

impl Packing {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.events.ts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visitor row `row` is from.
    pub fn batch_visitor(&self, row: usize) -> BatchVisitor {
        let events = &self.events;
        BatchVisitor {
            keys: [events.ids[0][row], events.ids[1][row]],
            owner: [events.owner[0][row], events.owner[1][row]],
        }
    }

    /// When row `row` happened.
    pub fn ts(&self, row: usize) -> i64 {
        self.events.ts[row]
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

/// Mixes the hashes of a key's three parts.
fn mix(session_or_user: u64, org: u64, product: u64) -> u64 {
    let mixed = session_or_user ^ org.rotate_left(21) ^ product.rotate_left(42);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (mixed >> 32)
}
