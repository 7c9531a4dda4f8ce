//! Numbers, times and texts as other programs store them in Parquet: the same value, or refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float16Array, Float64Array, Int8Array, Int64Array, LargeStringArray, ListArray, StringArray,
    StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float16Type, Int32Type, Int64Type, i256};
use netcrab_sources::{Mapping, SourceSettings};
use parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type as ParquetInt32,
    Int64Type as ParquetInt64, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::parquet::{TS, good, texts, with, write};
use super::{Read, fault, file, folder, read, read_with};

/// A half-precision float.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The Julian day of 1970-01-01.
const EPOCH_DAY: i64 = 2_440_588;

/// An INT96 as Spark, Hive and Impala write it.
fn int96(ms: i64) -> Int96 {
    let (day, nanos) = (ms.div_euclid(86_400_000) + EPOCH_DAY, ms.rem_euclid(86_400_000) * 1_000_000);
    let mut value = Int96::new();
    value.set_data(nanos as u32, (nanos >> 32) as u32, day as u32);
    value
}

/// A value as the low-level writer takes it.
enum Raw {
    Text(&'static str),
    Bytes(Vec<u8>),
    Fixed(Vec<u8>),
    I32(i32),
    I64(i64),
    I96(Int96),
}

/// Writes a file of that schema with one row for each of `rows`.
fn low_level(path: &Path, schema: &str, columns: Vec<Vec<Raw>>) -> PathBuf {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in columns {
        write_column(&mut group, column);
    }
    group.close().unwrap();
    writer.close().unwrap();
    path.to_owned()
}

fn write_column(group: &mut SerializedRowGroupWriter<'_, std::fs::File>, values: Vec<Raw>) {
    let mut column = group.next_column().unwrap().unwrap();
    let bytes = |value: &Raw| match value {
        Raw::Text(text) => ByteArray::from(*text),
        Raw::Bytes(bytes) | Raw::Fixed(bytes) => ByteArray::from(bytes.clone()),
        _ => unreachable!(),
    };
    let whole = |value: &Raw| match value {
        Raw::I32(value) => i64::from(*value),
        Raw::I64(value) => *value,
        _ => unreachable!(),
    };
    match &values[0] {
        Raw::Text(_) | Raw::Bytes(_) => {
            let values: Vec<ByteArray> = values.iter().map(bytes).collect();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        }
        Raw::Fixed(_) => {
            let values: Vec<FixedLenByteArray> = values.iter().map(|value| bytes(value).into()).collect();
            column.typed::<FixedLenByteArrayType>().write_batch(&values, None, None).unwrap();
        }
        Raw::I32(_) => {
            let values: Vec<i32> = values.iter().map(|value| whole(value) as i32).collect();
            column.typed::<ParquetInt32>().write_batch(&values, None, None).unwrap();
        }
        Raw::I64(_) => {
            let values: Vec<i64> = values.iter().map(whole).collect();
            column.typed::<ParquetInt64>().write_batch(&values, None, None).unwrap();
        }
        Raw::I96(_) => {
            let values: Vec<Int96> =
                values.iter().map(|value| if let Raw::I96(value) = value { *value } else { unreachable!() }).collect();
            column.typed::<Int96Type>().write_batch(&values, None, None).unwrap();
        }
    }
    column.close().unwrap();
}

/// A file of event columns, with the last of this type and with these values.
fn events_with(name: &str, kind: &str, values: Vec<Raw>) -> Read {
    let folder = folder();
    let given = [
        ("org_id", "acme"),
        ("product_id", "crm"),
        ("session_id", "s"),
        ("user_hash", "u"),
        ("event_type", "click"),
        ("screen_id", "home"),
        ("route", "/"),
        ("device_type", "desktop"),
    ];
    let rows = values.len();
    let mut schema = String::new();
    let mut columns = Vec::new();
    for (column, value) in given.into_iter().filter(|(column, _)| *column != name) {
        schema += &format!("REQUIRED BYTE_ARRAY {column} (UTF8); ");
        columns.push((0..rows).map(|_| Raw::Text(value)).collect());
    }
    if name != "ts" {
        schema += "REQUIRED INT64 ts (TIMESTAMP_MILLIS); ";
        columns.push((0..rows).map(|_| Raw::I64(TS)).collect());
    }
    columns.push(values);
    let schema = format!("message m {{ {schema} REQUIRED {}; }}", kind.replace('$', name));
    read(&low_level(&folder.path().join("a.parquet"), &schema, columns)).unwrap()
}

/// A mapping of Parquet with these lines of `[columns]` and of `[time]`.
fn mapping(columns: &str, time: &str) -> Mapping {
    Mapping::parse(&format!(
        "format = \"parquet\"\n[constants]\norg_id = \"acme\"\nproduct_id = \"shop\"\nevent_type = \"click\"\n\
         device_type = \"desktop\"\n[columns]\nscreen_id = \"page\"\n{columns}\n[hash]\nuser_hash = [\"page\"]\n\
         [time]\n{time}\n"
    ))
    .unwrap()
}

/// Reads a foreign file whose column `x` becomes the segment.
fn segments(x: ArrayRef) -> Read {
    let folder = folder();
    let rows = x.len();
    let columns: Vec<(&'static str, ArrayRef)> = vec![
        ("page", texts(&vec![Some("home"); rows])),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![TS; rows]).with_timezone("UTC"))),
        ("x", x),
    ];
    let path = write(&folder.path().join("a.parquet"), columns, 100);
    let mapping = mapping("segment = \"x\"", "column = \"at\"");
    read_with(&path, Some(mapping), SourceSettings::default(), 1).unwrap()
}

