//! The packed events of one partition, unpacked as far as ordering them needs.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, DictionaryArray, Float32Array, Int64Array, StructArray, make_view,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{FieldRef, Int32Type, TimestampMillisecondType};
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err, resources_datafusion_err};

use super::bytes::Reader;
use super::layout::{ACTION, CLIENT, Id, Kept, Layout};
use super::packed::{OTHER_CLIENT, OTHER_SESSION, OTHER_USER, Packer};
use super::text;
use crate::session::{self, TUPLES};
use crate::symbols::{self, Interner, NULL_CODE};

/// An absent instant: later than any, so that it sorts last.
pub const NO_INSTANT: i64 = i64::MAX;

/// The shapes of every task, by column, in codes whose order is the order of the texts.
#[derive(Debug)]
pub struct Dictionaries {
    groups: [TupleColumns; 2],
    /// The same as structs, see [`crate::session::TUPLES`].
    structs: [ArrayRef; 2],
    /// For each symbol column of the layout, its texts in order.
    pub symbols: Vec<ArrayRef>,
}

/// Shapes of one group, column by column.
#[derive(Debug, Default)]
struct TupleColumns {
    columns: Vec<Vec<u32>>,
    rows: usize,
}

/// How the codes of one task become those of [`Dictionaries`].
#[derive(Debug)]
pub struct CodeRemapping {
    /// For each column of the layout, our code for each of the task's.
    codes: Vec<Vec<u32>>,
    /// Where the task's shapes begin in each group.
    starts: [usize; 2],
}

impl TupleColumns {
    fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(Vec::clear);
    }

    fn new(width: usize) -> Self {
        Self { columns: vec![Vec::new(); width], rows: 0 }
    }

    /// Adds a task's tuple; `symbols` are the places of its columns.
    fn push(&mut self, tuple: impl Iterator<Item = u32>, symbols: &[usize], codes: &[Vec<u32>]) {
        for (at, (column, code)) in self.columns.iter_mut().zip(tuple).enumerate() {
            // What has no place among the symbols are the bits, which every task writes alike.
            let ours = match symbols.get(at) {
                Some(&place) => codes[place].get(code as usize).copied().unwrap_or(NULL_CODE),
                None => code,
            };
            column.push(ours);
        }
        self.rows += 1;
    }
}

impl Dictionaries {
    /// Brings the symbols and shapes of all tasks together.
    pub fn new(layout: &Layout, tasks: &[Packer]) -> Result<(Self, Vec<CodeRemapping>)> {
        let mut dictionaries: Vec<ArrayRef> = Vec::new();
        let mut codes: Vec<Vec<Vec<u32>>> = tasks.iter().map(|_| Vec::new()).collect();
        for place in 0..layout.kept.len() {
            let interners: Vec<&Interner> = tasks.iter().map(|task| &task.interners[place]).collect();
            let (dictionary, remapped) = symbols::unify(&interners);
            dictionaries.push(dictionary);
            codes.iter_mut().zip(remapped).for_each(|(codes, table)| codes.push(table));
        }
        let mut groups = [CLIENT, ACTION].map(|group| TupleColumns::new(layout.width(group)));
        let mut remappings = Vec::with_capacity(tasks.len());
        for (task, codes) in tasks.iter().zip(codes) {
            let starts = [CLIENT, ACTION].map(|group| groups[group].rows);
            for ((group, tuples), symbols) in groups.iter_mut().zip(&task.dictionaries).zip(&layout.symbols) {
                tuples.tuples().for_each(|tuple| group.push(tuple.iter().copied(), symbols, &codes));
            }
            remappings.push(CodeRemapping { codes, starts });
        }
        let none = TupleColumns::default();
        let of = |group: usize| structs(layout, group, [&groups[group], &none], &dictionaries);
        let structs = [of(CLIENT)?, of(ACTION)?];
        Ok((Self { groups, structs, symbols: dictionaries }, remappings))
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        let tuples: usize = self.groups.iter().flat_map(|group| &group.columns).map(|codes| codes.capacity() * 4).sum();
        // Twice: as codes and as structs.
        2 * tuples + self.symbols.iter().map(|texts| texts.get_buffer_memory_size()).sum::<usize>()
    }
}

