//! Stores the event that a mapping makes of a row and of the folders that its file lies in.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Error;
use crate::builder::EventBatchBuilder;
use crate::event_id::EventIds;
use crate::listing::SourceFile;
use crate::mapping::{CompiledMapping, Mapping};
use crate::partitions::complete;
use crate::reject::Fault;

/// A mapping, and the values of its columns that the folders of a file hold.
#[derive(Debug)]
pub(crate) struct FileMapping {
    pub(crate) mapping: Arc<CompiledMapping>,
    partitions: Vec<(usize, Option<String>)>,
}

impl FileMapping {
    /// The mapping as it applies to a file.
    pub(crate) fn of(file: &SourceFile, mapping: &Mapping) -> Result<Self, Error> {
        let mapping = mapping.compiled();
        let partitions = file.known.partitions.foreign(&file.name, mapping.columns())?;
        Ok(Self { mapping, partitions })
    }

    /// The columns of the mapping that the folders hold.
    pub(crate) fn known(&self) -> impl Iterator<Item = usize> {
        self.partitions.iter().map(|(column, _)| *column)
    }

    /// Applies the mapping to the values of a row and stores the event; `false` if the mapping skips the row.
    pub(crate) fn push<'a>(
        &'a self,
        values: Vec<Option<Cow<'a, str>>>,
        columns: &mut EventBatchBuilder,
        event_ids: &EventIds,
        line: u64,
    ) -> Result<bool, Fault> {
        self.push_at(None, values, columns, event_ids, line)
    }

    /// [`Self::push`] for a row whose time is known as an instant, whatever the mapping says about texts.
    pub(crate) fn push_at<'a>(
        &'a self,
        ts: Option<i64>,
        mut values: Vec<Option<Cow<'a, str>>>,
        columns: &mut EventBatchBuilder,
        event_ids: &EventIds,
        line: u64,
    ) -> Result<bool, Fault> {
        complete(&mut values, &self.partitions, self.mapping.columns())?;
        match self.mapping.apply(&values, ts, columns.privacy())? {
            None => Ok(false),
            Some(row) => columns.push(&row, event_ids, line, 0).map(|()| true),
        }
    }
}
