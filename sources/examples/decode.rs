//! Measures decoding batches as the ingestion API does, on one core:
//! `cargo run --release -p netcrab-sources --example decode -- [EVENTS_PER_BATCH]`.

use std::time::Instant;

use netcrab_sources::generate::{self, FileLayout};
use netcrab_sources::wire::{BatchDecoder, BatchError, DecodedBatch};
use netcrab_sources::{Error, SourceSettings};

const RECEIVED_AT_MS: i64 = 1_790_848_800_000;
const ROUNDS: usize = 10;

fn main() -> Result<(), Error> {
    let size: usize = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(500);
    let path = std::env::temp_dir().join("netcrab-decode.ndjson");
    let settings = generate::GenerateSettings { events: 200_000, orgs: 20, ..generate::GenerateSettings::default() };
    generate::write_ndjson(&path, settings, &FileLayout::default(), &mut |_| {})?;
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let batches: Vec<String> = lines
        .chunks(size)
        .map(|events| {
            let events = events.join(",");
            format!(r#"{{"agentId":"a","sdkVersion":"1","sentAt":{RECEIVED_AT_MS},"events":[{events}]}}"#)
        })
        .collect();
    println!("{} batches of {size}, {} bytes an event", batches.len(), text.len() / lines.len().max(1));

    let mut decoder = BatchDecoder::new(SourceSettings::default());
    report("fast", &batches, |body| decoder.batch(body, RECEIVED_AT_MS, size, 7));
    report("serde", &batches, |body| decoder.batch_by_serde(body, RECEIVED_AT_MS, size, 7));
    Ok(())
}

fn report(what: &str, batches: &[String], mut decode: impl FnMut(&[u8]) -> Result<DecodedBatch, BatchError>) {
    let bytes: usize = batches.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    let mut rows = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rows = batches.iter().map(|body| decode(body.as_bytes()).map_or(0, |batch| batch.events.num_rows())).sum();
        best = best.min(start.elapsed().as_secs_f64());
    }
    let (rate, throughput) = (rows as f64 / best / 1e6, bytes as f64 / best / 1e6);
    println!("{what}: {rows} events, best of {ROUNDS} rounds {rate:.2} M events/s, {throughput:.0} MB/s");
}
