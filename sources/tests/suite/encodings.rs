//! Encodings and compression of text files: told by the bytes, undone, or refused by name.

use std::io::Write;

use netcrab_sources::{Mapping, SourceSettings};

use super::{event, fault, file, folder, read, read_with};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

const HEADER: &str = "org_id,product_id,user_hash,ts,event_type,screen_id,route,device_type";
const ROW: &str = "acme,crm,u1,2026-10-01T10:00:00Z,click,Grüße,/leads,desktop";

#[test]
fn utf16_is_read_in_every_text_format() {
    let folder = folder();
    let csv = format!("{HEADER}\r\n{ROW}\r\n{ROW}\r\n");
    let json = format!("{}\n{}\n", event(""), event(""));
    for (name, text) in [("a.csv", &csv), ("a.tsv", &csv.replace(',', "\t")), ("a.ndjson", &json)] {
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let bytes = utf16(&format!("{mark}{text}"), to_bytes);
                let found = read(&file(&folder, name, &bytes)).unwrap();
                assert_eq!((found.events.num_rows(), found.rejects.len()), (2, 0), "{name}");
                let found = read(&file(&folder, &format!("{name}.gz"), gzip(&bytes))).unwrap();
                assert_eq!((found.events.num_rows(), found.rejects.len()), (2, 0), "{name}.gz");
            }
        }
    }
    let utf32: Vec<u8> = format!("\u{feff}{csv}").chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let message = fault(read(&file(&folder, "a.csv", utf32)));
    assert!(message.ends_with("a.csv` cannot be read as text (it is UTF-32); write it as UTF-8"), "{message}");
}

#[test]
fn an_encoding_stands_in_the_mapping() {
    let folder = folder();
    let mapping = |encoding: &str| {
        let text = std::fs::read_to_string("../docs/mapping-ecom.toml").unwrap();
        Mapping::parse(&format!("{encoding}\n{text}"))
    };
    let csv = |channel: &[u8]| {
        let header = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle\n";
        [header.as_bytes(), b"u,s,home,2024-03-13 10:21:14,desktop,", channel, b",c,new\n"].concat()
    };
    for (encoding, bytes, expected) in [
        ("windows-1252", &b"caf\xe9 \x80"[..], "café €"),
        ("latin1", b"caf\xe9", "café"),
        ("iso-8859-15", b"\xa4", "€"),
        ("windows-1251", b"\xcf\xf0", "Пр"),
        ("shift_jis", b"\x83e\x83X", "テス"),
        ("utf-8", "é".as_bytes(), "é"),
    ] {
        let given = mapping(&format!("encoding = \"{encoding}\"")).unwrap();
        let found = read_with(&file(&folder, "a.csv", csv(bytes)), Some(given), SourceSettings::default(), 1).unwrap();
        assert!(found.column("extra")[0].contains(expected), "{encoding}: {:?}", found.column("extra"));
    }
    let refused =
        read_with(&file(&folder, "a.csv", csv(b"caf\xe9")), Some(mapping("").unwrap()), SourceSettings::default(), 1);
    assert_eq!(refused.unwrap().faults(), ["2 not_utf8 -"]);
    let header = [&b"caf\xe9,"[..], &csv(b"")].concat();
    let message = fault(read(&file(&folder, "a.csv", header)));
    assert!(message.contains("is not UTF-8; write the file as UTF-8, or its encoding in the mapping"), "{message}");
    assert!(fault(mapping("encoding = \"ebcdic\"")).contains("`encoding` is `ebcdic`; expected utf-8,"));
}

#[test]
fn the_bytes_tell_the_compression_whatever_the_name() {
    let folder = folder();
    let line = event("") + "\n";
    for (name, bytes) in [
        ("plain.ndjson.gz", line.clone().into_bytes()),
        ("plain.ndjson.zst", line.clone().into_bytes()),
        ("packed.ndjson", gzip(line.as_bytes())),
        ("packed.json", zstd(line.as_bytes())),
        ("other.ndjson.gz", zstd(line.as_bytes())),
        ("twice.ndjson.gz", [gzip(line.as_bytes()), vec![0; 1000]].concat()),
    ] {
        let found = read(&file(&folder, name, bytes)).unwrap();
        assert_eq!((found.events.num_rows(), found.rejects.len()), (1, 0), "{name}");
    }
}

#[test]
fn what_is_packed_otherwise_is_refused_by_name() {
    let folder = folder();
    let message = |name: &str, bytes: &[u8]| {
        fault(read(&file(&folder, name, bytes))).replace(folder.path().to_str().unwrap(), "…")
    };
    let bzip2 = b"BZh91AY&SY\xf5\x47\xd5\xe3";
    assert_eq!(
        message("a.csv.bz2", bzip2),
        "`…/a.csv.bz2` is not read: bzip2 is not read; unpack it, or compress it with gzip or zstd"
    );
    assert!(message("a.csv", bzip2).contains("a.csv` is not read: bzip2"), "by its bytes");
    assert!(message("a.ndjson.gz", b"PK\x03\x04\x14\0").contains("zip is not read"));
    assert!(message("a.json.xz", b"\xfd7zXZ\0").contains("xz is not read"));
    assert!(message("a.parquet.gz", &gzip(b"PAR1")).contains("Parquet is compressed inside"));
    assert!(message("a.csv", b"PAR1\x15\x04").contains("Parquet under the name of a text is not read"));
    assert!(message("a.log.7z", b"7z").contains("7-Zip"));
}

#[test]
fn a_stream_that_is_cut_or_goes_on_with_something_else_is_an_error_after_what_came_before() {
    let folder = folder();
    let lines = (event("") + "\n").repeat(20_000);
    for pack in [gzip, zstd] {
        let whole = pack(lines.as_bytes());
        for bytes in [whole[..whole.len() - 20].to_vec(), [whole.clone(), b"\n\nhello".to_vec()].concat()] {
            let path = file(&folder, "a.ndjson", bytes);
            let source = std::sync::Arc::new(super::open(&[&path], None, SourceSettings::default()).unwrap());
            let (mut events, mut message) = (0, String::new());
            for mut reader in source.readers(1, None) {
                while let Some(decoded) = reader.next() {
                    match decoded {
                        Ok(batch) => events += batch.events.num_rows(),
                        Err(error) => message = error.to_string(),
                    }
                }
            }
            assert!(events >= 8192, "{events}");
            assert!(message.contains("stops being readable as ") && message.contains("copy it again"), "{message}");
        }
    }
}
