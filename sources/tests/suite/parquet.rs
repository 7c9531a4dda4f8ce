//! Parquet: columns as others write them, dictionaries preserved, faults found.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use netcrab_sources::{Source, SourceSettings};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::{fault, folder, read, read_with};

pub(super) const TS: i64 = 1_790_848_800_000;

/// Columns of `rows` valid events.
pub(super) fn good(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let texts = |text: &str| Arc::new(StringArray::from(vec![text; rows])) as ArrayRef;
    let ids: StringArray = (0..rows).map(|row| Some(format!("event-{row}"))).collect();
    vec![
        ("org_id", texts("acme")),
        ("product_id", texts("crm")),
        ("session_id", texts("s1")),
        ("user_hash", texts("u1")),
        ("event_id", Arc::new(ids)),
        ("ts", Arc::new(TimestampMillisecondArray::from(vec![TS; rows]).with_timezone("UTC"))),
        ("event_type", texts("click")),
        ("screen_id", texts("leads")),
        ("route", texts("/leads/:id")),
        ("device_type", texts("desktop")),
    ]
}

/// The same columns, with some changed or added.
pub(super) fn with(rows: usize, changes: Vec<(&'static str, ArrayRef)>) -> Vec<(&'static str, ArrayRef)> {
    let mut columns = good(rows);
    for (name, array) in changes {
        match columns.iter_mut().find(|column| column.0 == name) {
            Some(column) => column.1 = array,
            None => columns.push((name, array)),
        }
    }
    columns
}

pub(super) fn write(path: &Path, columns: Vec<(&'static str, ArrayRef)>, group_rows: usize) -> PathBuf {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|column| column.1).collect())
            .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path.to_owned()
}

pub(super) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn any_type_that_can_hold_a_column_is_read() {
    let folder = folder();
    let instants: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from(vec![TS / 1000; 2])),
        Arc::new(TimestampMillisecondArray::from(vec![TS; 2])),
        Arc::new(TimestampMicrosecondArray::from(vec![TS * 1000 + 999; 2]).with_timezone("Europe/Berlin")),
        Arc::new(TimestampNanosecondArray::from(vec![TS * 1_000_000; 2])),
        Arc::new(arrow::array::Int64Array::from(vec![TS; 2])),
    ];
    for instant in instants {
        let kind = instant.data_type().clone();
        let path = write(&folder.path().join("a.parquet"), with(2, vec![("ts", instant)]), 100);
        assert_eq!(read(&path).unwrap().column("ts"), ["2026-10-01T10:00:00Z"; 2], "{kind}");
    }
    let dictionary: arrow::array::DictionaryArray<Int32Type> = ["a", "b"].into_iter().collect();
    let screens: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from(vec!["a", "b"])),
        Arc::new(LargeStringArray::from(vec!["a", "b"])),
        Arc::new(BinaryArray::from(vec![b"a".as_ref(), b"b"])),
        Arc::new(dictionary),
    ];
    for screen in screens {
        let kind = screen.data_type().clone();
        let changes = vec![
            ("screenId", screen.clone()),
            ("user_hash", screen.clone()),
            ("latency_ms", Arc::new(Float64Array::from(vec![1.5, 2.0])) as ArrayRef),
        ];
        let mut columns = with(2, changes);
        columns.retain(|column| column.0 != "screen_id");
        let path = write(&folder.path().join("a.parquet"), columns, 100);
        let read = read(&path).unwrap();
        assert_eq!(read.column("screen_id"), ["a", "b"], "{kind}");
        assert_eq!(read.column("user_hash"), ["a", "b"], "{kind}");
        assert_eq!(read.column("latency_ms"), ["1.5", "2.0"]);
    }
}

