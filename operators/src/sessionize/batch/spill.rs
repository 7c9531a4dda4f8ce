//! The spill file of one task.

use std::io::Write;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::SpillMetrics;

/// The spill file of one task, created when it is first written.
pub struct Spill {
    disk: Arc<DiskManager>,
    metrics: SpillMetrics,
    file: Option<(Arc<dyn SpillFile>, Box<dyn SpillWriter>)>,
    length: u64,
}

/// A range of the spill file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) length: usize,
}

impl Spill {
    /// No file yet.
    pub fn new(disk: Arc<DiskManager>, metrics: SpillMetrics) -> Self {
        Self { disk, metrics, file: None, length: 0 }
    }

    /// Bytes written so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn write(&mut self, block: &[u8]) -> Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            let file = self.disk.create_tmp_file("packed events")?;
            let writer = file.open_writer()?;
            self.metrics.spill_file_count.add(1);
            self.file = Some((file, writer));
        }
        let Some((_, writer)) = &mut self.file else { return Ok(()) };
        writer.write_all(block).map_err(DataFusionError::IoError)?;
        self.length += block.len() as u64;
        self.metrics.spilled_bytes.add(block.len());
        Ok(())
    }

    /// Counts rows that were written.
    pub(crate) fn add_rows(&self, rows: usize) {
        self.metrics.spilled_rows.add(rows);
    }

    /// The complete file, where anything was spilled; dropping it removes it.
    ///
    /// # Errors
    /// Where the file cannot be flushed.
    pub fn finish(self) -> Result<Option<Arc<dyn SpillFile>>> {
        let Some((file, mut writer)) = self.file else { return Ok(None) };
        writer.flush().map_err(DataFusionError::IoError)?;
        writer.finish()?;
        Ok(Some(file))
    }
}
