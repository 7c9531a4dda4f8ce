//! Measures generating, writing and reading on this machine: `cargo run --release -p netcrab-sources --example reading_speed -- FOLDER EVENTS`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use netcrab_sources::generate::{self, Traffic};
use netcrab_sources::{Error, Source, SourceSettings};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments.next().unwrap_or_else(|| std::env::temp_dir().join("netcrab-speed").display().to_string()),
    );
    let events = arguments.next().and_then(|events| events.parse().ok()).unwrap_or(1_000_000);
    let settings = generate::GenerateSettings { events, orgs: 20, ..generate::GenerateSettings::default() };

    let start = Instant::now();
    let rows: usize =
        Traffic::new(settings.clone())?.map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<_, _>>()?;
    report("generate", rows, 0, start);

    for (name, parquet) in [("parquet", true), ("ndjson", false)] {
        let path = folder.join(name);
        if !path.exists() {
            let start = Instant::now();
            let layout = generate::FileLayout { ndjson_ending: "ndjson".to_owned(), ..generate::FileLayout::default() };
            let mut quiet = |_| {};
            let written = match parquet {
                true => generate::write_parquet(&path, settings.clone(), &layout, &mut quiet)?,
                false => generate::write_ndjson(&path, settings.clone(), &layout, &mut quiet)?,
            };
            report(&format!("write {name}"), written.events as usize, 0, start);
        }
        for threads in [1, 2] {
            let start = Instant::now();
            let source = Arc::new(Source::open(&[path.display().to_string()], None, SourceSettings::default()).await?);
            let (bytes, readers) = (source.bytes(), source.readers(threads, None));
            let rows = std::thread::scope(|scope| {
                let work = |mut reader: netcrab_sources::SourceReader| {
                    move || {
                        let mut rows = 0;
                        while let Some(decoded) = reader.next() {
                            let decoded = decoded?;
                            assert!(decoded.rejects.is_none(), "{:?}", decoded.rejects);
                            rows += decoded.events.num_rows();
                        }
                        Ok::<usize, Error>(rows)
                    }
                };
                let threads: Vec<_> = readers.into_iter().map(|reader| scope.spawn(work(reader))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<Result<usize, Error>>()
            })?;
            report(&format!("read {name}, {threads} threads"), rows, bytes, start);
        }
    }
    let source = Source::open(&[folder.join("parquet").display().to_string()], None, SourceSettings::default()).await?;
    let start = Instant::now();
    source.fingerprint();
    report("fingerprint parquet", 0, source.bytes(), start);
    Ok(())
}

fn report(what: &str, rows: usize, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let (rows_rate, bytes_rate) = (rows as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
    println!("{what}: {rows} rows in {seconds:.3} s, {rows_rate:.2} M rows/s, {bytes_rate:.0} MB/s");
}
