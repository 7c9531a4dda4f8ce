//! Settings: defaults, files, the environment, and wrong names.

use netcrab_pipeline::config::{Config, EXAMPLE};

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, environment).map_err(|error| format!("{error:#}"))
}

#[test]
fn the_example_file_holds_the_defaults() {
    let (example, default) = (parse(EXAMPLE, &[]).unwrap(), Config::default());
    assert_eq!(format!("{example:#?}"), format!("{default:#?}"));
}

#[test]
fn the_example_file_holds_every_setting() {
    // A field that the example lacks would be missing among its names when it is set elsewhere.
    let debug = format!("{:#?}", Config::default());
    let fields = debug.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name);
    for field in fields.filter(|name| !name.contains('"')) {
        assert!(
            EXAMPLE.contains(&format!("{field} =")) || EXAMPLE.contains(&format!("{field}]")),
            "netcrab.toml lacks {field}"
        );
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let config =
        parse("[sessionize]\ngap_ms = 5", &[("NETCRAB_SESSIONIZE__GAP_MS", "7"), ("NETCRAB_CACHE", "/tmp")]).unwrap();
    assert_eq!(config.sessionize.gap_ms, 7);
    let config = parse("", &[("NETCRAB_DETECT__RULE_ID", "posthog")]).unwrap();
    assert_eq!(config.detect.rule_id, "posthog");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let fault = parse("[sesionize]\ngap_ms = 5", &[]).unwrap_err();
    assert!(fault.contains("`sesionize`") && fault.contains("`sessionize`"), "{fault}");
    let fault = parse("[detect.rage_click]\nwindow = 5", &[]).unwrap_err();
    assert!(fault.contains("`detect.rage_click.window_ms`"), "{fault}");
    let fault = parse("", &[("NETCRAB_RUN__MEMORY_MB", "5")]).unwrap_err();
    assert!(
        fault.contains("`run.memory_mib`") && fault.contains("NETCRAB_RUN__MEMORY_MB") | fault.contains("memory_mb"),
        "{fault}"
    );
}

#[test]
fn too_little_memory_is_refused_and_the_least_is_not() {
    assert!(parse("[run]\nmemory_mib = 63", &[]).unwrap_err().contains("64 or more"));
    assert!(parse("[run]\nmemory_mib = 64", &[]).is_ok());
}
