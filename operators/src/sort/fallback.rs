//! Hands the rows over to DataFusion's sort, where numbers cannot sort them or the memory is used up.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use netcrab_schema::Table;

use crate::{stage, table_order};

/// A stream that can be executed once.
struct OnceStream {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for OnceStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceStream")
    }
}

impl PartitionStream for OnceStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| {
            let again = stream::once(async { Err(internal_datafusion_err!("rows are sorted once")) });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), again))
        })
    }
}

/// DataFusion's sort over `rows`, and its output.
pub(super) fn sort_with_datafusion(
    table: &Table,
    rows: SendableRecordBatchStream,
    context: Arc<TaskContext>,
) -> Result<(Arc<SortExec>, SendableRecordBatchStream)> {
    let schema = rows.schema();
    let rows = Mutex::new(Some(stage::coalesce(rows, stage::sort_batch_rows(&context))));
    let once: Arc<dyn PartitionStream> = Arc::new(OnceStream { schema: Arc::clone(&schema), rows });
    let order = table_order::order(table, &schema)?;
    let source = StreamingTableExec::try_new(schema, vec![once], None, [], false, None)?;
    let sort = Arc::new(SortExec::new(order, Arc::new(source)));
    let sorted = sort.execute(0, context)?;
    Ok((sort, sorted))
}