#[test]
fn columns_that_may_be_absent_are_filled() {
    let folder = folder();
    let mut columns = good(2);
    columns.retain(|column| column.0 != "event_id" && column.0 != "session_id");
    columns.push(("received_at", Arc::new(TimestampMillisecondArray::from(vec![Some(TS + 5), None]))));
    let path = write(&folder.path().join("a.parquet"), columns, 100);
    let read = read(&path).unwrap();
    assert_eq!(read.column("session_id"), ["", ""]);
    assert_eq!(read.column("received_at"), ["2026-10-01T10:00:00.005Z", "-"]);
    assert_eq!(read.column("reaction_observed"), ["false", "false"]);
    let ids = read.column("event_id");
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

#[test]
fn batches_stay_within_row_groups_and_share_their_dictionary() {
    let folder = folder();
    let rows = 5000;
    let screens: StringArray = (0..rows).map(|row| Some(format!("screen{}", row % 7))).collect();
    let path = write(&folder.path().join("a.parquet"), with(rows, vec![("screen_id", Arc::new(screens))]), 2000);
    let settings = SourceSettings { batch_rows: 512, ..SourceSettings::default() };
    let source = Arc::new(super::open(&[&path], None, settings).unwrap());
    assert_eq!((source.rows_hint(), source.files()), (Some(rows as u64), 1));
    let mut reader = source.readers(1, None).remove(0);
    let mut lengths = Vec::new();
    let mut dictionaries: Vec<ArrayRef> = Vec::new();
    while let Some(decoded) = reader.next() {
        let events = decoded.unwrap().events;
        lengths.push(events.num_rows());
        let values = events.column_by_name("screen_id").unwrap().as_dictionary::<Int32Type>().values().clone();
        if !dictionaries.iter().any(|known| Arc::ptr_eq(known, &values)) {
            dictionaries.push(values);
        }
    }
    assert_eq!(lengths, [512, 512, 512, 464, 512, 512, 512, 464, 512, 488]);
    assert_eq!(dictionaries.len(), 3);
}

#[test]
fn rows_at_fault_are_rejected_by_row_number_and_the_rest_stays() {
    let folder = folder();
    let changes = vec![
        (
            "org_id",
            texts(&[Some("acme"), Some("a b"), Some("acme"), Some("acme"), Some("acme"), Some("acme"), None, Some("")]),
        ),
        (
            "user_hash",
            texts(&[
                Some("u1"),
                Some("u1"),
                Some("ann@x.org"),
                Some("u1"),
                Some("u1"),
                Some("u1"),
                Some("u1"),
                Some("u1"),
            ]),
        ),
        (
            "event_type",
            texts(&[
                Some("click"),
                Some("tap"),
                Some("click"),
                Some("tap"),
                Some("click"),
                Some("click"),
                Some("click"),
                Some("click"),
            ]),
        ),
        (
            "latency_ms",
            Arc::new(Float64Array::from(vec![Some(1.0), None, None, None, Some(f64::NAN), None, None, None])),
        ),
        ("task_type", texts(&[None, None, None, None, None, Some("t"), None, None])),
        ("task_phase", texts(&[None, None, None, None, None, Some(""), None, Some("x")])),
        ("route", texts(&[Some("/leads/7"); 8])),
        ("segment", texts(&[Some(""); 8])),
    ];
    let path = write(&folder.path().join("a.parquet"), with(8, changes), 4);
    let read = read_with(&path, None, SourceSettings::default(), 1).unwrap();
    let mut faults = read.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "2 bad_identifier org_id",
            "3 email user_hash",
            "4 unknown_value event_type",
            "5 not_finite latency_ms",
            "6 task_incomplete task_phase",
            "7 missing_field org_id",
            "8 missing_field org_id"
        ]
    );
    assert_eq!(read.column("event_id"), ["event-0"]);
    assert_eq!(read.column("route"), ["/leads/:id"]);
    assert_eq!(read.column("segment"), ["-"]);
}

#[test]
fn absurd_times_are_rejected() {
    let folder = folder();
    let years = [-62_135_596_800_000, 253_402_214_400_000, TS, i64::MIN, i64::MAX];
    let path = write(
        &folder.path().join("a.parquet"),
        with(5, vec![("ts", Arc::new(TimestampMillisecondArray::from(years.to_vec())))]),
        100,
    );
    let read = read(&path).unwrap();
    assert_eq!(
        read.faults(),
        ["1 ts_out_of_range ts", "2 ts_out_of_range ts", "4 ts_out_of_range ts", "5 ts_out_of_range ts"]
    );
    let path = write(
        &folder.path().join("b.parquet"),
        with(1, vec![("ts", Arc::new(TimestampSecondArray::from(vec![i64::MAX])))]),
        100,
    );
    assert_eq!(super::read(&path).unwrap().faults(), ["1 ts_out_of_range ts"]);
}

