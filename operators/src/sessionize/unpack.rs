//! Reads packed events (see [`super::packed`]) into rows.

use std::ops::Range;
use std::sync::OnceLock;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err, resources_datafusion_err};

use super::bytes::Reader;
use super::dictionaries::CodeRemapping;
use super::head::{OTHER_CLIENT, OTHER_SESSION, OTHER_USER};
use super::layout::{ACTION, CLIENT, Layout};
use super::rows::{NO_INSTANT, Rows, Visitor};
use super::text;

impl Rows {
    /// Adds the events that one task packed into `block`, whose visitors are numbered from `first_visitor`.
    ///
    /// # Errors
    /// Where the bytes are damaged, or the partition would have more than 4 GiB of events.
    pub fn read(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        first_visitor: usize,
        block: &[u8],
    ) -> Result<()> {
        check_length(self.bytes.len() + block.len())?;
        // The bytes are moved out while rows that point into them are added: the borrow checker asks for it.
        let mut bytes = self.take_bytes();
        let start = bytes.len();
        bytes.extend_from_slice(block);
        let mut reader = Reader { bytes: &bytes, at: start };
        let mut damaged = false;
        while !reader.is_over() && !damaged {
            damaged = self.read_row(layout, remapping, first_visitor, &mut reader).is_none();
        }
        self.bytes = bytes.into();
        if damaged { Err(damaged_events()) } else { Ok(()) }
    }

    /// Reads records into empty rows. They lie in `bytes` one after another: for each the task that packed it, and where
    /// it ends. `bytes` becomes the bytes of the rows, and these become `bytes`.
    ///
    /// # Errors
    /// Where the bytes are damaged, or more than 4 GiB.
    pub fn read_records(
        &mut self,
        layout: &Layout,
        remappings: &[CodeRemapping],
        bytes: &mut Vec<u8>,
        records: impl Iterator<Item = (usize, usize)>,
    ) -> Result<()> {
        check_length(bytes.len())?;
        let all = std::mem::replace(bytes, self.take_bytes());
        let mut reader = Reader::new(&all);
        let mut read = records.map(|(task, end)| {
            let remapping = remappings.get(task)?;
            let owner = read_owner(layout, remapping, &mut reader)?;
            let (session, user) = (skip_text(&mut reader)?, skip_text(&mut reader)?);
            let visitor = self.visitors.len();
            self.visitors.push(Visitor { hash: 0, owner, base_ts: 0, session, user });
            self.read_body(layout, remapping, visitor, &mut reader)?;
            (reader.at == end).then_some(())
        });
        let damaged = read.any(|read| read.is_none());
        self.bytes = all.into();
        if damaged { Err(damaged_events()) } else { Ok(()) }
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

    /// Reads the definition of the next visitor.
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

    /// Reads the part of a row that both forms share, and adds the row.
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
        for (instants, packed) in self.instants.iter_mut().zip(&layout.instants) {
            let base = if packed.since_ts { ts } else { 0 };
            let instant = if bits >> packed.bit & 1 == 1 { base.wrapping_add(reader.signed()?) } else { NO_INSTANT };
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

    /// Adds the events of one session key with the hash `hash`: a head, and rows under it.
    ///
    /// Appends to `places` where each row lies in what `reader` reads, and returns where the head ends.
    ///
    /// # Errors
    /// Where the bytes are damaged, or more than 4 GiB.
    pub fn read_key(
        &mut self,
        layout: &Layout,
        remapping: &CodeRemapping,
        hash: u64,
        reader: &mut Reader<'_>,
        places: &mut Vec<Range<u32>>,
    ) -> Result<u32> {
        // Reals that are one byte in the open sessions take four here.
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

    /// Reads the parts of the head that a row replaces.
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
}

fn damaged_events() -> DataFusionError {
    exec_datafusion_err!("spilled events are damaged; check the disk of `run.spill_dir`")
}

/// Offsets into the bytes are 32 bits wide.
fn check_length(bytes: usize) -> Result<()> {
    u32::try_from(bytes).map(|_| ()).map_err(|_| {
        resources_datafusion_err!(
            "one partition of events has more than 4 GiB: a visitor with that many events is a robot; exclude its events"
        )
    })
}

/// The codes of org_id and product_id.
fn read_owner(layout: &Layout, remapping: &CodeRemapping, reader: &mut Reader<'_>) -> Option<[u32; 2]> {
    let mut code = |place: usize| remapping.codes[place].get(usize::try_from(reader.varint()?).ok()?).copied();
    Some([code(layout.owner[0])?, code(layout.owner[1])?])
}

/// Skips a packed text and returns where it begins.
fn skip_text(reader: &mut Reader<'_>) -> Option<u32> {
    let start = reader.at as u32;
    text::skip(reader)?;
    Some(start)
}

/// Copies a packed text and returns where the copy begins.
fn copy_text(reader: &mut Reader<'_>, to: &mut Vec<u8>) -> Option<u32> {
    let start = to.len() as u32;
    to.extend_from_slice(text::skip(reader)?);
    Some(start)
}

/// Copies a row under a head from ts on, in the form that [`Rows::read_event`] reads: reals in four bytes each.
fn expand_event(layout: &Layout, bits: u32, reader: &mut Reader<'_>, to: &mut Vec<u8>) -> Option<()> {
    let start = reader.at;
    reader.signed()?;
    text::skip(reader)?;
    for _ in layout.instants.iter().filter(|packed| bits >> packed.bit & 1 == 1) {
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
