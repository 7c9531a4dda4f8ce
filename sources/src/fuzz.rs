//! Entry points of the fuzz targets in `sources/fuzz`; the property tests use them too.
//!
//! Each decodes arbitrary bytes as a file of one format, to the end, and checks the invariants.

use std::io::{Cursor, Read};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};

use crate::decompress::decompress;
use crate::event_id::EventIds;
use crate::listing::{Compression, FileLocation, Format, SourceFile};
use crate::read::parquet::{Footer, RowGroup, RowGroupDecoder};
use crate::read::text::TextDecoder;
use crate::read::{ReadBatch, UnitDecoder};
use crate::wire::BatchDecoder;
use crate::{Error, Mapping, SourceSettings, privacy, route as routes};

static SHOP: LazyLock<Option<Mapping>> =
    LazyLock::new(|| Mapping::parse(include_str!("../../docs/mapping-ecom.toml")).ok());
static WEBLOG: LazyLock<Option<Mapping>> =
    LazyLock::new(|| Mapping::parse(include_str!("../../docs/mapping-weblog.toml")).ok());

static JSON: LazyLock<Option<Mapping>> = LazyLock::new(|| {
    let text = "format = \"ndjson\"\nextra = [\"a\", \"a.b\", \"a.0\"]\n[constants]\norg_id = \"a\"\nproduct_id = \"p\"\n\
                device_type = \"desktop\"\nevent_type = \"click\"\nscreen_id = \"s\"\n[hash]\nuser_hash = [\"userHash\"]\n\
                [time]\ncolumn = \"ts\"";
    Mapping::parse(text).ok()
});

/// Decodes the bytes as wire JSON, and as foreign JSON.
pub fn wire(bytes: &[u8]) {
    text(bytes, Format::Ndjson, None);
    text(bytes, Format::Ndjson, JSON.as_ref());
}

/// Decodes the bytes as a batch sent to the API. Both decoders must give the same result.
pub fn batch(bytes: &[u8]) {
    static DECODERS: Mutex<Option<[BatchDecoder; 2]>> = Mutex::new(None);
    let mut decoders = DECODERS.lock().unwrap_or_else(PoisonError::into_inner);
    let [fast, by_serde] = decoders.get_or_insert_with(|| {
        [BatchDecoder::new(SourceSettings::default()), BatchDecoder::new(SourceSettings::default())]
    });
    let (received_at_ms, events_max, seed) = (1_790_848_800_000, 5, 7);
    let fast = fast.batch(bytes, received_at_ms, events_max, seed);
    let by_serde = by_serde.batch_by_serde(bytes, received_at_ms, events_max, seed);
    match (fast, by_serde) {
        (Ok(fast), Ok(by_serde)) => {
            assert_eq!(fast.events.num_rows(), fast.indexes.len());
            assert_eq!((fast.indexes, fast.faults), (by_serde.indexes, by_serde.faults));
            assert_eq!((fast.agent_id, fast.sdk_version), (by_serde.agent_id, by_serde.sdk_version));
            assert_eq!(rows(&fast.events), rows(&by_serde.events));
        }
        (fast, by_serde) => {
            let [fast, by_serde] =
                [fast, by_serde].map(|decoded| decoded.map(|_| ()).map_err(|error| error.to_string()));
            assert_eq!(fast, by_serde);
        }
    }
}

/// All values of all columns. Two dictionaries may number the same values differently.
fn rows(events: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let column = |column: &ArrayRef| -> Vec<Option<String>> {
        if let Some(numbers) = column.as_primitive_opt::<Float32Type>() {
            return numbers.iter().map(|number| number.map(|number| format!("{:x}", number.to_bits()))).collect();
        }
        let Ok(texts) = cast(column, &DataType::Utf8) else { return Vec::new() };
        texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    };
    events.columns().iter().map(column).collect()
}