/// The shapes of one group as structs, those of `parts` one after another.
fn structs(layout: &Layout, group: usize, parts: [&TupleColumns; 2], dictionaries: &[ArrayRef]) -> Result<ArrayRef> {
    let rows = parts.iter().map(|part| part.rows).sum();
    let codes = |at: usize| parts.into_iter().flat_map(move |part| part.columns.get(at).into_iter().flatten().copied());
    let fields = session::tuple_fields(group);
    let column = |field: &FieldRef| -> ArrayRef {
        let place = layout.fields.iter().position(|kept| kept.name() == field.name());
        match place.map(|place| (place, layout.kept[place])) {
            Some((place, Kept::Symbol { at, .. })) => {
                Arc::new(symbols::column(codes(at).map(u32::cast_signed).collect(), &dictionaries[place]))
            }
            Some((_, Kept::Flag { shift })) => {
                let flags = codes(layout.symbols[group].len()).map(|bits| bits >> shift & 3);
                Arc::new(flags.map(|flag| (flag != 2).then_some(flag == 1)).collect::<BooleanArray>())
            }
            _ => new_null_array(field.data_type(), rows),
        }
    };
    let columns = fields.iter().map(column).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, None, rows)?))
}

/// The rows of one partition.
pub struct Rows {
    dictionaries: Arc<Dictionaries>,
    /// Shapes that travelled with their events, numbered after those of `dictionaries`.
    inline: [TupleColumns; 2],
    /// All shapes as structs, where some travelled with their events.
    extended: [OnceLock<ArrayRef>; 2],
    /// Shared with the event_ids that are taken out.
    bytes: Buffer,
    visitors: Vec<Visitor>,
    visitor: Vec<u32>,
    /// When each event happened.
    pub ts: Vec<i64>,
    tuples: [Vec<u32>; 2],
    /// Where each packed event_id begins.
    event_id: Vec<u32>,
    instants: Vec<Vec<i64>>,
    /// Where the reals of each row begin, and its texts after them.
    rest: Vec<u32>,
}

/// Who an event is from, see [`super::batch::visitor_dictionary`].
#[derive(Clone, Copy)]
struct Visitor {
    hash: u64,
    owner: [u32; 2],
    base_ts: i64,
    /// Where the packed session_id and user_hash begin.
    session: u32,
    user: u32,
}

impl Rows {
    /// No rows yet; `dictionaries` names their symbols.
    pub fn new(layout: &Layout, dictionaries: Arc<Dictionaries>) -> Self {
        Self {
            inline: [CLIENT, ACTION].map(|group| TupleColumns::new(layout.width(group))),
            extended: <[OnceLock<ArrayRef>; 2]>::default(),
            dictionaries,
            bytes: Buffer::default(),
            visitors: Vec::new(),
            visitor: Vec::new(),
            ts: Vec::new(),
            tuples: [Vec::new(), Vec::new()],
            event_id: Vec::new(),
            instants: vec![Vec::new(); layout.instants.len()],
            rest: Vec::new(),
        }
    }

    /// Forgets all rows, and keeps the space.
    pub fn clear(&mut self) {
        self.inline.iter_mut().for_each(TupleColumns::clear);
        self.extended = <[OnceLock<ArrayRef>; 2]>::default();
        let mut bytes =
            std::mem::take(&mut self.bytes).into_vec().unwrap_or_else(|held| Vec::with_capacity(held.len()));
        bytes.clear();
        self.bytes = Buffer::from_vec::<u8>(bytes);
        self.visitors.clear();
        self.visitor.clear();
        self.ts.clear();
        self.tuples.iter_mut().for_each(Vec::clear);
        self.event_id.clear();
        self.instants.iter_mut().for_each(Vec::clear);
        self.rest.clear();
    }