/// The times of a foreign file whose column `at` is the time.
fn times(at: ArrayRef, time: &str) -> Read {
    let folder = folder();
    let columns = vec![("page", texts(&vec![Some("home"); at.len()])), ("at", at)];
    let path = write(&folder.path().join("a.parquet"), columns, 100);
    let mapping = mapping("", &format!("column = \"at\"\n{time}"));
    read_with(&path, Some(mapping), SourceSettings::default(), 1).unwrap()
}

#[test]
fn int96_is_exact_and_far_away_it_is_out_of_range_and_never_another_time() {
    let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let far = [
        "1677-09-21T00:00:00Z",
        "2262-04-12T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9998-12-31T00:00:00Z",
        "2870-01-01T00:00:00Z",
    ];
    let near = ["2000-01-01T00:00:00Z", "2026-10-01T10:00:00.123Z", "2099-12-31T23:59:59.999Z"];
    let values = || near.iter().chain(&far).map(|text| Raw::I96(int96(ms(text)))).collect();
    let read = events_with("ts", "INT96 $", values());
    assert_eq!(read.column("ts"), near);
    assert_eq!(read.faults(), ["4", "5", "6", "7", "8"].map(|row| format!("{row} ts_out_of_range ts")));
    let folder = folder();
    let pages = (0..8).map(|_| Raw::Text("home")).collect();
    let schema = "message m { REQUIRED BYTE_ARRAY page (UTF8); REQUIRED INT96 at; }";
    let path = low_level(&folder.path().join("a.parquet"), schema, vec![pages, values()]);
    let mapped =
        read_with(&path, Some(mapping("", "column = \"at\"\noffset = \"+02:00\"")), SourceSettings::default(), 1);
    let mapped = mapped.unwrap();
    assert_eq!((mapped.column("ts"), mapped.rejects.len()), (near.map(str::to_owned).to_vec(), 5));
    assert!(mapped.rejects.iter().all(|reject| reject.1 == "ts_out_of_range"));
}

#[test]
fn an_int96_of_a_day_that_no_calendar_has_is_out_of_range() {
    let mut beyond = Int96::new();
    beyond.set_data(0, 0, i32::MAX as u32);
    let mut before = Int96::new();
    before.set_data(u32::MAX, u32::MAX, i32::MIN as u32);
    let read = events_with("ts", "INT96 $", vec![Raw::I96(beyond), Raw::I96(before), Raw::I96(int96(TS))]);
    assert_eq!(read.faults(), ["1 ts_out_of_range ts", "2 ts_out_of_range ts"]);
    assert_eq!(read.column("ts"), ["2026-10-01T10:00:00Z"]);
}