/// Decodes the bytes as CSV: of event columns, and of the shop example.
pub fn csv(bytes: &[u8]) {
    text(bytes, Format::Csv, None);
    text(bytes, Format::Csv, SHOP.as_ref());
}

/// Decodes the bytes as an access log.
pub fn access_log(bytes: &[u8]) {
    text(bytes, Format::AccessLog, WEBLOG.as_ref());
}

/// Decodes the bytes as a Parquet file.
pub fn parquet(bytes: &[u8]) {
    let Ok(temporary) = tempfile(bytes) else { return };
    let file = Arc::new(file_at(&temporary.path, bytes.len(), Format::Parquet));
    let settings = Arc::new(small());
    let privacy = Arc::new(privacy::Privacy::new(&settings.privacy));
    let Ok(footer) = Footer::events(&file, &privacy).map(Arc::new) else { return };
    for number in 0..footer.groups() {
        let (group, event_ids) = (RowGroup { footer: &footer, number }, Arc::new(EventIds::of_rows(0)));
        let opened = RowGroupDecoder::open(file.clone(), group, None, settings.clone(), privacy.clone(), event_ids);
        drain(opened.map(|opened| Box::new(opened) as Box<dyn UnitDecoder>));
    }
}

/// Parses the bytes as a mapping.
pub fn mapping(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Mapping::parse(text);
    }
}

/// Templates the bytes as an address. The template of a template is itself.
pub fn route(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let once = routes::template(text).into_owned();
        assert_eq!(routes::template(&once), once, "{text:?}");
        assert!(once.len() <= routes::ROUTE_BYTES_MAX && !once.is_empty() && !once.contains('?'), "{once:?}");
    }
}

/// Decompresses the bytes as gzip and as zstd, up to a limit.
pub fn compressed(bytes: &[u8]) {
    for compression in [Compression::Gzip, Compression::Zstd] {
        if let Ok((stream, _)) = decompress(Box::new(Cursor::new(bytes.to_vec())), compression) {
            let _ = std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink());
        }
    }
}

fn small() -> SourceSettings {
    SourceSettings { batch_rows: 16, line_bytes_max: 1024, ..SourceSettings::default() }
}

fn text(bytes: &[u8], format: Format, mapping: Option<&Mapping>) {
    let Ok(temporary) = tempfile(bytes) else { return };
    let file = Arc::new(file_at(&temporary.path, bytes.len(), format));
    let settings = Arc::new(small());
    let privacy = Arc::new(privacy::Privacy::new(&settings.privacy));
    let opened = TextDecoder::open(file, mapping, None, settings, privacy, EventIds::of_rows(0));
    drain(opened.map(|opened| Box::new(opened) as Box<dyn UnitDecoder>));
}

/// Reads to the end. Every batch has the schema, and no required column has nulls.
fn drain(opened: Result<Box<dyn UnitDecoder>, Error>) {
    let Ok(mut unit) = opened else { return };
    while let Some(decoded) = unit.next() {
        let Ok(ReadBatch { events, .. }) = decoded else { continue };
        assert_eq!(events.schema(), netcrab_schema::arrow::event_in_flight());
        for (field, column) in events.schema().fields().iter().zip(events.columns()) {
            assert!(field.is_nullable() || column.logical_null_count() == 0, "{}", field.name());
        }
    }
}

fn file_at(path: &std::path::Path, length: usize, format: Format) -> SourceFile {
    SourceFile {
        name: "fuzz".to_owned(),
        relative: "fuzz".to_owned(),
        place: FileLocation::Local(path.to_owned()),
        bytes: length as u64,
        format,
        compression: Compression::None,
        etag: None,
        known: crate::table::KnownColumns::default(),
    }
}

struct TemporaryFile {
    path: std::path::PathBuf,
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn tempfile(bytes: &[u8]) -> std::io::Result<TemporaryFile> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("netcrab-fuzz-{}-{number}", std::process::id()));
    std::fs::write(&path, bytes)?;
    Ok(TemporaryFile { path })
}
