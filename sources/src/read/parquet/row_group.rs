//! Decodes one row group of event columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use netcrab_schema::Column;
use netcrab_schema::events::EVENT;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::footer::{Footer, RowGroup};
use super::guard::guard;
use super::leaves::Leaf;
use crate::event_columns::project;
use crate::event_id::EventIds;
use crate::listing::SourceFile;
use crate::privacy::Privacy;
use crate::read::{ReadBatch, UnitDecoder};
use crate::reject::Rejects;
use crate::validate::{BatchValidator, Lines};
use crate::{Error, SourceSettings};

/// Decodes one row group.
pub(crate) struct RowGroupDecoder {
    file: Arc<SourceFile>,
    rows: ParquetRecordBatchReader,
    validator: BatchValidator,
    event_ids: Arc<EventIds>,
    rejects: Rejects,
    footer: Arc<Footer>,
    /// For each column of the batch, its index among the columns read, and where its values are.
    places: Vec<Option<(usize, Leaf)>>,
    /// The indexes of the requested columns in the batch; `None` if all were requested.
    kept: Option<Vec<usize>>,
    next_line: u64,
    bytes_per_row: f64,
    over: bool,
}

impl RowGroupDecoder {
    /// Opens row group `group` for these event columns.
    pub(crate) fn open(
        file: Arc<SourceFile>,
        RowGroup { footer, number }: RowGroup<'_>,
        columns: Option<&[&'static str]>,
        settings: Arc<SourceSettings>,
        privacy: Arc<Privacy>,
        event_ids: Arc<EventIds>,
    ) -> Result<Self, Error> {
        // An event id that is missing is made from all columns, a route from the screen.
        let needed = columns.filter(|names| !(names.contains(&"event_id") && footer.lacks_event_ids(None)));
        let needed = needed.map(|names| match names.contains(&"route") {
            true => [names, &["screen_id"]].concat(),
            false => names.to_vec(),
        });
        let asked = project(columns);
        let columns = project(needed.as_deref());
        let kept = columns.iter().enumerate().filter(|(_, column)| asked.iter().any(|asked| asked.name == column.name));
        let kept: Vec<usize> = kept.map(|(at, _)| at).collect();
        let stored = |column: &&'static Column| {
            EVENT.iter().position(|event| event.name == column.name).and_then(|at| footer.places[at].clone())
        };
        let stored: Vec<Option<Leaf>> = columns.iter().map(stored).collect();
        let mut read: Vec<usize> = stored.iter().flatten().map(Leaf::root).collect();
        read.sort_unstable();
        let place = |leaf: Leaf| Some((read.binary_search(&leaf.root()).ok()?, leaf));
        let places = stored.into_iter().map(|leaf| leaf.and_then(place)).collect();
        let partitions = file.known.partitions.events(&file.name)?;
        let rows = footer.rows_of(&file, number, &read, settings.batch_rows)?;
        Ok(Self {
            rows,
            validator: BatchValidator::new(&columns, settings, privacy).with_partitions(&partitions)?,
            event_ids,
            rejects: Rejects::new(&file.name),
            places,
            kept: (kept.len() < columns.len()).then_some(kept),
            next_line: footer.first_line(number),
            bytes_per_row: footer.bytes_per_row(number),
            footer: footer.clone(),
            over: false,
            file,
        })
    }

    fn decode(&mut self) -> Result<Option<ReadBatch>, Error> {
        let rows = &mut self.rows;
        let Some(batch) = guard(&self.file, || Ok(rows.next().transpose()?))? else { return Ok(None) };
        let (length, first_line) = (batch.num_rows(), self.next_line);
        self.next_line += length as u64;
        let (batch, lines) = match self.footer.kept(first_line, length) {
            None => (batch, Lines::From(first_line)),
            Some(kept) => {
                let lines = kept.set_indices().map(|row| first_line + row as u64).collect();
                (filter_record_batch(&batch, &BooleanArray::new(kept, None))?, Lines::Only(lines))
            }
        };
        let values =
            |place: &Option<(usize, Leaf)>| place.as_ref().map(|(root, leaf)| leaf.values(&batch, *root)).transpose();
        let arrays = self.places.iter().map(values).collect::<Result<Vec<Option<ArrayRef>>, Error>>()?;
        let events = self.validator.validate(arrays, batch.num_rows(), &lines, &self.event_ids, &mut self.rejects)?;
        let events = match &self.kept {
            Some(kept) => events.project(kept)?,
            None => events,
        };
        let bytes_read = (length as f64 * self.bytes_per_row).round() as u64;
        Ok(Some(ReadBatch { events, rejects: self.rejects.take(), bytes_read, skipped: 0 }))
    }
}

impl UnitDecoder for RowGroupDecoder {
    fn next(&mut self) -> Option<Result<ReadBatch, Error>> {
        if self.over {
            return None;
        }
        let decoded = self.decode().transpose();
        self.over = !matches!(decoded, Some(Ok(_)));
        decoded
    }
}
