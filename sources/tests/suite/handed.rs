//! Inputs made after public bug reports of tools that do this job; each lies beside its expected result in
//! `../shared/data/cases`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use netcrab_sources::wire::BatchDecoder;
use netcrab_sources::{Mapping, Source, SourceSettings, WhyLeftOut};

use super::example_files::shared;
use super::{Read, fault, open, read, read_with, texts};

fn case(name: &str) -> Option<PathBuf> {
    shared(&format!("cases/{name}"))
}

fn mapping(of: &Path) -> Mapping {
    Mapping::parse(&std::fs::read_to_string(of.join("map.toml")).unwrap()).unwrap()
}

fn read_mapped(case: &Path, input: &str) -> Read {
    read_with(&case.join(input), Some(mapping(case)), SourceSettings::default(), 1).unwrap()
}

/// `name why` of each file that is left out.
fn left_out(source: &Source) -> Vec<String> {
    let name = |file: &str| file.rsplit('/').next().unwrap_or(file).to_owned();
    source.left_out().iter().map(|left| format!("{} {}", name(&left.file), left.why.name())).collect()
}

#[test]
fn case_10_days_without_rows_give_nothing_and_are_named() {
    let Some(case) = case("10-csv-empty-in-folder") else { return };
    for (folder, expected) in [
        ("in", "tue.csv no_rows"),
        ("zero", "wed.csv empty"),
        ("zerogz", "thu.csv.gz empty"),
        ("zeroraw", "fri.csv.gz empty"),
    ] {
        let read = read_mapped(&case, folder);
        assert_eq!((read.events.num_rows(), read.rejects.len()), (4, 0), "{folder}");
        let source = open(&[&case.join(folder)], Some(mapping(&case)), SourceSettings::default()).unwrap();
        assert_eq!(left_out(&source), [expected]);
    }
}

#[test]
fn case_14_utf16_and_semicolons_are_read_and_other_bytes_are_refused_by_row() {
    let Some(case) = case("14-csv-utf16-semicolon") else { return };
    for folder in ["u16", "semi"] {
        let read = read_mapped(&case, folder);
        assert_eq!(read.column("screen_id"), ["page0", "page1", "page2", "page3"], "{folder}");
        assert!(read.rejects.is_empty(), "{folder}");
    }
    let read = read_mapped(&case, "cp1252");
    assert_eq!((read.events.num_rows(), read.faults()), (4, vec!["6 not_utf8 -".to_owned()]));
    let text = std::fs::read_to_string(case.join("map.toml")).unwrap();
    let mapping = Mapping::parse(&format!("encoding = \"windows-1252\"\n{text}")).unwrap();
    let read = read_with(&case.join("cp1252"), Some(mapping), SourceSettings::default(), 1).unwrap();
    assert_eq!(read.column("screen_id"), ["page0", "page1", "page2", "page3", "café"]);
    let mapping = Mapping::parse(&format!("delimiter = \",\"\n{text}")).unwrap();
    let refused = fault(open(&[&case.join("semi")], Some(mapping), SourceSettings::default()));
    assert!(refused.ends_with("is one field with `;` in it; write `delimiter = \";\"` in the mapping"), "{refused}");
}

#[test]
fn case_16_members_frames_and_padding_are_read_whole_and_a_cut_is_an_error() {
    let Some(case) = case("16-gzip-members") else { return };
    for file in ["members.ndjson.gz", "frames.ndjson.zst", "padded.ndjson.gz"] {
        let read = read(&case.join(file)).unwrap();
        assert_eq!((read.events.num_rows(), read.rejects.len()), (20, 0), "{file}");
    }
    let cut = fault(read(&case.join("cut.ndjson.gz")));
    assert!(cut.contains("stops being readable as gzip after line "), "{cut}");
}

