//! CSV as databases, spreadsheets and scripts write it: read exactly, or refused with what is the matter and where.

use netcrab_sources::{Mapping, SourceSettings};
use proptest::prelude::*;

use super::{Read, fault, file, folder, open, read, read_with};

const MAPPING: &str = r#"
format = "csv"
[constants]
org_id = "acme"
product_id = "shop"
device_type = "desktop"
event_type = "navigation"
[columns]
session_id = "session"
screen_id = "page"
[hash]
user_hash = ["user"]
[time]
column = "at"
"#;

const AT: &str = "2026-11-12T10:00:00Z";

fn try_read(name: &str, content: impl AsRef<[u8]>, more: &str) -> Result<Read, netcrab_sources::Error> {
    let folder = folder();
    let path = file(&folder, name, content);
    read_with(&path, Some(Mapping::parse(&format!("{more}\n{MAPPING}")).unwrap()), SourceSettings::default(), 1)
}

/// Pages and faults of a CSV.
fn check(content: &str, pages: &[&str], faults: &[&str]) {
    let read = try_read("a.csv", content, "").unwrap();
    assert_eq!(read.column("screen_id"), pages, "{content:?}");
    assert_eq!(read.faults(), faults, "{content:?}");
}

fn message(name: &str, content: impl AsRef<[u8]>, more: &str) -> String {
    let message = fault(try_read(name, content, more));
    let end = message.find(name).unwrap_or_else(|| panic!("{message} names no file"));
    message[..end].rfind('`').map(|start| format!("{}…/{}", &message[..=start], &message[end..])).unwrap()
}