#[test]
fn extra_is_checked_and_made_canonical() {
    let folder = folder();
    let extra = texts(&[Some(r#"{ "b":1, "a":2 }"#), None, Some("{}"), Some("{"), Some(r#"{"email":"x"}"#), Some("")]);
    let path = write(&folder.path().join("a.parquet"), with(6, vec![("extra", extra)]), 100);
    let read = read(&path).unwrap();
    assert_eq!(read.column("extra"), [r#"{"a":2,"b":1}"#, "-", "-", "-"]);
    assert_eq!(read.faults(), ["4 not_json extra", "5 denied_key extra"]);
}

#[test]
fn a_text_in_a_view_is_looked_at_however_short_it_is() {
    let folder = folder();
    for (address, length) in [("a@b.io", 6), ("ab@cdefg.com", 12), ("abc@cdefg.com", 13)] {
        assert_eq!(address.len(), length);
        let path = write(
            &folder.path().join("a.parquet"),
            with(2, vec![("session_id", texts(&[Some("s"), Some(address)]))]),
            100,
        );
        assert_eq!(read(&path).unwrap().faults(), ["2 email session_id"], "{address}");
    }
}

#[test]
fn columns_that_do_not_fit_are_errors_with_a_hint() {
    let folder = folder();
    let message = |columns| {
        let path = write(&folder.path().join("a.parquet"), columns, 100);
        fault(read(&path)).replace(folder.path().to_str().unwrap(), "…")
    };
    assert_eq!(
        message(with(1, vec![("screenid", texts(&[Some("x")]))])),
        "`…/a.parquet` has a column `screenid`, which no event has; nearest is `screen_id`; rename it, leave it out, or give a mapping (docs/mapping.md)"
    );
    assert_eq!(
        message(with(1, vec![("ts", Arc::new(Float64Array::from(vec![1.])))])),
        "column `ts` of `…/a.parquet` is Float64, expected a timestamp, a date, an ISO 8601 text, or whole milliseconds since 1970; write it with that type, or give a mapping"
    );
    assert_eq!(
        message(with(1, vec![("route", Arc::new(Int32Array::from(vec![1])))])),
        "column `route` of `…/a.parquet` is Int32, expected a text (UTF-8); write it with that type, or give a mapping"
    );
    assert!(message(with(1, vec![("user_email", texts(&[None]))])).contains("reads like personal data"));
    let mut columns = good(1);
    columns.remove(0);
    assert!(message(columns).starts_with("`…/a.parquet` has no column `org_id`, which every event needs"));
    assert!(message(with(1, vec![("orgId", texts(&[Some("x")]))])).contains("more than once"));
}

#[test]
fn every_row_is_read_once_by_any_number_of_readers() {
    let folder = folder();
    for part in 0..3 {
        write(&folder.path().join(format!("p{part}.parquet")), good(1000), 300);
    }
    for readers in [1, 2, 7] {
        let read = read_with(folder.path(), None, SourceSettings::default(), readers).unwrap();
        assert_eq!(read.events.num_rows(), 3000);
    }
    let source = Arc::new(super::open(&[folder.path()], None, SourceSettings::default()).unwrap());
    let rows: usize = std::thread::scope(|scope| {
        let count = |mut reader: netcrab_sources::SourceReader| {
            move || {
                std::iter::from_fn(|| reader.next()).map(|decoded| decoded.unwrap().events.num_rows()).sum::<usize>()
            }
        };
        let threads: Vec<_> =
            Source::readers(source, 4, Some(vec!["ts"])).into_iter().map(|reader| scope.spawn(count(reader))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(rows, 3000);
}

#[test]
fn an_id_that_is_made_does_not_depend_on_the_projection() {
    let folder = folder();
    let mut columns = good(2);
    columns.retain(|column| column.0 != "event_id");
    let path = write(&folder.path().join("a.parquet"), columns, 100);
    let whole = read(&path).unwrap().column("event_id");
    let source = Arc::new(super::open(&[&path], None, SourceSettings::default()).unwrap());
    let events = source.readers(1, Some(vec!["event_id"])).remove(0).next().unwrap().unwrap().events;
    assert_eq!((events.num_columns(), super::texts(&events, "event_id")), (1, whole));
}

#[test]
fn an_all_null_column_of_no_type_is_null() {
    let folder = folder();
    let path = write(
        &folder.path().join("a.parquet"),
        with(2, vec![("segment", Arc::new(arrow::array::NullArray::new(2)))]),
        100,
    );
    let read = read(&path).unwrap();
    assert_eq!(read.column("segment"), ["-", "-"]);
    assert_eq!(
        read.events.column_by_name("segment").unwrap().data_type(),
        &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
    );
}