    /// The bytes, to add to them; a new space where session batches still hold them.
    fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes).into_vec().unwrap_or_else(|shared| {
            let mut bytes = Vec::with_capacity(shared.capacity());
            bytes.extend_from_slice(&shared);
            bytes
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// How many visitors were defined.
    pub fn visitors(&self) -> usize {
        self.visitors.len()
    }

    /// The visitor of each row.
    pub fn visitor(&self) -> &[u32] {
        &self.visitor
    }

    /// The hash of visitor number `visitor`.
    pub fn hash(&self, visitor: usize) -> u64 {
        self.visitors[visitor].hash
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ts.capacity() * (28 + 8 * self.instants.len())
    }

    /// Adds the events that one task packed into `block`, whose visitors are numbered from `first_visitor`.
    pub fn read(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        first_visitor: usize,
        block: &[u8],
    ) -> Result<()> {
        check_length(self.bytes.len() + block.len())?;
        // The bytes are moved out while their rows are noted, and back.
        let mut bytes = self.take_bytes();
        let start = bytes.len();
        bytes.extend_from_slice(block);
        let mut reader = Reader { bytes: &bytes, at: start };
        let mut damaged = false;
        while !reader.is_over() && !damaged {
            damaged = self.read_row(layout, remapping, first_visitor, &mut reader).is_none();
        }
        self.bytes = bytes.into();
        if damaged {
            Err(exec_datafusion_err!("spilled events are damaged; check the disk of `run.spill_dir`"))
        } else {
            Ok(())
        }
    }

    fn read_row(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        first_visitor: usize,
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        let visitor = first_visitor.checked_add(usize::try_from(reader.varint()?).ok()?)?;
        if visitor == self.visitors.len() {
            self.define_visitor(layout, remapping, reader)?;
        }
        self.read_body(layout, remapping, visitor, reader)
    }

    /// Reads what the next visitor stands for.
    pub fn define_visitor(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        let hash = reader.fixed()?;
        let owner = read_owner(layout, remapping, reader)?;
        let base_ts = reader.signed()?;
        let (session, user) = (skip_text(reader)?, skip_text(reader)?);
        self.visitors.push(Visitor { hash, owner, base_ts, session, user });
        Some(())
    }

    /// Reads a row that is from visitor number `visitor`.
    pub fn read_body(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        visitor: usize,
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        let client = self.read_tuple(layout, remapping, CLIENT, reader)?;
        let action = self.read_tuple(layout, remapping, ACTION, reader)?;
        self.read_event(layout, [visitor as u32, client, action], reader)
    }

    /// Reads what both forms of a row end in, and adds the row.
    #[inline]
    fn read_event(
        &mut self,
        layout: &Layout,
        [visitor, client, action]: [u32; 3],
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        let base_ts = self.visitors.get(visitor as usize)?.base_ts;
        let ts = base_ts.wrapping_add(reader.signed()?);
        let event_id = reader.at as u32;
        text::skip(reader)?;
        let bits = self.bits(action)?;
        for (instants, bit) in self.instants.iter_mut().zip(&layout.instants) {
            let instant = if bits >> bit & 1 == 1 { ts.wrapping_add(reader.signed()?) } else { NO_INSTANT };
            instants.push(instant);
        }
        let rest = reader.at as u32;
        reader.take((bits & layout.reals).count_ones() as usize * size_of::<f32>())?;
        for _ in 0..(bits & layout.texts).count_ones() {
            text::skip(reader)?;
        }
        self.visitor.push(visitor);
        self.tuples[CLIENT].push(client);
        self.tuples[ACTION].push(action);
        self.ts.push(ts);
        self.event_id.push(event_id);
        self.rest.push(rest);
        Some(())
    }

    /// Adds the events of one key with the hash `hash`: a head, and rows as [`Packer::append_under`] wrote them.
    ///
    /// Tells in `places` where each row lies in what `reader` reads, and gives where the head ends.
    pub fn read_key(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        hash: u64,
        reader: &mut Reader<'_>,
        places: &mut Vec<Range<u32>>,
    ) -> Result<u32> {
        // A real takes four times the room here, at most.
        check_length(self.bytes.len() + 4 * reader.bytes.len())?;
        let mut bytes = self.take_bytes();
        let head = self.read_rows_of_key(layout, remapping, hash, reader, &mut bytes, places);
        self.bytes = bytes.into();
        head.ok_or_else(|| exec_datafusion_err!("the events of an open session are damaged"))
    }

    fn read_rows_of_key(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        hash: u64,
        reader: &mut Reader<'_>,
        bytes: &mut Vec<u8>,
        places: &mut Vec<Range<u32>>,
    ) -> Option<u32> {
        let owner = read_owner(layout, remapping, reader)?;
        let client = self.read_tuple(layout, remapping, CLIENT, reader)?;
        let (session, user) = (copy_text(reader, bytes)?, copy_text(reader, bytes)?);
        let head = self.visitors.len() as u32;
        self.visitors.push(Visitor { hash, owner, base_ts: reader.signed()?, session, user });
        let head_end = reader.at as u32;
        while !reader.is_over() {
            let start = reader.at as u32;
            let lead = reader.varint()?;
            let action = self.read_tuple_after(lead >> 1, layout, remapping, ACTION, reader)?;
            let mut visitor = [head, client];
            if lead & 1 == 1 {
                self.replace_head(layout, remapping, &mut visitor, reader, bytes)?;
            }
            let at = bytes.len();
            expand_event(layout, self.bits(action)?, reader, bytes)?;
            self.read_event(layout, [visitor[0], visitor[1], action], &mut Reader { bytes, at })?;
            places.push(start..reader.at as u32);
        }
        Some(head_end)
    }

    /// Reads the parts of its head that a row replaces.
    fn replace_head(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        [visitor, client]: &mut [u32; 2],
        reader: &mut Reader<'_>,
        bytes: &mut Vec<u8>,
    ) -> Option<()> {
        let differs = reader.take(1)?[0];
        if differs & OTHER_CLIENT != 0 {
            *client = self.read_tuple(layout, remapping, CLIENT, reader)?;
        }
        if differs & (OTHER_SESSION | OTHER_USER) == 0 {
            return Some(());
        }
        let mut other = *self.visitors.get(*visitor as usize)?;
        if differs & OTHER_SESSION != 0 {
            other.session = copy_text(reader, bytes)?;
        }
        if differs & OTHER_USER != 0 {
            other.user = copy_text(reader, bytes)?;
        }
        *visitor = self.visitors.len() as u32;
        self.visitors.push(other);
        Some(())
    }

    fn read_tuple(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        group: usize,
        reader: &mut Reader<'_>,
    ) -> Option<u32> {
        let lead = reader.varint()?;
        self.read_tuple_after(lead, layout, remapping, group, reader)
    }

    #[inline]
    fn read_tuple_after(
        &mut self,
        lead: u64,
        layout: &Layout,
        remapping: &CodeRemapping,
        group: usize,
        reader: &mut Reader<'_>,
    ) -> Option<u32> {
        let known = self.dictionaries.groups[group].rows;
        if let Some(code) = lead.checked_sub(1) {
            let code = remapping.starts[group].checked_add(usize::try_from(code).ok()?)?;
            return (code < known).then_some(code as u32);
        }
        let tuple: Option<Vec<u32>> = (0..layout.width(group)).map(|_| u32::try_from(reader.varint()?).ok()).collect();
        let code = known + self.inline[group].rows;
        self.inline[group].push(tuple?.into_iter(), &layout.symbols[group], &remapping.codes);
        self.extended[group] = OnceLock::new();
        u32::try_from(code).ok()
    }

    fn code_in_tuple(&self, group: usize, at: usize, tuple: u32) -> u32 {
        let (tuple, dictionaries) = (tuple as usize, &self.dictionaries.groups[group]);
        match tuple.checked_sub(dictionaries.rows) {
            None => dictionaries.columns[at][tuple],
            Some(inline) => self.inline[group].columns[at][inline],
        }
    }

    fn bits(&self, action: u32) -> Option<u32> {
        let (tuple, dictionaries) = (action as usize, &self.dictionaries.groups[ACTION]);
        match tuple.checked_sub(dictionaries.rows) {
            None => dictionaries.columns.last()?.get(tuple).copied(),
            Some(inline) => self.inline[ACTION].columns.last()?.get(inline).copied(),
        }
    }

    /// The codes of org_id and product_id of visitor number `visitor`.
    pub fn owner(&self, visitor: usize) -> [u32; 2] {
        self.visitors[visitor].owner
    }

    /// The code of the symbol column at `place` of the layout in row `row`.
    pub fn symbol(&self, layout: &Layout, place: usize, row: usize) -> u32 {
        match layout.kept[place] {
            Kept::Owner(at) => self.visitors[self.visitor[row] as usize].owner[at],
            Kept::Symbol { group, at } => self.code_in_tuple(group, at, self.tuples[group][row]),
            _ => NULL_CODE,
        }
    }

    /// The texts of the symbol column at `place`, in the order of their codes.
    pub fn dictionary(&self, place: usize) -> &ArrayRef {
        &self.dictionaries.symbols[place]
    }

    /// When row `row` was received; [`NO_INSTANT`] where that is not known.
    pub fn received_at(&self, layout: &Layout, row: usize) -> i64 {
        self.instants[layout.received_at][row]
    }

    /// A text of row `row`, packed.
    pub fn packed(&self, id: Id, row: usize) -> &[u8] {
        let visitor = &self.visitors[self.visitor[row] as usize];
        self.packed_at(match id {
            Id::Session => visitor.session,
            Id::User => visitor.user,
            Id::Event => self.event_id[row],
        })
    }

    fn packed_at(&self, start: u32) -> &[u8] {
        text::skip(&mut Reader { bytes: &self.bytes, at: start as usize }).unwrap_or_default()
    }

    /// The visit of a visitor, packed: its session_id or, where that is empty, its user_hash.
    pub fn session_or_user(&self, visitor: usize) -> &[u8] {
        let visitor = &self.visitors[visitor];
        let session = self.packed_at(visitor.session);
        if text::is_empty(session) { self.packed_at(visitor.user) } else { session }
    }

    /// Compares two rows in every column, in table order, null last.
    pub fn compare(&self, layout: &Layout, a: usize, b: usize) -> Ordering {
        let mut columns = layout.kept.iter().enumerate();
        let differs = columns.find_map(|(place, kept)| {
            let order = match *kept {
                Kept::Owner(_) | Kept::Symbol { .. } => {
                    self.symbol(layout, place, a).cmp(&self.symbol(layout, place, b))
                }
                Kept::Flag { shift } => self.flag(shift, a).cmp(&self.flag(shift, b)),
                Kept::Ts => self.ts[a].cmp(&self.ts[b]),
                Kept::Id(id) => text::compare(self.packed(id, a), self.packed(id, b)),
                Kept::Instant { at, .. } => self.instants[at][a].cmp(&self.instants[at][b]),
                Kept::Real { bit } => {
                    let of = |row| self.real(layout, bit, row).unwrap_or(f32::NAN);
                    of(a).total_cmp(&of(b))
                }
                Kept::Text { bit } => match (self.text(layout, bit, a), self.text(layout, bit, b)) {
                    (Some(a), Some(b)) => text::compare(a, b),
                    (a, b) => a.is_none().cmp(&b.is_none()),
                },
            };
            Some(order).filter(|order| order.is_ne())
        });
        differs.unwrap_or(Ordering::Equal)
    }

    fn bits_of(&self, row: usize) -> u32 {
        self.bits(self.tuples[ACTION][row]).unwrap_or(0)
    }

    fn flag(&self, shift: u32, row: usize) -> u32 {
        self.bits_of(row) >> shift & 3
    }

    fn real(&self, layout: &Layout, bit: u32, row: usize) -> Option<f32> {
        self.real_of(layout, bit, self.bits_of(row), row)
    }

    fn real_of(&self, layout: &Layout, bit: u32, bits: u32, row: usize) -> Option<f32> {
        if bits >> bit & 1 == 0 {
            return None;
        }
        let before = (bits & layout.reals & ((1 << bit) - 1)).count_ones() as usize;
        let start = self.rest[row] as usize + before * size_of::<f32>();
        Some(f32::from_le_bytes(self.bytes.get(start..start + 4)?.try_into().ok()?))
    }

    fn text(&self, layout: &Layout, bit: u32, row: usize) -> Option<&[u8]> {
        let bits = self.bits_of(row);
        if bits >> bit & 1 == 0 {
            return None;
        }
        let start = self.rest[row] as usize + (bits & layout.reals).count_ones() as usize * size_of::<f32>();
        let mut reader = Reader { bytes: &self.bytes, at: start };
        for _ in 0..(bits & layout.texts & ((1 << bit) - 1)).count_ones() {
            text::skip(&mut reader)?;
        }
        text::skip(&mut reader)
    }

    /// The shapes of one group as structs, in the order of their codes.
    fn structs(&self, layout: &Layout, group: usize) -> Result<ArrayRef> {
        let (dictionaries, inline) = (&self.dictionaries, &self.inline[group]);
        if inline.rows == 0 {
            return Ok(Arc::clone(&dictionaries.structs[group]));
        }
        if let Some(extended) = self.extended[group].get() {
            return Ok(Arc::clone(extended));
        }
        let extended = structs(layout, group, [&dictionaries.groups[group], inline], &dictionaries.symbols)?;
        Ok(Arc::clone(self.extended[group].get_or_init(|| extended)))
    }

    /// These rows, in this order, to take columns from.
    pub fn select<'a>(&'a self, layout: &'a Layout, rows: &'a [u32]) -> Selection<'a> {
        let tuples = self.tuples.each_ref().map(|tuples| rows.iter().map(|&row| tuples[row as usize]).collect());
        Selection { layout, of: self, rows, tuples }
    }
}

