//! Columns in the names of folders, over every format.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use netcrab_sources::{Mapping, SourceSettings};

use super::example_files::shared;
use super::parquet::{good, texts, with, write};
use super::{Read, event, fault, file, folder, open, read, read_with};

const HEADER: &str = "org_id,product_id,session_id,user_hash,event_id,ts,event_type,screen_id,route,device_type";
const ROW: &str = "acme,crm,s1,u1,e1,2026-10-01T10:00:00Z,click,leads,/,desktop";

/// A mapping of Parquet or CSV that takes the segment from `cohort`.
fn mapping(format: &str) -> Mapping {
    Mapping::parse(&format!(
        "format = \"{format}\"\n[constants]\norg_id = \"acme\"\nproduct_id = \"shop\"\nevent_type = \"navigation\"\n\
         device_type = \"desktop\"\n[columns]\nscreen_id = \"page\"\nsegment = \"cohort\"\n[hash]\nuser_hash = [\"user\"]\n\
         [time]\ncolumn = \"at\"\n"
    ))
    .unwrap()
}

fn sorted(read: &Read, column: &str) -> Vec<String> {
    let mut values = read.column(column);
    values.sort();
    values
}

/// Writes a Parquet file of one event without these columns.
fn parquet(folder: &tempfile::TempDir, name: &str, without: &[&str], more: Vec<(&'static str, ArrayRef)>) {
    let path = file(folder, name, "");
    let mut columns = with(1, more);
    columns.retain(|column| !without.contains(&column.0));
    write(&path, columns, 100);
}

#[test]
fn case_18_the_folders_that_spark_made_give_version_segment_and_organisation() {
    let Some(case) = shared("cases/18-parquet-hive") else { return };
    let versions = read(&case.join("in")).unwrap();
    let mut seen = sorted(&versions, "version_tag");
    seen.dedup();
    assert_eq!(seen, ["2.3", "2.4"]);
    assert!(versions.rejects.is_empty());
    assert_eq!(read(&case.join("csvpart")).unwrap().column("segment"), ["new"]);
    let required = read(&case.join("req")).unwrap();
    assert!(required.events.num_rows() > 0 && required.rejects.is_empty());
    assert_eq!(required.count("org_id", "acme"), required.events.num_rows());
}

#[test]
fn every_format_has_the_columns_of_its_folders() {
    let folder = folder();
    parquet(&folder, "in/segment=new/a.parquet", &[], vec![]);
    file(&folder, "in/segment=old/b.csv", format!("{HEADER}\n{ROW}\n"));
    file(&folder, "in/segment=a%2Fb/c.ndjson", event("") + "\n");
    file(&folder, "in/segment=__HIVE_DEFAULT_PARTITION__/d.jsonl", event("") + "\n");
    file(&folder, "in/segment=x/_temporary/0/e.ndjson", "no event");
    file(&folder, "in/_SUCCESS", "");
    file(&folder, "in/segment=x/.f.parquet.crc", "crc");
    let read = read(&folder.path().join("in")).unwrap();
    assert_eq!(sorted(&read, "segment"), ["-", "a/b", "new", "old"]);
    assert!(read.rejects.is_empty(), "{:?}", read.faults());
}

#[test]
fn a_required_column_may_be_in_the_name_of_a_folder_only() {
    let folder = folder();
    parquet(&folder, "orgId=acme/product_id=crm/a.parquet", &["org_id", "product_id"], vec![]);
    let header = HEADER.replace("org_id,product_id,", "");
    file(&folder, "orgId=acme/product_id=desk/b.csv", format!("{header}\n{}\n", ROW.replace("acme,crm,", "")));
    let line = event("").replace(r#""orgId":"acme","productId":"crm","#, "");
    file(&folder, "orgId=acme/product_id=erp/c.ndjson", line + "\n");
    let read = read(folder.path()).unwrap();
    assert_eq!(sorted(&read, "product_id"), ["crm", "desk", "erp"]);
    assert_eq!((read.count("org_id", "acme"), read.rejects.len()), (3, 0));
}

#[test]
fn times_and_booleans_in_folders_are_of_their_type() {
    let folder = folder();
    let name = "ts=2026-10-02%2000%3A00%3A00/reaction_observed=true/latency_ms=1.5/a.parquet";
    parquet(&folder, name, &["ts"], vec![]);
    let read = read(folder.path()).unwrap();
    assert_eq!(read.column("ts"), ["2026-10-02T00:00:00Z"]);
    assert_eq!(
        (read.column("reaction_observed"), read.column("latency_ms")),
        (vec!["true".into()], vec!["1.5".into()])
    );
}

#[test]
fn a_folder_that_is_no_event_column_is_a_folder() {
    let folder = folder();
    parquet(&folder, "year=2026/month=10/date=2026-10-01/a.parquet", &[], vec![]);
    file(&folder, "dt=2026-10-01/email=ann%40x.org/b.ndjson", event("") + "\n");
    assert_eq!(read(folder.path()).unwrap().events.num_rows(), 2);
}

#[test]
fn a_part_of_the_folders_is_read_like_all_of_them() {
    let folder = folder();
    parquet(&folder, "version_tag=2.3/segment=new/a.parquet", &[], vec![]);
    for part in ["", "version_tag=2.3", "version_tag=2.3/segment=new", "version_tag=2.3/segment=new/a.parquet"] {
        let read = read(&folder.path().join(part)).unwrap();
        assert_eq!(
            (read.column("version_tag"), read.column("segment")),
            (vec!["2.3".into()], vec!["new".into()]),
            "{part}"
        );
    }
}

#[test]
fn a_row_that_contradicts_its_folder_is_rejected_and_one_that_agrees_is_not() {
    let folder = folder();
    let segments = texts(&[Some("new"), Some("old"), None, Some("")]);
    let path = file(&folder, "segment=new/a.parquet", "");
    write(&path, with(4, vec![("segment", segments)]), 100);
    let from_parquet = read(&path).unwrap();
    assert_eq!(from_parquet.faults(), ["2 partition_mismatch segment"]);
    assert_eq!(from_parquet.column("segment"), ["new", "new", "new"]);
    let rows = ["new", "old", ""].map(|segment| format!("{ROW},{segment}\n")).concat();
    let path = file(&folder, "segment=new/b.csv", format!("{HEADER},segment\n{rows}"));
    let from_csv = read(&path).unwrap();
    assert_eq!(
        (from_csv.faults(), from_csv.column("segment")),
        (vec!["3 partition_mismatch segment".into()], vec!["new".into(); 2])
    );
    let null =
        file(&folder, "segment=__HIVE_DEFAULT_PARTITION__/c.ndjson", event(r#","segment":"new""#) + "\n" + &event(""));
    assert_eq!(read(&null).unwrap().faults(), ["1 partition_mismatch segment"]);
    let routes = file(&folder, "route=%2Fleads%2F7/d.parquet", "");
    write(&routes, with(2, vec![("route", texts(&[Some("/leads/7"), Some("/deals")]))]), 100);
    let routes = read(&routes).unwrap();
    assert_eq!(
        (routes.faults(), routes.column("route")),
        (vec!["2 partition_mismatch route".into()], vec!["/leads/:id".into()])
    );
}

#[test]
fn personal_data_in_a_folder_is_refused_like_in_a_column() {
    let folder = folder();
    parquet(&folder, "segment=ann%40x.org/a.parquet", &[], vec![]);
    file(&folder, "segment=ann%40x.org/b.ndjson", event("") + "\n");
    let read = read(folder.path()).unwrap();
    assert_eq!(read.faults(), ["1 email segment", "1 email segment"]);
    assert_eq!(read.events.num_rows(), 0);
}

#[test]
fn folders_that_cannot_be_columns_are_errors() {
    let folder = folder();
    let check = |name: &str, expected: &str| {
        let path = file(&folder, name, event("") + "\n");
        let message = fault(read(&path)).replace(folder.path().to_str().unwrap(), "…");
        assert_eq!(message, expected);
    };
    check(
        "segment=a/segment=b/c.ndjson",
        "the folders of `…/segment=a/segment=b/c.ndjson` give the column `segment` two values; rename the folder, or move the file",
    );
    check(
        "taskSuccess=perhaps/c.ndjson",
        "the folders of `…/taskSuccess=perhaps/c.ndjson` give the column `taskSuccess` a value that is refused as wrong_type; rename the folder, or move the file",
    );
}

#[test]
fn a_mapping_names_folders_like_columns() {
    let folder = folder();
    file(&folder, "cohort=a%20b/p.csv", "user,page,at\nann,home,2026-10-01T10:00:00Z\n");
    file(&folder, "cohort=__HIVE_DEFAULT_PARTITION__/p.csv", "user,page,at\nann,home,2026-10-01T10:00:00Z\n");
    file(
        &folder,
        "cohort=7/p.csv",
        "user,page,at,cohort\nann,home,2026-10-01T10:00:00Z,07\nann,home,2026-10-01T10:00:00Z,8\n",
    );
    let mapped = |format: &str| read_with(folder.path(), Some(mapping(format)), SourceSettings::default(), 1);
    let csv = mapped("csv").unwrap();
    assert_eq!(sorted(&csv, "segment"), ["-", "07", "a b"]);
    assert_eq!(csv.faults(), ["3 partition_mismatch cohort"]);
    let columns: Vec<(&'static str, ArrayRef)> = vec![
        ("user", Arc::new(Int64Array::from(vec![9_007_199_254_740_993]))),
        ("page", texts(&[Some("home")])),
        ("at", good(1).remove(5).1),
    ];
    std::fs::remove_dir_all(folder.path().join("cohort=7")).unwrap();
    write(&file(&folder, "cohort=x/p.parquet", ""), columns.clone(), 100);
    write(&file(&folder, "cohort=y/p.parquet", ""), columns.clone(), 100);
    for csv in ["cohort=a%20b", "cohort=__HIVE_DEFAULT_PARTITION__"] {
        std::fs::remove_dir_all(folder.path().join(csv)).unwrap();
    }
    assert_eq!(sorted(&mapped("parquet").unwrap(), "segment"), ["x", "y"]);
    write(&file(&folder, "p.parquet", ""), columns, 100);
    assert!(fault(mapped("parquet")).contains("has no column `cohort`"));
    let json = file(&folder, "cohort=z/p.ndjson", r#"{"user":1,"page":"home","at":"2026-10-01T10:00:00Z"}"#);
    let json = read_with(&json, Some(mapping("ndjson")), SourceSettings::default(), 1).unwrap();
    assert_eq!(json.column("segment"), ["z"]);
}

#[test]
fn other_folders_are_another_source() {
    let (one, two) = (folder(), folder());
    for (folder, segment) in [(&one, "a"), (&two, "b")] {
        file(folder, &format!("segment={segment}/p.ndjson"), event("") + "\n");
    }
    let of = |path: &std::path::Path| open(&[path], None, SourceSettings::default()).unwrap().fingerprint();
    assert_ne!(of(one.path()), of(two.path()));
    assert_ne!(of(&one.path().join("segment=a/p.ndjson")), of(&two.path().join("segment=b/p.ndjson")));
    // A folder that is no column is no difference.
    let (one, two) = (file(&one, "run=1/q.ndjson", event("")), file(&two, "run=2/q.ndjson", event("")));
    assert_eq!(of(&one), of(&two));
}
