//! Decodes one row group of event columns.

use std::sync::Arc;

use arrow::array::ArrayRef;
use netcrab_schema::Column;
use netcrab_schema::events::EVENT;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::footer::Footer;
use super::guard::guard;
use crate::event_columns::project;
use crate::event_id::EventIds;
use crate::listing::SourceFile;
use crate::privacy::Privacy;
use crate::read::{ReadBatch, UnitDecoder};
use crate::reject::Rejects;
use crate::validate::BatchValidator;
use crate::{Error, SourceSettings};

/// Decodes one row group.
pub(crate) struct RowGroupDecoder {
    file: Arc<SourceFile>,
    rows: ParquetRecordBatchReader,
    validator: BatchValidator,
    event_ids: Arc<EventIds>,
    rejects: Rejects,
    /// For each column of the batch, its index among the columns read.
    places: Vec<Option<usize>>,
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
        footer: &Footer,
        group: usize,
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
            EVENT.iter().position(|event| event.name == column.name).and_then(|at| footer.places[at])
        };
        let stored: Vec<Option<usize>> = columns.iter().map(stored).collect();
        let mut read: Vec<usize> = stored.iter().flatten().copied().collect();
        read.sort_unstable();
        let places = stored.iter().map(|place| place.and_then(|place| read.binary_search(&place).ok())).collect();
        let rows = footer.rows_of(&file, group, &read, settings.batch_rows)?;
        Ok(Self {
            rows,
            validator: BatchValidator::new(&columns, settings, privacy),
            event_ids,
            rejects: Rejects::new(&file.name),
            places,
            kept: (kept.len() < columns.len()).then_some(kept),
            next_line: footer.first_line(group),
            bytes_per_row: footer.bytes_per_row(group),
            over: false,
            file,
        })
    }

    fn decode(&mut self) -> Result<Option<ReadBatch>, Error> {
        let rows = &mut self.rows;
        let Some(batch) = guard(&self.file, || Ok(rows.next().transpose()?))? else { return Ok(None) };
        let (length, first_line) = (batch.num_rows(), self.next_line);
        let arrays: Vec<Option<ArrayRef>> =
            self.places.iter().map(|place| place.map(|place| batch.column(place).clone())).collect();
        self.next_line += length as u64;
        let events = self.validator.validate(arrays, length, first_line, &self.event_ids, &mut self.rejects)?;
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
