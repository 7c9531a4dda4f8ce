//! Where the time of reading Parquet goes: `scan -- FOLDER read|bare|fields`.
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let mode = std::env::args().nth(2).unwrap();
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    if mode == "read" {
        let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        for _ in 0..3 {
            let start = Instant::now();
            let source = Arc::new(
                rt.block_on(netcrab_sources::Source::open(&[folder.clone()], None, Default::default())).unwrap(),
            );
            let mut rows = 0;
            for mut reader in source.readers(1, None) {
                while let Some(d) = reader.next() {
                    rows += d.unwrap().events.num_rows();
                }
            }
            println!("read {rows} {:.3}", start.elapsed().as_secs_f64());
        }
        return;
    }
    let run = |only: Option<usize>| {
        let start = Instant::now();
        let mut rows = 0;
        for path in &paths {
            let file = bytes::Bytes::from(std::fs::read(path).unwrap());
            let stored = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
            let event = netcrab_schema::arrow::event_in_flight();
            let fields: Vec<Field> = stored
                .schema()
                .fields()
                .iter()
                .map(|f| {
                    let t = event.field_with_name(f.name()).unwrap().data_type().clone();
                    f.as_ref().clone().with_data_type(t)
                })
                .collect();
            let _: &DataType = fields[0].data_type();
            let meta =
                ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields))))
                    .unwrap();
            for group in 0..meta.metadata().num_row_groups() {
                let mut b = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), meta.clone())
                    .with_row_groups(vec![group])
                    .with_batch_size(8192);
                if let Some(only) = only {
                    let m = ProjectionMask::roots(b.parquet_schema(), [only]);
                    b = b.with_projection(m);
                }
                for batch in b.build().unwrap() {
                    rows += batch.unwrap().num_rows();
                }
            }
        }
        (rows, start.elapsed().as_secs_f64())
    };
    if mode == "bare" {
        for _ in 0..3 {
            println!("bare {:?}", run(None));
        }
    } else {
        for (i, c) in netcrab_schema::events::EVENT.iter().enumerate() {
            println!("{:20} {:.4}", c.name, run(Some(i)).1);
        }
    }
}
