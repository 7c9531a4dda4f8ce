//! JSON as other programs write it: glued, in arrays, over many lines, with halves of characters and long numbers.

use netcrab_sources::{Mapping, SourceSettings};
use proptest::prelude::*;

use super::{Read, event, fault, file, folder, read_with};

fn read_text(text: &str, mapping: Option<&str>) -> Read {
    let folder = folder();
    let path = file(&folder, "a.json", text);
    let mapping = mapping.map(|mapping| Mapping::parse(mapping).unwrap());
    read_with(&path, mapping, SourceSettings::default(), 1).unwrap()
}

/// An event with this id.
fn id(id: &str) -> String {
    event("").replace("\"e1\"", &format!("\"{id}\""))
}

fn check(text: &str, ids: &[&str], faults: &[&str]) {
    let read = read_text(text, None);
    assert_eq!(read.column("event_id"), ids, "{text}");
    assert_eq!(read.faults(), faults, "{text}");
}

const MAPPING: &str = r#"
format = "ndjson"
extra = ["n"]
optional = ["n"]
[constants]
org_id = "acme"
product_id = "shop"
device_type = "desktop"
event_type = "navigation"
[columns]
screen_id = "page"
session_id = "context.session"
[hash]
user_hash = ["user"]
[time]
column = "at"
"#;