#[test]
fn instants_dates_and_texts_are_times() {
    let folder = folder();
    let day = (TS / 86_400_000) as i32;
    for (array, expected) in [
        (Arc::new(TimestampNanosecondArray::from(vec![TS * 1_000_000 - 1])) as ArrayRef, "2026-10-01T09:59:59.999Z"),
        (Arc::new(TimestampMicrosecondArray::from(vec![TS * 1000 + 1])), "2026-10-01T10:00:00Z"),
        (Arc::new(Date32Array::from(vec![day])), "2026-10-01T00:00:00Z"),
        (Arc::new(Date64Array::from(vec![TS])), "2026-10-01T10:00:00Z"),
        (texts(&[Some("2026-10-01T12:00:00+02:00")]), "2026-10-01T10:00:00Z"),
        (Arc::new(LargeStringArray::from(vec!["2026-10-01 10:00:00"])), "2026-10-01T10:00:00Z"),
        (Arc::new(UInt64Array::from(vec![TS as u64])), "2026-10-01T10:00:00Z"),
    ] {
        let kind = array.data_type().clone();
        let path = write(&folder.path().join("a.parquet"), with(1, vec![("ts", array)]), 100);
        assert_eq!(read(&path).unwrap().column("ts"), [expected], "{kind}");
    }
    let out = Arc::new(UInt64Array::from(vec![u64::MAX, TS as u64]));
    let path = write(&folder.path().join("a.parquet"), with(2, vec![("ts", out)]), 100);
    assert_eq!(read(&path).unwrap().faults(), ["1 ts_out_of_range ts"]);
    let bad = texts(&[Some("yesterday"), Some("2026-10-01T10:00:00Z"), Some("")]);
    let path = write(&folder.path().join("a.parquet"), with(3, vec![("ts", bad)]), 100);
    assert_eq!(read(&path).unwrap().faults(), ["1 bad_time ts", "3 missing_field ts"]);
    let far = Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN, day]));
    let path = write(&folder.path().join("a.parquet"), with(3, vec![("ts", far)]), 100);
    assert_eq!(read(&path).unwrap().faults(), ["1 ts_out_of_range ts", "2 ts_out_of_range ts"]);
}

#[test]
fn an_offset_is_for_times_without_a_zone_only() {
    let offset = "offset = \"+02:00\"";
    let civil: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![TS * 1000]));
    let zoned: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![TS * 1000]).with_timezone("Europe/Berlin"));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![(TS / 86_400_000) as i32]));
    assert_eq!(times(civil.clone(), offset).column("ts"), ["2026-10-01T08:00:00Z"]);
    assert_eq!(times(zoned.clone(), offset).column("ts"), ["2026-10-01T10:00:00Z"]);
    assert_eq!(times(day.clone(), offset).column("ts"), ["2026-09-30T22:00:00Z"]);
    assert_eq!(times(civil, "").column("ts"), ["2026-10-01T10:00:00Z"]);
    // A pattern is for texts: it must not read 2026-10-01 as the tenth of January.
    assert_eq!(times(day, "format = \"%Y-%d-%m\"").column("ts"), ["2026-10-01T00:00:00Z"]);
    assert_eq!(times(zoned, "format = \"epoch_s\"").column("ts"), ["2026-10-01T10:00:00Z"]);
    let text = times(texts(&[Some("2026-10-01T10:00:00")]), offset);
    assert_eq!(text.column("ts"), ["2026-10-01T08:00:00Z"]);
    let null = times(Arc::new(TimestampMicrosecondArray::from(vec![None, Some(TS * 1000)])), "");
    assert_eq!(null.faults(), ["1 missing_field ts"]);
}

#[test]
fn uuids_are_texts_of_36_characters() {
    let bytes: Vec<u8> = (0..16).map(|byte| byte * 17).collect();
    let text = "00112233-4455-6677-8899-aabbccddeeff";
    for name in ["session_id", "user_hash", "event_id", "segment"] {
        let uuid = events_with(name, "FIXED_LEN_BYTE_ARRAY(16) $ (UUID)", vec![Raw::Fixed(bytes.clone())]);
        assert_eq!(uuid.column(name), [text], "{name}");
    }
    let plain = events_with(
        "session_id",
        "FIXED_LEN_BYTE_ARRAY(16) $",
        vec![Raw::Fixed(b"0123456789abcdef".to_vec()), Raw::Fixed(vec![0xff; 16])],
    );
    assert_eq!(
        (plain.column("session_id"), plain.faults()),
        (vec!["0123456789abcdef".into()], vec!["2 not_utf8 session_id".into()])
    );
    let folder = folder();
    let columns = vec![vec![Raw::Text("home")], vec![Raw::I64(TS)], vec![Raw::Fixed(bytes)]];
    let schema = "message m { REQUIRED BYTE_ARRAY page (UTF8); REQUIRED INT64 at (TIMESTAMP_MILLIS); \
                  REQUIRED FIXED_LEN_BYTE_ARRAY(16) x (UUID); }";
    let path = low_level(&folder.path().join("a.parquet"), schema, columns);
    let mapping = mapping("session_id = \"x\"", "column = \"at\"");
    assert_eq!(read_with(&path, Some(mapping), SourceSettings::default(), 1).unwrap().column("session_id"), [text]);
}

