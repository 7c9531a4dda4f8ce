//! Merges the dictionaries of all tasks, and remaps the codes of each task to those of the merged ones.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, StructArray, new_null_array};
use arrow::datatypes::FieldRef;
use datafusion::common::Result;

use super::layout::{ACTION, CLIENT, ColumnEncoding, Layout};
use super::packer::Packer;
use crate::session;
use crate::symbols::{self, Interner, NULL_CODE};

/// The symbols and tuples of all tasks. The order of symbol codes is the byte order of their texts.
#[derive(Debug)]
pub struct Dictionaries {
    pub(super) groups: [TupleColumns; 2],
    /// The tuples as structs, see [`crate::session::TUPLES`], once they are asked for.
    structs: [OnceLock<ArrayRef>; 2],
    /// For each symbol column of the layout, its texts in order.
    pub symbols: Vec<ArrayRef>,
}

/// The tuples of one group, column by column.
#[derive(Debug, Default)]
pub(super) struct TupleColumns {
    pub(super) columns: Vec<Vec<u32>>,
    pub(super) rows: usize,
}

/// How the codes of one task become those of [`Dictionaries`].
#[derive(Debug)]
pub struct CodeRemapping {
    /// For each column of the layout, the merged code for each code of the task.
    pub(super) codes: Vec<Vec<u32>>,
    /// Where the tuples of the task begin in each group.
    pub(super) starts: [usize; 2],
}

impl CodeRemapping {
    /// The merged codes of org_id and product_id for those of the task.
    pub fn owner(&self, layout: &Layout, owner: [u32; 2]) -> [u32; 2] {
        let code = |at: usize| self.codes[layout.owner[at]].get(owner[at] as usize).copied();
        [0, 1].map(|at| code(at).unwrap_or(NULL_CODE))
    }
}

impl TupleColumns {
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn new(width: usize) -> Self {
        Self { columns: vec![Vec::new(); width], rows: 0 }
    }

    /// Adds a task's tuple; `symbols` are the places of its columns.
    pub(super) fn push(&mut self, tuple: impl Iterator<Item = u32>, symbols: &[usize], codes: &[Vec<u32>]) {
        for (at, (column, code)) in self.columns.iter_mut().zip(tuple).enumerate() {
            // The last code of an action is its bits, not a symbol: they mean the same in every task.
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
    /// Merges the symbols and tuples of all tasks; gives the remapping of each task too.
    pub fn new(layout: &Layout, tasks: &[Packer]) -> (Self, Vec<CodeRemapping>) {
        let mut dictionaries: Vec<ArrayRef> = Vec::new();
        let mut codes: Vec<Vec<Vec<u32>>> = tasks.iter().map(|_| Vec::new()).collect();
        for place in 0..layout.encodings.len() {
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
        (Self { groups, structs: <[OnceLock<ArrayRef>; 2]>::default(), symbols: dictionaries }, remappings)
    }

    /// The tuples of one group as structs, in the order of their codes.
    pub(super) fn structs(&self, layout: &Layout, group: usize) -> Result<ArrayRef> {
        if let Some(known) = self.structs[group].get() {
            return Ok(Arc::clone(known));
        }
        let parts = [&self.groups[group], &TupleColumns::default()];
        let structs = structs(layout, group, parts, &self.symbols)?;
        Ok(Arc::clone(self.structs[group].get_or_init(|| structs)))
    }

    /// Bytes held, nearly.
    pub fn memory(&self) -> usize {
        let tuples: usize = self.groups.iter().flat_map(|group| &group.columns).map(|codes| codes.capacity() * 4).sum();
        // Tuples are held twice: as codes and as structs.
        2 * tuples + self.symbols.iter().map(|texts| texts.get_buffer_memory_size()).sum::<usize>()
    }
}

/// The tuples of one group as structs, those of `parts` one after another.
pub(super) fn structs(
    layout: &Layout,
    group: usize,
    parts: [&TupleColumns; 2],
    dictionaries: &[ArrayRef],
) -> Result<ArrayRef> {
    let rows = parts.iter().map(|part| part.rows).sum();
    let codes = |at: usize| parts.into_iter().flat_map(move |part| part.columns.get(at).into_iter().flatten().copied());
    let fields = session::tuple_fields(group);
    let column = |field: &FieldRef| -> ArrayRef {
        let place = layout.fields.iter().position(|own| own.name() == field.name());
        match place.map(|place| (place, layout.encodings[place])) {
            Some((place, ColumnEncoding::Symbol { at, .. })) => {
                Arc::new(symbols::column(codes(at).map(u32::cast_signed).collect(), &dictionaries[place]))
            }
            Some((_, ColumnEncoding::Flag { shift })) => {
                let flags = codes(layout.symbols[group].len()).map(|bits| bits >> shift & 3);
                Arc::new(flags.map(|flag| (flag != 2).then_some(flag == 1)).collect::<BooleanArray>())
            }
            _ => new_null_array(field.data_type(), rows),
        }
    };
    let columns = fields.iter().map(column).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, None, rows)?))
}
