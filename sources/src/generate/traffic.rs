//! Generated events as batches.

use arrow::array::RecordBatch;

use super::arrivals::Arrivals;
use super::columns::GeneratedBatchBuilder;
use super::event::Event;
use super::settings::GenerateSettings;
use crate::Error;

/// Batches of all event columns, in arrival order. Ends after [`GenerateSettings::events`] rows.
#[derive(Debug)]
pub struct Traffic {
    arrivals: Arrivals,
    columns: GeneratedBatchBuilder,
    batch: Vec<Event>,
}

impl Traffic {
    /// The traffic of these settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] names the first setting that is out of its bounds.
    pub fn new(settings: GenerateSettings) -> Result<Self, Error> {
        let arrivals = Arrivals::new(settings)?;
        let columns = GeneratedBatchBuilder::new(&arrivals.world);
        let batch = Vec::with_capacity(arrivals.settings.batch_rows);
        Ok(Self { arrivals, columns, batch })
    }
}

impl Iterator for Traffic {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch.clear();
        let rows = self.arrivals.settings.batch_rows;
        self.batch.extend(self.arrivals.by_ref().take(rows));
        if self.batch.is_empty() {
            return None;
        }
        Some(self.columns.batch(&self.batch).map_err(Error::Batch))
    }
}