/// Places in the bytes are 32 bits wide.
fn check_length(bytes: usize) -> Result<()> {
    u32::try_from(bytes).map(|_| ()).map_err(|_| {
        resources_datafusion_err!(
            "one partition of events has more than 4 GiB: a visitor with that many events is a robot, leave it out"
        )
    })
}

/// The codes of org_id and product_id.
fn read_owner(layout: &Layout, remapping: &CodeRemapping, reader: &mut Reader<'_>) -> Option<[u32; 2]> {
    let mut code = |place: usize| remapping.codes[place].get(usize::try_from(reader.varint()?).ok()?).copied();
    Some([code(layout.owner[0])?, code(layout.owner[1])?])
}

/// Reads past a packed text; gives where it begins.
fn skip_text(reader: &mut Reader<'_>) -> Option<u32> {
    let start = reader.at as u32;
    text::skip(reader)?;
    Some(start)
}

/// Copies a packed text; gives where the copy begins.
fn copy_text(reader: &mut Reader<'_>, to: &mut Vec<u8>) -> Option<u32> {
    let start = to.len() as u32;
    to.extend_from_slice(text::skip(reader)?);
    Some(start)
}

/// Copies what a row under a head ends in, as [`Rows::read_event`] reads it: reals in four bytes each.
fn expand_event(layout: &Layout, bits: u32, reader: &mut Reader<'_>, to: &mut Vec<u8>) -> Option<()> {
    let start = reader.at;
    reader.signed()?;
    text::skip(reader)?;
    for _ in layout.instants.iter().filter(|&bit| bits >> bit & 1 == 1) {
        reader.signed()?;
    }
    to.extend_from_slice(reader.bytes.get(start..reader.at)?);
    for _ in 0..(bits & layout.reals).count_ones() {
        to.extend_from_slice(&reader.real()?.to_le_bytes());
    }
    for _ in 0..(bits & layout.texts).count_ones() {
        to.extend_from_slice(text::skip(reader)?);
    }
    Some(())
}