#[test]
fn case_17_objects_are_read_however_they_follow_each_other() {
    let Some(case) = case("17-ndjson-glued") else { return };
    let ids = |numbers: std::ops::Range<usize>| numbers.map(|number| format!("e{number}")).collect::<Vec<_>>();
    for (file, expected) in [
        ("glued.ndjson", [ids(0..5), ids(9..10)].concat()),
        ("array.json", ids(0..5)),
        ("crlf.ndjson", ids(0..5)),
        ("pretty.json", ids(1..2)),
    ] {
        let read = read(&case.join(file)).unwrap();
        assert_eq!((read.column("event_id"), read.rejects.len()), (expected, 0), "{file}");
    }
}

#[test]
fn case_24_half_an_emoji_becomes_the_replacement_character() {
    let Some(case) = case("24-lone-surrogate") else { return };
    let screens = ["scr1", "Save \u{fffd}", "nul\0here", "scr1"];
    let read = read(&case.join("e.ndjson")).unwrap();
    assert_eq!((read.column("screen_id"), read.rejects.len()), (screens.map(str::to_owned).to_vec(), 0));
    let body = std::fs::read_to_string(case.join("body.json")).unwrap().replace("@NOW@", "2026-11-12T10:00:00Z");
    let mut decoder = BatchDecoder::new(SourceSettings::default());
    let batch = decoder.batch(body.as_bytes(), 1_794_477_600_000, 1000, 7).unwrap();
    assert_eq!((texts(&batch.events, "screen_id"), batch.faults.len()), (screens.map(str::to_owned).to_vec(), 0));
}

#[test]
fn case_32_what_a_folder_holds_and_is_not_read_is_named() {
    let Some(case) = case("32-folder-other-endings") else { return };
    let source = Arc::new(open(&[&case.join("in")], None, SourceSettings::default()).unwrap());
    assert_eq!(source.files(), 3);
    assert_eq!(
        left_out(&source),
        ["jul.csv.xz compression", "mar.csv.bz2 compression", "may.csv.zip compression", "part-00000 unknown_ending"]
    );
    assert_eq!(source.left_out()[0].why, WhyLeftOut::Compression("xz"));
    let mut months = read(&case.join("in")).unwrap().column("event_id");
    months.sort();
    assert_eq!(months, ["e1", "e2", "e4"]);
}

#[test]
fn case_34_an_array_of_one_agent_tells_two_visitors_apart() {
    let Some(case) = case("34-caddy-json") else { return };
    let read = read_mapped(&case, "access.json");
    assert!(read.rejects.is_empty(), "{:?}", read.faults());
    let mut visitors: Vec<(String, String)> =
        read.column("user_hash").into_iter().zip(read.column("device_type")).collect();
    visitors.sort();
    visitors.dedup();
    let devices: Vec<&str> = visitors.iter().map(|(_, device)| device.as_str()).collect();
    assert_eq!(devices.len(), 2, "{visitors:?}");
    assert!(devices.contains(&"mobile") && devices.contains(&"desktop"), "{visitors:?}");
}

#[test]
fn case_36_a_key_that_no_row_has_is_an_error_that_names_the_nearest() {
    let Some(case) = case("36-ndjson-mapping-typo") else { return };
    let refused = fault(read_with(&case.join("e.ndjson"), Some(mapping(&case)), SourceSettings::default(), 1));
    assert_eq!(
        refused,
        "mapping: no row of the source has `sesion`; nearest is `session`; correct the mapping, or list `sesion` in `optional` if rows may lack it"
    );
    let text = std::fs::read_to_string(case.join("map.toml")).unwrap().replace("sesion", "session");
    let mapping = Mapping::parse(&text).unwrap();
    let read = read_with(&case.join("e.ndjson"), Some(mapping), SourceSettings::default(), 1).unwrap();
    assert_eq!(read.column("session_id"), ["s0", "s1", "s0", "s1"]);
    assert_eq!(read.column("segment"), ["pro"; 4], "an array of one element is that element");
}
