//! Generated traffic is as requested, the same for the same seed, and readable.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use netcrab_sources::SourceSettings;
use netcrab_sources::generate::{self, FileLayout, Traffic, write_ndjson, write_parquet};

use super::{folder, read, read_with, texts};

fn settings(events: u64) -> generate::GenerateSettings {
    generate::GenerateSettings { events, ..generate::GenerateSettings::default() }
}

fn batches(settings: generate::GenerateSettings) -> Vec<RecordBatch> {
    Traffic::new(settings).unwrap().map(Result::unwrap).collect()
}

fn all(batches: &[RecordBatch], column: &str) -> Vec<String> {
    batches.iter().flat_map(|batch| texts(batch, column)).collect()
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let (one, two) = (batches(settings(20_000)), batches(settings(20_000)));
    assert_eq!(one, two);
    assert_ne!(one, batches(generate::GenerateSettings { seed: 2, ..settings(20_000) }));
    let small = batches(generate::GenerateSettings { batch_rows: 100, ..settings(20_000) });
    assert_eq!(all(&one, "event_id"), all(&small, "event_id"));
}

#[test]
fn as_many_events_as_asked_for_in_order_of_arrival() {
    for events in [1, 10, 999, 50_000] {
        let batches = batches(settings(events));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, events);
        assert!(batches.iter().all(|batch| batch.schema() == netcrab_schema::arrow::event_in_flight()));
        let received = batches.iter().flat_map(|batch| {
            batch.column_by_name("received_at").unwrap().as_primitive::<TimestampMillisecondType>().values().to_vec()
        });
        assert!(received.collect::<Vec<_>>().is_sorted());
    }
}

#[test]
fn traffic_has_the_shape_of_traffic() {
    let batches = batches(settings(200_000));
    let sessions: HashSet<String> = all(&batches, "session_id").into_iter().collect();
    let mean = 200_000.0 / sessions.len() as f64;
    assert!((20.0..30.0).contains(&mean), "{mean} events per session");
    let ids: HashSet<String> = all(&batches, "event_id").into_iter().collect();
    let repeats = 1.0 - ids.len() as f64 / 200_000.0;
    assert!((0.005..0.015).contains(&repeats), "{repeats} repeats");
    let mut visits: HashMap<String, HashSet<String>> = HashMap::new();
    for (user, session) in all(&batches, "user_hash").into_iter().zip(all(&batches, "session_id")) {
        visits.entry(user).or_default().insert(session);
    }
    assert!(sessions.len() as f64 / visits.len() as f64 > 2.0);
    let late = batches.iter().map(|batch| {
        let of = |name: &str| {
            batch.column_by_name(name).unwrap().as_primitive::<TimestampMillisecondType>().values().to_vec()
        };
        of("received_at").iter().zip(of("ts")).filter(|(received, ts)| **received - ts > 60_000).count()
    });
    let late = late.sum::<usize>() as f64 / 200_000.0;
    assert!((0.005..0.02).contains(&late), "{late} late");
    let hours = all(&batches, "ts").into_iter().fold(BTreeMap::new(), |mut hours: BTreeMap<String, usize>, ts| {
        *hours.entry(ts[11..13].to_owned()).or_default() += 1;
        hours
    });
    assert!(hours["10"] > 5 * hours["03"], "{hours:?}");
    for (column, least) in [
        ("task_phase", 2),
        ("version_tag", 4),
        ("segment", 4),
        ("event_type", 6),
        ("device_type", 3),
        ("error_code", 6),
    ] {
        let values: HashSet<String> = all(&batches, column).into_iter().filter(|value| value != "-").collect();
        assert!(values.len() >= least, "{column}: {values:?}");
    }
}

#[test]
fn one_product_has_clearly_the_worst_screen_and_a_release_makes_it_worse() {
    let batches = batches(settings(300_000));
    let columns =
        ["product_id", "screen_id", "version_tag", "event_type", "error_code"].map(|column| all(&batches, column));
    let rate = |wanted: &dyn Fn(usize) -> bool| {
        let rows: Vec<usize> = (0..300_000).filter(|row| wanted(*row)).collect();
        rows.iter().filter(|row| columns[4][**row] != "-").count() as f64 / rows.len() as f64
    };
    let billing = |row: usize| columns[0][row] == "acme-crm" && columns[1][row] == "billing";
    let worst = rate(&billing);
    let usual = rate(&|row| !billing(row));
    let (before, after) = (
        rate(&|row| billing(row) && columns[2][row] == "2.2.0"),
        rate(&|row| billing(row) && columns[2][row] == "2.3.0"),
    );
    assert!(worst > 3.0 * usual, "{worst} against {usual}");
    assert!(after > 1.3 * before, "{after} after {before}");
}

#[test]
fn what_is_written_is_read_back() {
    let folder = folder();
    let layout = FileLayout { rows_per_file: 4000, row_group_rows: 1500, ..FileLayout::default() };
    let (parquet, ndjson) = (folder.path().join("p"), folder.path().join("n"));
    let mut told = Vec::new();
    let written = write_parquet(&parquet, settings(10_000), &layout, &mut |events| told.push(events)).unwrap();
    assert_eq!((written.files.len(), written.events, told.last()), (3, 10_000, Some(&10_000)));
    let made = batches(settings(10_000));
    let rows = read_with(&parquet, None, SourceSettings::default(), 1).unwrap();
    assert_eq!((rows.events.num_rows(), rows.rejects.len()), (10_000, 0));
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    let written = write_ndjson(&ndjson, settings(10_000), &layout, &mut |_| {}).unwrap();
    assert_eq!((written.files.len(), written.events), (3, 10_000));
    let lines = read(&ndjson).unwrap();
    assert_eq!((lines.events.num_rows(), lines.faults()), (10_000, vec![]));
    for column in netcrab_schema::events::EVENT {
        let expected = sorted(all(&made, column.name));
        assert!(sorted(rows.column(column.name)) == expected, "parquet {}", column.name);
        if column.name != "received_at" {
            assert!(sorted(lines.column(column.name)) == expected, "ndjson {}", column.name);
        }
    }
    for ending in ["ndjson.gz", "ndjson", "jsonl.zst"] {
        let path = folder.path().join(format!("one.{ending}"));
        assert_eq!(
            write_ndjson(&path, settings(100), &layout, &mut |_| {}).unwrap().files,
            std::slice::from_ref(&path)
        );
        assert_eq!(read(&path).unwrap().events.num_rows(), 100);
    }
}

#[test]
fn settings_that_no_traffic_fits_are_refused() {
    for wrong in [
        generate::GenerateSettings { orgs: 0, ..settings(1) },
        generate::GenerateSettings { days: 0, ..settings(1) },
        generate::GenerateSettings { batch_rows: 0, ..settings(1) },
        generate::GenerateSettings { from: jiff::civil::date(1999, 1, 1), ..settings(1) },
    ] {
        assert!(Traffic::new(wrong).is_err());
    }
    assert_eq!(Traffic::new(settings(0)).unwrap().count(), 0);
}