fn foreign(page: &str, more: &str) -> String {
    format!(r#"{{"at":"2026-11-12T10:00:00Z","page":"{page}","user":7,"context":{{"session":"s"}}{more}}}"#)
}

fn check_foreign(text: &str, pages: &[&str], faults: &[&str]) {
    let read = read_text(text, Some(MAPPING));
    assert_eq!(read.column("screen_id"), pages, "{text}");
    assert_eq!(read.faults(), faults, "{text}");
}

#[test]
fn objects_are_read_however_they_follow_each_other() {
    let (a, b, c) = (id("a"), id("b"), id("c"));
    check(&format!("{a}{b}{c}"), &["a", "b", "c"], &[]);
    check(&format!("{a} {b}\n{c}\n"), &["a", "b", "c"], &[]);
    check(&format!("[{a},{b},{c}]"), &["a", "b", "c"], &[]);
    check(&format!("[\n  {a},\n  {b}\n]\n{c}"), &["a", "b", "c"], &[]);
    check(&format!("{a},\n{b},\n{c}"), &["a", "b", "c"], &[]);
    check(&format!("\u{1e}{a}\n\u{1e}{b}\n\u{1e}{c}\n"), &["a", "b", "c"], &[]);
    check(&format!("\u{feff}{a}\r\n{b}\r\n\r\n{c}"), &["a", "b", "c"], &[]);
    check(&format!("{a}\n\u{feff}{b}\n{c}"), &["a", "b", "c"], &[]);
    let pretty = |text: &str| text.replace(',', ",\n  ").replace('{', "{\n  ").replace('}', "\n}");
    check(&format!("{}\n{}", pretty(&a), pretty(&b)), &["a", "b"], &[]);
    check(&format!("[{},\n{}]", pretty(&a), pretty(&b)), &["a", "b"], &[]);
    check(&format!("{{\"events\":[\n{a},\n{b}\n]}}{c}"), &["a", "b", "c"], &[]);
}

#[test]
fn foreign_objects_too() {
    let (a, b, c) = (foreign("a", ""), foreign("b", ""), foreign("c", ""));
    check_foreign(&format!("{a}{b}\n{c}"), &["a", "b", "c"], &[]);
    check_foreign(&format!("[{a},{b},\n{c}]"), &["a", "b", "c"], &[]);
    check_foreign(&format!("{}\n{b}", a.replace(',', ",\n")), &["a", "b"], &[]);
    check_foreign(&format!("\u{1e}{a}\n\u{1e}{b}"), &["a", "b"], &[]);
    check_foreign(&format!("{a}\n{{\"at\":\n{b}\n{c}"), &["a", "b", "c"], &["2 not_json -"]);
}

#[test]
fn what_is_no_json_costs_its_line_only_and_keeps_its_number() {
    let (a, b) = (id("a"), id("b"));
    check(&format!("{}\n{b}", &a[..40]), &["b"], &["1 not_json -"]);
    check(&format!("{a}\n{},}}\n{b}", &b[..b.len() - 1]), &["a", "b"], &["2 not_json -"]);
    check(&format!("[{a},{b},]\n"), &["a", "b"], &["1 not_json -"]);
    check(&format!("{a} // first\n/* second */\n{b}"), &["a", "b"], &["1 not_json -", "2 not_json -"]);
    check(&format!("{a}\n[\n{b},\n{}", &a[..50]), &["a", "b"], &["4 not_json -"]);
    check(&format!("{a}\nhello\n{b}"), &["a", "b"], &["2 not_json -"]);
    check(&format!("{a}\n{{\n \"orgId\": \"x\",\n}}\n{b}"), &["a", "b"], &["2 not_json -"]);
    check(&format!("[{a},{{\"ts\":01}},{b}]"), &["a", "b"], &["1 not_json -"]);
}

#[test]
fn an_array_is_read_element_by_element_within_the_bound_of_a_line() {
    let long = event(&format!(r#","appName":"{}""#, "x".repeat(4000)));
    let text = format!("[{}]", vec![id("a"); 3000].join(","));
    let settings = SourceSettings { line_bytes_max: 1024, ..SourceSettings::default() };
    let folder = folder();
    let read = read_with(&file(&folder, "a.json", &text), None, settings.clone(), 1).unwrap();
    assert_eq!((read.events.num_rows(), read.rejects.len()), (3000, 0));
    let text = format!("[{},{long},{}]", id("a"), id("b"));
    let read = read_with(&file(&folder, "a.json", &text), None, settings, 1).unwrap();
    assert_eq!(
        (read.column("event_id"), read.faults()),
        (vec!["a".into(), "b".into()], vec!["1 line_too_long -".into()])
    );
}

#[test]
fn half_a_character_becomes_the_replacement_character() {
    let with = |label: &str| event("").replace("\"leads\"", &format!("\"{label}\""));
    for (label, expected) in [
        (r"Save \ud83d", "Save \u{fffd}"),
        (r"\uDE00 x", "\u{fffd} x"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\\ud83d", r"\ud83d"),
        (r"nul\u0000here", "nul\0here"),
        (r"\ud83d\u0041", "\u{fffd}A"),
    ] {
        let read = read_text(&with(label), None);
        assert_eq!((read.column("screen_id"), read.rejects.len()), (vec![expected.to_owned()], 0), "{label}");
        let read = read_text(&foreign(label, ""), Some(MAPPING));
        assert_eq!((read.column("screen_id"), read.rejects.len()), (vec![expected.to_owned()], 0), "{label}");
    }
    let read = read_text(&event(r#","extra":{"a":"x\ud83d"}"#), None);
    assert_eq!(read.column("extra"), ["{\"a\":\"x\u{fffd}\"}"]);
}

#[test]
fn a_number_that_becomes_text_keeps_its_digits() {
    for (number, expected) in [
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551616", "18446744073709551616"),
        ("0.10", "0.10"),
        ("1e400", "1e400"),
        ("1.5e3", "1500"),
    ] {
        let read = read_text(&foreign("a", &format!(",\"n\":{number}")), Some(MAPPING));
        assert_eq!(read.column("extra"), [format!("{{\"n\":\"{expected}\"}}")], "{number}");
    }
    let user = |number: &str| read_text(&foreign("a", "").replace(":7", number), Some(MAPPING)).column("user_hash");
    assert_ne!(user(":12345678901234567890123"), user(":12345678901234567890124"));
    assert_eq!(user(":12345678901234567890123"), user(":\"12345678901234567890123\""));
    let extra = r#"{"a":12345678901234567890123}"#;
    assert_eq!(read_text(&event(&format!(",\"extra\":{extra}")), None).column("extra"), [extra]);
}

#[test]
fn an_array_of_one_element_is_that_element_and_others_are_refused_by_name() {
    let with = |session: &str| foreign("a", "").replace("\"s\"", session);
    let session = |session: &str| read_text(&with(session), Some(MAPPING));
    for (value, expected) in
        [("[\"x\"]", "x"), ("[[\"x\"]]", "x"), ("[7]", "7"), ("[]", ""), ("null", ""), ("{}", ""), ("[null]", "")]
    {
        let read = session(value);
        assert_eq!((read.column("session_id"), read.rejects.len()), (vec![expected.to_owned()], 0), "{value}");
    }
    for value in ["[\"x\",\"y\"]", "{\"id\":1}", "[{\"id\":1}]", "[[1,2]]"] {
        assert_eq!(session(value).faults(), ["1 nested_value context.session"], "{value}");
    }
    let text = foreign("a", "").replace("{\"session\":\"s\"}", "[{\"session\":\"s\"}]");
    assert_eq!(read_text(&text, Some(MAPPING)).column("session_id"), ["s"]);
    let second = MAPPING.replace("context.session", "context.session.1");
    assert_eq!(read_text(&with("[\"x\",\"y\"]"), Some(&second)).column("session_id"), ["y"]);
}

#[test]
fn a_key_that_no_row_of_the_source_has_is_an_error() {
    let folder = folder();
    let read_all =
        |mapping: &str| read_with(folder.path(), Some(Mapping::parse(mapping).unwrap()), SourceSettings::default(), 2);
    let many = |page: &str, more: &str| (foreign(page, more) + "\n").repeat(2000);
    file(&folder, "1.ndjson", many("a", ""));
    file(&folder, "2.ndjson", many("b", ",\"Plan\":1"));
    let with = |extra: &str| MAPPING.replacen("extra = [\"n\"]", &format!("extra = [\"n\", \"{extra}\"]"), 1);
    assert_eq!(
        fault(read_all(&with("plan"))),
        "mapping: no row of the source has `plan`; nearest is `Plan`; correct the mapping, or list `plan` in `optional` if rows may lack it"
    );
    assert_eq!(read_all(&with("Plan")).unwrap().events.num_rows(), 4000, "in one file of two is enough");
    let late = format!("{}{}\n", many("a", ""), foreign("z", ",\"late\":1"));
    file(&folder, "1.ndjson", late);
    assert!(read_all(&with("late")).is_ok(), "absent at first");
    assert!(read_all(&with("absent").replace("optional = [\"n\"]", "optional = [\"n\", \"absent\"]")).is_ok());
    let nested = MAPPING.replace("context.session", "context.sesion");
    assert!(fault(read_all(&nested)).contains("has `context.sesion`; nearest is `context.session`;"));
    let unknown = fault(Mapping::parse(&MAPPING.replace("optional = [\"n\"]", "optional = [\"m\"]")));
    assert_eq!(unknown, "mapping: `m` in `optional` is no column that the mapping uses");
    file(&folder, "1.ndjson", "");
    file(&folder, "2.ndjson", "hello\n");
    assert_eq!(read_all(MAPPING).unwrap().faults(), ["1 not_json -"], "no row, so no key is missed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_object_is_read_whatever_stands_between(
        between in prop::collection::vec(prop::sample::select(vec!["", "\n", " ", ",", "\r\n", "\u{1e}", ",\n ", "\n\n"]), 1..40),
        pretty in prop::collection::vec(any::<bool>(), 40),
        array in any::<bool>(),
    ) {
        let object = |number: usize| {
            let text = id(&format!("x{number}"));
            if pretty[number] { text.replace(',', ",\n ").replace('}', "\n}") } else { text }
        };
        let objects: Vec<String> = (0..between.len()).map(object).collect();
        let text = match array {
            true => format!("[{}]", objects.join(",\n")),
            false => objects.iter().zip(&between).map(|(object, between)| format!("{object}{between}")).collect(),
        };
        let read = read_text(&text, None);
        let expected: Vec<String> = (0..objects.len()).map(|number| format!("x{number}")).collect();
        prop_assert_eq!((read.column("event_id"), read.faults()), (expected, Vec::new()), "{}", text);
    }

    #[test]
    fn an_object_that_is_cut_costs_no_other(at in 1usize..180, cut in 0usize..6) {
        let lines: Vec<String> = (0..6).map(|number| id(&format!("x{number}"))).collect();
        let text: Vec<&str> =
            lines.iter().enumerate().map(|(number, line)| if number == cut { &line[..at] } else { line }).collect();
        let read = read_text(&text.join("\n"), None);
        prop_assert_eq!((read.events.num_rows(), read.faults()), (5, vec![format!("{} not_json -", cut + 1)]));
    }
}