#[test]
fn any_usual_delimiter_is_read_where_the_header_fits() {
    for (name, delimiter) in
        [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.csv", "|"), ("a.tsv", "\t"), ("a.tsv", ",")]
    {
        let content = format!("user,session,page,at\nu,s,p1,{AT}\nu,s,p2,{AT}\n").replace(',', delimiter);
        let read = try_read(name, content, "").unwrap();
        assert_eq!(
            (read.column("screen_id"), read.rejects.len()),
            (vec!["p1".into(), "p2".into()], 0),
            "{delimiter:?}"
        );
    }
    let folder = folder();
    let events = "org_id;product_id;user_hash;ts;event_type;screen_id;route;device_type\na;b;u;2026-10-01T10:00:00Z;click;s;/;desktop\n";
    assert_eq!(read(&file(&folder, "a.csv", events)).unwrap().column("screen_id"), ["s"]);
}

#[test]
fn a_delimiter_that_the_mapping_gets_wrong_is_recognized() {
    let content = format!("user;session;page;at\nu;s;p1;{AT}\n");
    assert_eq!(
        message("a.csv", &content, "delimiter = \",\""),
        "the header of `…/a.csv` is one field with `;` in it; write `delimiter = \";\"` in the mapping"
    );
    assert_eq!(
        message("a.csv", content.replace(';', "\t"), "delimiter = \"|\""),
        "the header of `…/a.csv` is one field with `\\t` in it; write `delimiter = \"\\t\"` in the mapping"
    );
    assert_eq!(
        message("a.csv", content.replace("session", "sesion"), ""),
        "mapping: `…/a.csv` has no column `session`; nearest is `sesion`; correct the mapping, or the file"
    );
    assert!(try_read("a.csv", &content, "delimiter = \";\"").is_ok());
}

#[test]
fn what_spreadsheets_write_before_the_header_is_passed_over() {
    let row = format!("u;s;p1;{AT}");
    check(&format!("sep=;\r\nuser;session;page;at\r\n{row}\r\n"), &["p1"], &[]);
    check(&format!("\n\r\n  \nuser;session;page;at\n{row}\n"), &["p1"], &[]);
    check(&format!("\u{feff}\"sep=;\"\nuser;session;page;at\n{row}\n"), &["p1"], &[]);
    check(&format!("SEP=|\nuser|session|page|at\n{}\n", row.replace(';', "|")), &["p1"], &[]);
    check(&format!("\u{feff}user;session;page;at\n{row}\n"), &["p1"], &[]);
    check(&format!("\u{feff}\"user\";\"session\";\"page\";\"at\"\n{row}\n"), &["p1"], &[]);
    check(&format!("\u{feff}\u{feff}user;session;page;at\n{row}\n"), &["p1"], &[]);
    check(&format!(" user ; session ;page; at\n{row}\n"), &["p1"], &[]);
}

#[test]
fn a_repeated_name_matters_only_if_the_mapping_names_it() {
    let row = format!("u,s,p1,{AT},x,y");
    check(&format!("user,session,page,at,note,note\n{row}\n"), &["p1"], &[]);
    check(&format!("user,session,page,at,,\n{row}\n"), &["p1"], &[]);
    check(&format!("user,session,page,at,Page,PAGE\n{row}\n"), &["p1"], &[]);
    assert_eq!(
        message("a.csv", format!("user,session,page,at,page,x\n{row}\n"), ""),
        "`…/a.csv` has the column `page` more than once; keep one"
    );
    assert!(message("a.csv", format!("user,session,page,at,user,x\n{row}\n"), "").contains("column `user` more than"));
}

#[test]
fn a_quote_that_never_closes_costs_its_row_only() {
    let header = "user,session,page,at";
    let row = |page: &str| format!("u,s,{page},{AT}\n");
    let (good, bad) = (row("p1"), row("\"p2"));
    check(&format!("{header}\n{good}{bad}{good}{good}"), &["p1", "p1", "p1"], &["3 unclosed_quote -"]);
    // The next quote does not close it.
    let quoted = row("\"p3\"");
    check(&format!("{header}\n{bad}{good}{quoted}{good}"), &["p1", "p3", "p1"], &["2 unclosed_quote -"]);
    let many: String = good.repeat(50_000);
    let read = try_read("a.csv", format!("{header}\n{bad}{many}{bad}{many}"), "").unwrap();
    assert_eq!(read.events.num_rows(), 100_000);
    assert_eq!(read.faults(), ["2 unclosed_quote -", "50003 unclosed_quote -"]);
    // Two such quotes with rows between them would make one field.
    let second = format!("x\",{AT}\n");
    check(
        &format!("{header}\n{bad}{good}{good}{second}"),
        &["p1", "p1"],
        &["2 unclosed_quote -", "5 wrong_field_count -"],
    );
    check(&format!("{header}\n{}{good}", row("\"p\"2")), &["p1"], &["2 unclosed_quote -"]);
    check(&format!("{header}\n{}{good}", row("\"p\n\"\"2\"\"\"")), &["p\n\"2\"", "p1"], &[]);
    check(&format!("{header}\n{}", row("5\" disk")), &["5\" disk"], &[]);
    assert_eq!(
        message("a.csv", format!("user,session,\"page,at\n{good}"), ""),
        "the header of `…/a.csv` has a quote that never closes; close it"
    );
}

#[test]
fn ragged_rows_are_counted_one_by_one() {
    let header = "user,session,page,at";
    let good = format!("u,s,p1,{AT}");
    check(
        &format!("{header}\n{good},x\nu,s,p1\n{good}\nu\n{good},\n"),
        &["p1"],
        &["2 wrong_field_count -", "3 wrong_field_count -", "5 wrong_field_count -", "6 wrong_field_count -"],
    );
}

#[test]
fn line_ends_and_control_characters_are_read_as_they_are() {
    let lines = format!("user,session,page,at\nu,s,p1,{AT}\nu,s,p2,{AT}\n");
    for end in ["\n", "\r\n", "\r"] {
        check(&lines.replace('\n', end), &["p1", "p2"], &[]);
        check(lines.trim_end().replace('\n', end).as_str(), &["p1", "p2"], &[]);
    }
    check(&lines.replace("p1", "p\u{0}1"), &["p\u{0}1", "p2"], &[]);
    check(&lines.replace("p1", "\"p\r1\""), &["p\r1", "p2"], &[]);
    check(&format!("{lines}\0\0\0"), &["p1", "p2"], &["4 wrong_field_count -"]);
}

#[test]
fn a_file_without_rows_gives_nothing_and_says_why() {
    let without_rows = |name: &str, content: &[u8]| {
        let folder = folder();
        let path = file(&folder, name, content);
        let source = open(&[&path], Some(Mapping::parse(MAPPING).unwrap()), SourceSettings::default()).unwrap();
        source.left_out().iter().map(|left| left.why.name()).collect::<Vec<_>>()
    };
    let header = "user,session,page,at";
    assert_eq!(without_rows("a.csv", b""), ["empty"]);
    assert_eq!(without_rows("a.csv", b"\n\r\n  \n"), ["empty"]);
    assert_eq!(without_rows("a.csv", b"\xef\xbb\xbf"), ["empty"]);
    assert_eq!(without_rows("a.csv.gz", b""), ["empty"]);
    assert_eq!(without_rows("a.csv.zst", &zstd::stream::encode_all(&b""[..], 1).unwrap()), ["empty"]);
    assert_eq!(without_rows("a.csv", header.as_bytes()), ["no_rows"]);
    assert_eq!(without_rows("a.csv", format!("{header}\n\n").as_bytes()), ["no_rows"]);
    assert_eq!(without_rows("a.csv", format!("sep=,\n{header}\r\n").as_bytes()), ["no_rows"]);
    assert_eq!(without_rows("a.csv", format!("{header}\nu").as_bytes()), Vec::<&str>::new());
    assert!(message("a.csv", "user,page,at\n", "").contains("has no column `session`"), "its header is still checked");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_quote_that_is_lost_costs_no_row_without_a_word(
        pages in prop::collection::vec("[a-c\",;]{1,4}|a\nb", 1..20),
        lost in any::<prop::sample::Index>(),
    ) {
        let row = |page: &String| format!("u,s,\"{}\",{AT}\n", page.replace('"', "\"\""));
        let mut content = format!("user,session,page,at\n{}", pages.iter().map(row).collect::<String>());
        let read = try_read("a.csv", &content, "").unwrap();
        prop_assert_eq!(read.column("screen_id"), pages.clone());
        let quotes: Vec<usize> = content.match_indices('"').map(|(at, _)| at).collect();
        content.remove(quotes[lost.index(quotes.len())]);
        let read = try_read("a.csv", &content, "").unwrap();
        prop_assert!(read.events.num_rows() + read.rejects.len() >= pages.len(), "{}", content);
    }
}