#[test]
fn decimals_of_every_physical_type_keep_their_digits() {
    let big = 12_345_678_901_234_567_890_i128;
    let fixed = |value: i128, length: usize| value.to_be_bytes()[16 - length..].to_vec();
    for (kind, value, expected) in [
        ("INT32 $ (DECIMAL(9,2))", Raw::I32(-1250), "-12.50"),
        ("INT64 $ (DECIMAL(18,0))", Raw::I64(987_654_321_098_765_432), "987654321098765432"),
        ("FIXED_LEN_BYTE_ARRAY(9) $ (DECIMAL(20,0))", Raw::Fixed(fixed(big, 9)), "12345678901234567890"),
        ("FIXED_LEN_BYTE_ARRAY(16) $ (DECIMAL(38,3))", Raw::Fixed(fixed(big, 16)), "12345678901234567.890"),
        ("BYTE_ARRAY $ (DECIMAL(20,0))", Raw::Bytes(fixed(big, 9)), "12345678901234567890"),
    ] {
        let read = events_with("session_id", kind, vec![value]);
        assert_eq!(read.column("session_id"), [expected], "{kind}");
    }
    let wide = Decimal256Array::from(vec![i256::from_i128(big)]).with_precision_and_scale(50, 1).unwrap();
    assert_eq!(segments(Arc::new(wide)).column("segment"), ["1234567890123456789.0"]);
    let read = events_with("latency_ms", "INT32 $ (DECIMAL(9,2))", vec![Raw::I32(1250), Raw::I32(-1)]);
    assert_eq!(read.column("latency_ms"), ["12.5", "-0.01"]);
    let flag = Decimal128Array::from(vec![1, 0, 2]).with_precision_and_scale(1, 0).unwrap();
    let folder = folder();
    let path = write(&folder.path().join("a.parquet"), with(3, vec![("reaction_observed", Arc::new(flag))]), 100);
    let read = super::read(&path).unwrap();
    assert_eq!(
        (read.column("reaction_observed"), read.faults()),
        (vec!["true".into(), "false".into()], vec!["3 wrong_type reaction_observed".into()])
    );
}

