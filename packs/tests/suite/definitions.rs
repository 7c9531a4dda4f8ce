//! A definition is read, or all its faults are reported with their lines.

use netcrab_packs::Definition;
use netcrab_packs::definition::{Frequency, Kind};

use crate::population::YAML;

#[test]
fn a_definition_is_read_with_its_defaults() {
    let definition = Definition::parse(YAML).unwrap();
    assert_eq!((definition.kind, definition.update_frequency), (Kind::UxBenchmarks, Frequency::Monthly));
    assert_eq!((definition.min_orgs, definition.retention_days, definition.base_price_cents), (5, 365, 49_900));
    assert_eq!((definition.privacy.epsilon, definition.privacy.delta), (4.0, 1e-6));
    assert_eq!(definition.org_sessions_max(), 15);
    let priced = Definition::parse(&format!("{YAML}basePriceUsd: 1234.50\n")).unwrap();
    assert_eq!(priced.base_price_cents, 123_450);
}

#[test]
fn every_fault_is_reported_at_once_with_its_line() {
    let text = "packId: Crm-Friction
kind: ux_benchmark
vertical: SHOES
shortDescription: ''
updateFrequency: hourly
minOrgs: 1
minSession: 5
basePriceUsd: about five
fields: [median_clicks, nothing]
privacy:
  epsilon: 99
  unit: nobody
categories: []
";
    let faults = Definition::parse(text).unwrap_err();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let expected = [
        (1, "`packId`"),
        (1, "`title` is missing"),
        (2, "`kind` is none of ux_benchmarks"),
        (3, "`vertical` is none of B2B_CRM"),
        (4, "`shortDescription`"),
        (5, "`updateFrequency` is none of daily"),
        (6, "`minOrgs` is no whole number from 2"),
        (7, "`minSession` is no key here; nearest is `minSessions`"),
        (8, "`basePriceUsd` is no amount"),
        (11, "`epsilon` is no number from"),
        (12, "`unit` is none of visitor_day"),
        (13, "`categories` names at least one"),
    ];
    for (line, what) in expected {
        let found = said.iter().any(|said| said.starts_with(&format!("line {line}: ")) && said.contains(what));
        assert!(found, "line {line}: {what} is not in {said:#?}");
    }
    assert_eq!(faults.len(), expected.len(), "{said:#?}");
}

#[test]
fn rules_over_several_keys_are_checked() {
    for (change, what) in [
        ("fields: [median_clicks, nothing]\n", "`fields` has `nothing`; mp_ux_friction_daily has date"),
        ("table: mp_task_flows\n", "`table` of ux_benchmarks is mp_ux_friction_daily"),
        ("sources: [other]\n", "`sources` is for insight_reports only"),
    ] {
        let faults = Definition::parse(&format!("{YAML}{change}")).unwrap_err();
        assert!(faults.len() == 1 && faults[0].what.contains(what) && faults[0].line == 12, "{faults:?}");
    }
    let daily = YAML.replace("privacy: {", "privacy: {unit: visitor_day, ");
    assert!(Definition::parse(&daily).unwrap_err()[0].what.contains("visitor_day"));
}

#[test]
fn a_text_that_is_no_mapping_or_no_yaml_is_refused_with_a_line() {
    for text in ["", "- a\n- b\n", "packId: [\n", "a: b: c\n", "---\na: 1\n---\nb: 2\n", "\u{0}", "&a [*a]\n"] {
        let faults = Definition::parse(text).unwrap_err();
        assert!(
            !faults.is_empty() && faults.iter().all(|fault| fault.line > 0 || text.is_empty()),
            "{text:?}: {faults:?}"
        );
    }
}

#[test]
fn a_text_that_is_too_long_too_deep_or_multiplies_itself_is_refused() {
    let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, at| {
        let of = format!("*a{}", at - 1);
        format!("{text}a{at}: &a{at} [{of}, {of}, {of}, {of}, {of}, {of}, {of}, {of}]\n")
    });
    for (text, said) in [
        (format!("{YAML}#{}", "x".repeat(256 << 10)), "more than 262144 bytes"),
        ("- ".repeat(100_000), "more than 16 deep"),
        ("[".repeat(100_000), "recursion limit exceeded"),
        (format!("a: {}", "{b: ".repeat(17)), "more than 16 deep"),
        (bomb, "not YAML"),
    ] {
        let faults = Definition::parse(&text).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].what.contains(said), "{}", faults[0].what);
    }
    assert!(Definition::parse(&format!("{YAML}#{}", "x".repeat(1000))).is_ok());
}