/// Some rows in some order.
pub struct Selection<'a> {
    layout: &'a Layout,
    of: &'a Rows,
    rows: &'a [u32],
    tuples: [Vec<u32>; 2],
}

impl Selection<'_> {
    /// The column of that name of an event's struct, in a session batch.
    pub fn take(&self, name: &str) -> Result<ArrayRef> {
        if let Some(group) = TUPLES.iter().position(|tuples| *tuples == name) {
            return self.tuples(group);
        }
        let place = self.layout.place(name)?;
        let rows = self.rows.iter().map(|&row| row as usize);
        let (of, layout) = (self.of, self.layout);
        Ok(match layout.kept[place] {
            Kept::Owner(at) => {
                let codes = rows.map(|row| of.visitors[of.visitor[row] as usize].owner[at].cast_signed()).collect();
                Arc::new(symbols::column(codes, of.dictionary(place)))
            }
            Kept::Symbol { .. } | Kept::Flag { .. } => {
                return Err(internal_datafusion_err!("event column `{name}` is part of a shape"));
            }
            Kept::Ts => instants(rows.map(|row| of.ts[row]).collect(), None),
            Kept::Instant { at, .. } => {
                let values: Vec<i64> = rows.map(|row| of.instants[at][row]).collect();
                let nulls = validity(&values, |value| *value != NO_INSTANT);
                instants(values, nulls)
            }
            Kept::Real { bit } => {
                let reals = rows.zip(self.bits()).map(|(row, bits)| of.real_of(layout, bit, bits, row));
                Arc::new(reals.collect::<Float32Array>())
            }
            Kept::Id(Id::Event) => Arc::new(self.event_ids()?),
            Kept::Id(id) => Arc::new(text::unpack_all(rows.map(|row| Some(of.packed(id, row))))),
            Kept::Text { bit } => Arc::new(text::unpack_all(rows.map(|row| of.text(layout, bit, row)))),
        })
    }

    /// The codes of one group's shapes, over the shapes.
    fn tuples(&self, group: usize) -> Result<ArrayRef> {
        let codes: Vec<i32> = self.tuples[group].iter().map(|code| code.cast_signed()).collect();
        let structs = self.of.structs(self.layout, group)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(codes.into(), structs)?))
    }

    /// The event_ids as they are packed, in the bytes of the partition.
    fn event_ids(&self) -> Result<BinaryViewArray> {
        let of = self.of;
        let view = |&row: &u32| {
            let at = of.event_id[row as usize];
            make_view(of.packed_at(at), 0, at)
        };
        let views: Vec<u128> = self.rows.iter().map(view).collect();
        Ok(BinaryViewArray::try_new(views.into(), vec![of.bytes.clone()], None)?)
    }

    /// The bits of each row's action.
    fn bits(&self) -> impl Iterator<Item = u32> {
        self.tuples[ACTION].iter().map(|&action| self.of.bits(action).unwrap_or(0))
    }
}

fn instants(values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(Int64Array::new(values.into(), nulls).reinterpret_cast::<TimestampMillisecondType>().with_timezone("UTC"))
}

fn validity<T>(values: &[T], present: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    if values.iter().all(&present) {
        return None;
    }
    Some(BooleanBuffer::collect_bool(values.len(), |at| present(&values[at])).into())
}