#[test]
fn integers_beyond_what_a_float_holds_are_exact_texts() {
    let folder = folder();
    let check = |array: ArrayRef, expected: &str| {
        let path = write(&folder.path().join("a.parquet"), with(1, vec![("session_id", array.clone())]), 100);
        assert_eq!(read(&path).unwrap().column("session_id"), [expected]);
        assert_eq!(segments(array).column("segment"), [expected]);
    };
    check(Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615");
    check(Arc::new(Int64Array::from(vec![9_007_199_254_740_993])), "9007199254740993");
    check(Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808");
    check(Arc::new(Int8Array::from(vec![-7])), "-7");
    check(Arc::new(BooleanArray::from(vec![true])), "true");
    let unsigned = events_with("user_hash", "INT64 $ (UINT_64)", vec![Raw::I64(-1)]);
    assert_eq!(unsigned.column("user_hash"), ["18446744073709551615"]);
}

#[test]
fn numbers_and_booleans_of_any_type_are_read() {
    let folder = folder();
    let check = |name: &'static str, array: ArrayRef, values: &[&str], faults: &[&str]| {
        let kind = array.data_type().clone();
        let path = write(&folder.path().join("a.parquet"), with(array.len(), vec![(name, array)]), 100);
        let read = read(&path).unwrap();
        assert_eq!(read.column(name), values, "{kind}");
        assert_eq!(read.faults(), faults, "{kind}");
    };
    let half = Float16Array::from(vec![Half::from_f32(0.5), Half::NAN]);
    check("latency_ms", Arc::new(half), &["0.5"], &["2 not_finite latency_ms"]);
    check("latency_ms", Arc::new(Int8Array::from(vec![Some(5), None])), &["5.0", "-"], &[]);
    check("latency_ms", texts(&[Some("1.5"), Some("fast"), Some("")]), &["1.5", "-"], &["2 not_a_number latency_ms"]);
    check("latency_ms", Arc::new(Float64Array::from(vec![1e300])), &[], &["1 not_finite latency_ms"]);
    let flags = Int8Array::from(vec![Some(0), Some(1), Some(2), None]);
    check("task_success", Arc::new(flags), &["false", "true", "-"], &["3 wrong_type task_success"]);
    let flags = Float64Array::from(vec![Some(1.), None, Some(0.5)]);
    check("task_success", Arc::new(flags), &["true", "-"], &["3 wrong_type task_success"]);
    check(
        "task_success",
        texts(&[Some("True"), Some("no"), Some("?")]),
        &["true", "false"],
        &["3 wrong_type task_success"],
    );
}

#[test]
fn bytes_and_enums_are_texts_if_they_are_utf8() {
    let kinds = [
        ("BYTE_ARRAY $", "segment"),
        ("BYTE_ARRAY $ (ENUM)", "segment"),
        ("BYTE_ARRAY $", "user_hash"),
        ("BYTE_ARRAY $", "event_id"),
    ];
    for (kind, name) in kinds {
        let read = events_with(name, kind, vec![Raw::Text("grün"), Raw::Text("rot")]);
        assert_eq!(read.column(name), ["grün", "rot"], "{kind}");
    }
    for name in ["segment", "event_id", "user_hash"] {
        let read =
            events_with(name, "BYTE_ARRAY $", vec![Raw::Text("a"), Raw::Bytes(vec![b'b', 0xff]), Raw::Text("c")]);
        assert_eq!(
            (read.column(name), read.faults()),
            (vec!["a".into(), "c".into()], vec![format!("2 not_utf8 {name}")])
        );
    }
    let bytes = segments(Arc::new(BinaryArray::from(vec![b"a".as_ref(), b"\xff", b"c"])));
    assert_eq!((bytes.column("segment"), bytes.faults()), (vec!["a".into(), "c".into()], vec!["2 not_utf8 x".into()]));
}

#[test]
fn dictionaries_large_texts_and_times_of_day_are_texts() {
    let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    assert_eq!(segments(Arc::new(words)).column("segment"), ["a", "-", "b", "a"]);
    assert_eq!(segments(Arc::new(LargeStringArray::from(vec!["x"]))).column("segment"), ["x"]);
    let time = Time64MicrosecondArray::from(vec![(10 * 3600 + 5 * 60) * 1_000_000]);
    assert_eq!(segments(Arc::new(time)).column("segment"), ["10:05:00"]);
    let day = Date32Array::from(vec![Some((TS / 86_400_000) as i32), None]);
    assert_eq!(segments(Arc::new(day)).column("segment"), ["2026-10-01", "-"]);
    let instant = TimestampNanosecondArray::from(vec![TS * 1_000_000 + 1]);
    assert_eq!(segments(Arc::new(instant.clone())).column("segment"), ["2026-10-01T10:00:00.000000001"]);
    assert_eq!(segments(Arc::new(instant.with_timezone("UTC"))).column("segment"), ["2026-10-01T10:00:00.000000001Z"]);
    let far = segments(Arc::new(TimestampMillisecondArray::from(vec![i64::MAX, TS])));
    assert_eq!(
        (far.column("segment"), far.faults()),
        (vec!["2026-10-01T10:00:00".into()], vec!["1 ts_out_of_range x".into()])
    );
}

#[test]
fn a_list_of_one_is_its_element_and_of_more_is_refused() {
    let lists = |values: Vec<Option<Vec<Option<i64>>>>| {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(values)) as ArrayRef
    };
    let given = || lists(vec![Some(vec![Some(7)]), Some(vec![]), None, Some(vec![Some(1), Some(2)]), Some(vec![None])]);
    let mapped = segments(given());
    assert_eq!(
        (mapped.column("segment"), mapped.faults()),
        (vec!["7".into(), "-".into(), "-".into(), "-".into()], vec!["4 many_values x".into()])
    );
    let folder = folder();
    let path = write(&folder.path().join("a.parquet"), with(5, vec![("session_id", given())]), 100);
    let events = read(&path).unwrap();
    assert_eq!(
        (events.column("session_id"), events.faults()),
        (vec!["7".into(), "".into(), "".into(), "".into()], vec!["4 many_values session_id".into()])
    );
    let times = lists(vec![Some(vec![Some(TS)]), Some(vec![Some(TS), Some(TS)])]);
    let path = write(&folder.path().join("a.parquet"), with(2, vec![("ts", times)]), 100);
    assert_eq!(read(&path).unwrap().faults(), ["2 many_values ts"]);
}

