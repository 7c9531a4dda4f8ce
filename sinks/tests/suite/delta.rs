//! What only Delta tables promise.

use netcrab_schema::tables::{DIM_RELEASES, FACT_SESSIONS};
use netcrab_sinks::delta::DeltaSink;
use netcrab_sinks::{Error, RunId, Sink};
use url::Url;

fn no_rows(table: &'static netcrab_schema::Table) -> datafusion::execution::SendableRecordBatchStream {
    let batches = futures::stream::empty();
    Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(table.in_flight(), batches))
}

#[tokio::test]
async fn a_table_with_another_schema_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let sink = DeltaSink::new(Url::from_directory_path(folder.path()).unwrap());
    sink.stage(&DIM_RELEASES, &RunId::new(1), no_rows(&DIM_RELEASES)).await.unwrap();
    std::fs::rename(folder.path().join("dim_releases"), folder.path().join("fact_sessions")).unwrap();
    let fault = sink.stage(&FACT_SESSIONS, &RunId::new(1), no_rows(&FACT_SESSIONS)).await.unwrap_err();
    assert!(matches!(fault, Error::Schema { table: "fact_sessions", .. }), "{fault}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    let sink = DeltaSink::new(Url::from_directory_path(&file).unwrap());
    let fault = sink.stage(&DIM_RELEASES, &RunId::new(1), no_rows(&DIM_RELEASES)).await.unwrap_err();
    assert!(fault.to_string().contains("a-file"), "{fault}");
}