#[test]
fn fields_of_structs_have_dotted_names() {
    let plan: ArrayRef = Arc::new(StringArray::from(vec![Some("pro"), Some("free"), None]));
    let ids: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 2, 3]));
    let inner = StructArray::from(vec![(Arc::new(Field::new("id", DataType::UInt64, false)), ids)]);
    let fields = vec![Field::new("plan", DataType::Utf8, true), Field::new("user", inner.data_type().clone(), true)];
    let nulls = NullBuffer::from(vec![true, false, true]);
    let context = StructArray::new(fields.into(), vec![plan, Arc::new(inner)], Some(nulls));
    let folder = folder();
    let write = |columns: Vec<(&'static str, ArrayRef)>| {
        let columns = [vec![("page", texts(&[Some("home"); 3])), ("at", good(3).remove(5).1)], columns].concat();
        super::parquet::write(&folder.path().join("a.parquet"), columns, 100)
    };
    let path = write(vec![("context", Arc::new(context.clone()))]);
    let mapped =
        |columns: &str| read_with(&path, Some(mapping(columns, "column = \"at\"")), SourceSettings::default(), 1);
    let read = mapped("segment = \"context.plan\"\nsession_id = \"context.user.id\"").unwrap();
    assert_eq!(read.column("segment"), ["pro", "-", "-"]);
    assert_eq!(read.column("session_id"), ["18446744073709551615", "", "3"]);
    assert!(fault(mapped("segment = \"context\"")).contains("`context` of"));
    assert!(fault(mapped("segment = \"context\"")).contains("is a struct, expected"));
    assert!(fault(mapped("segment = \"context.plam\"")).contains("nearest is `context.plan`"));
    // A column with the whole name has precedence.
    write(vec![("context", Arc::new(context)), ("context.plan", texts(&[Some("x"); 3]))]);
    assert_eq!(mapped("segment = \"context.plan\"").unwrap().column("segment"), ["x"; 3]);
}

#[test]
fn what_is_no_value_is_refused_with_its_kind() {
    let folder = folder();
    let path = folder.path().join("a.parquet");
    let mut maps =
        arrow::array::MapBuilder::new(None, arrow::array::StringBuilder::new(), arrow::array::Int64Builder::new());
    maps.keys().append_value("plan");
    maps.values().append_value(1);
    maps.append(true).unwrap();
    let map: ArrayRef = Arc::new(maps.finish());
    write(&path, with(1, vec![("segment", map.clone())]), 100);
    assert!(
        fault(read(&path)).contains("column `segment` of") && fault(read(&path)).contains("is a map, expected a text")
    );
    let columns = vec![("page", texts(&[Some("home")])), ("at", good(1).remove(5).1), ("x", map)];
    write(&path, columns, 100);
    let mapped = read_with(&path, Some(mapping("segment = \"x\"", "column = \"at\"")), SourceSettings::default(), 1);
    assert!(fault(mapped).contains("column `x` of"));
    let strings: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)])]));
    write(&path, with(1, vec![("event_type", strings)]), 100);
    assert!(fault(read(&path)).contains("is a list of Int64, expected a text (UTF-8)"));
}

#[test]
fn an_encrypted_file_is_refused_as_such() {
    let folder = folder();
    let path = write(&folder.path().join("a.parquet"), good(1), 100);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(b"PARE");
    let encrypted = file(&folder, "b.parquet", &bytes);
    assert!(fault(read(&encrypted)).ends_with("is an encrypted Parquet file; write it without encryption"));
    // A plain footer that names an algorithm (field 8, a struct), and pages that are ciphertext.
    let mut bytes = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(bytes[end - 8..end - 4].try_into().unwrap()) as usize;
    for byte in &mut bytes[4..end - 8 - length] {
        *byte ^= 0xa5;
    }
    let footer_end = end - 9;
    assert_eq!(bytes[footer_end], 0);
    let last = bytes[..footer_end].to_vec();
    let footer = [&last[..], &[0x0c, 16, 0x1c, 0, 0, 0], &(length as u32 + 5).to_le_bytes(), b"PAR1"].concat();
    let encrypted = file(&folder, "c.parquet", &footer);
    assert!(fault(read(&encrypted)).ends_with("is an encrypted Parquet file; write it without encryption"));
}
