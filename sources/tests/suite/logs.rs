//! Access logs of all the usual shapes, and the cases of strangers (`../shared/data/cases`).

use netcrab_sources::{Mapping, SourceSettings};

use super::example_files::shared;
use super::{Read, file, folder, read_with};

/// The mapping that the cases of logs have.
const MAPPING: &str = r#"
format = "access_log"
[constants]
org_id = "acme"
product_id = "site"
[hash]
user_hash = ["remote_addr", "user_agent"]
[time]
column = "time"
format = "log"
[route]
column = "path"
screen = true
[user_agent]
column = "user_agent"
[event]
column = "method"
default = { event_type = "custom", event_name = "request_{value}" }
[events.GET]
event_type = "navigation"
[error]
column = "status"
from = 400
"#;

/// Reads a log that stands here.
fn log(bytes: impl AsRef<[u8]>, mapping: &str) -> Read {
    let folder = folder();
    let path = folder.path().join("access.log");
    std::fs::write(&path, bytes).unwrap();
    read_with(&path, Some(Mapping::parse(mapping).unwrap()), SourceSettings::default(), 1).unwrap()
}

/// Reads the file of a case with the mapping beside it.
fn case(name: &str, file: &str) -> Option<Read> {
    let folder = shared(&format!("cases/{name}"))?;
    let mapping = Mapping::parse(&std::fs::read_to_string(folder.join("map.toml")).unwrap()).unwrap();
    Some(read_with(&folder.join(file), Some(mapping), SourceSettings::default(), 1).unwrap())
}

fn distinct(read: &Read, column: &str) -> Vec<String> {
    let mut values = read.column(column);
    values.sort();
    values.dedup();
    values
}

#[test]
fn case_01_three_addresses_behind_a_virtual_host_are_three_visitors() {
    let (Some(vhost), Some(plain)) = (case("01-vhost-log", "access.log"), case("01-vhost-log", "plain/access.log"))
    else {
        return;
    };
    assert_eq!((vhost.events.num_rows(), distinct(&vhost, "user_hash").len()), (6, 3));
    assert_eq!(vhost.column("user_hash"), plain.column("user_hash"));
}

#[test]
fn case_02_no_odd_line_vanishes() {
    let Some(read) = case("02-log-garbage", "access.log") else { return };
    assert_eq!(read.column("route"), ["/home", "/cart", "/*", "/mail.test:25", "/caf%E9"]);
    assert_eq!(read.column("event_name"), ["-", "-", "request_OPTIONS", "request_CONNECT", "-"]);
    assert_eq!(read.column("error_code"), ["-", "-", "-", "405", "-"]);
    let faults: Vec<String> = (2..=7).map(|line| format!("{line} not_a_request -")).collect();
    assert_eq!((read.faults(), read.skipped), (faults, 0));
}

#[test]
fn case_05_a_session_in_the_path_is_no_page() {
    let Some(read) = case("05-jsessionid", "access.log") else { return };
    assert_eq!(read.column("screen_id"), ["/home", "/cart", "/home", "/cart", "/home", "/cart"]);
    assert_eq!(read.column("route"), read.column("screen_id"));
}

#[test]
fn case_06_a_page_is_a_page_in_every_language() {
    let pages =
        ["/محصولات", "/تماس", "/о-компании", "/контакты", "/产品", "/联系我们", "/製品情報", "/über-uns", "/contacts"];
    let Some(read) = case("06-nonlatin-paths", "access.log") else { return };
    assert_eq!(
        (read.column("screen_id"), read.column("route")),
        (pages.map(str::to_owned).to_vec(), read.column("screen_id"))
    );
    let Some(path) = shared("cases/06-nonlatin-paths/events.ndjson") else { return };
    let wire = read_with(&path, None, SourceSettings::default(), 1).unwrap();
    assert_eq!(wire.column("route"), pages);
}

#[test]
fn case_33_a_redirect_within_a_second_is_two_events() {
    let Some(read) = case("33-same-second", "access.log") else { return };
    assert_eq!((read.rejects.len(), read.count("route", "/login"), read.count("route", "/home")), (0, 20, 20));
    assert_eq!(distinct(&read, "user_hash").len(), 20);
}

#[test]
fn a_log_of_every_shape_is_read_and_each_line_is_counted() {
    let lines = [
        r#"198.51.100.1 - - [12/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 5"#,
        r#"198.51.100.1 - ann lee [12/Nov/2026:11:00:01.250 +0100] "GET /b c HTTP/1.1" 200 5 "-" "A/1" 0.1 "-""#,
        r#"shop.test:443 2001:db8::7 - - [2026-11-12T10:00:02+00:00] "POST /d;sid=9 HTTP/2.0" 500 - "-" "-""#,
        "# a comment",
        "",
        r#"198.51.100.1 - - [12/Nov/2026:10:00:03 +0000] "GET /caf"#,
        r#"198.51.100.1 - - [12/Nov/2026:10:00:04 CST] "GET /e HTTP/1.1" 200 5"#,
        r#"198.51.100.1 - - [12/Nov/2026:23:59:60 +0000] "GET /e HTTP/1.1" 200 5"#,
        "198.51.100.1 - - [12/Nov/2026:10:00:05 +0000] \"GET /\u{7}%E9 HTTP/1.1\" 200 5",
    ];
    let read = log(lines.join("\n"), MAPPING);
    assert_eq!(read.column("route"), ["/a", "/b c", "/d", "/\u{7}%E9"]);
    assert_eq!(
        read.column("ts"),
        ["2026-11-12T10:00:00Z", "2026-11-12T10:00:01.250Z", "2026-11-12T10:00:02Z", "2026-11-12T10:00:05Z"]
    );
    assert_eq!(read.faults(), ["6 not_a_log_line -", "7 unknown_zone ts", "8 bad_time ts"]);
    assert_eq!(read.skipped, 0);
}

#[test]
fn bytes_that_are_no_text_are_escaped_as_a_browser_would() {
    let read = log(b"198.51.100.1 - - [12/Nov/2026:10:00:00 +0000] \"GET /caf\xe9/\xd0\xba HTTP/1.1\" 200 5", MAPPING);
    assert_eq!((read.column("route"), read.rejects.len()), (vec!["/caf%E9/к".to_owned()], 0));
}

#[test]
fn a_mapping_may_skip_what_is_no_request_or_take_it_without_method_and_path() {
    let line = r#"198.51.100.1 - - [12/Nov/2026:10:00:00 +0000] "\x16\x03\x01" 400 150 "-" "-""#;
    assert_eq!(log(line, MAPPING).faults(), ["1 not_a_request -"]);
    let skipping = format!("{MAPPING}\n[[skip]]\ncolumn = \"status\"\nvalues = [\"400\"]\n");
    let read = log(line, &skipping);
    assert_eq!((read.events.num_rows(), read.rejects.len(), read.skipped), (0, 0, 1));
    let plain = MAPPING.replace("screen = true", "").replace("[hash]", "screen_id = \"site\"\n[hash]");
    let read = log(line, &plain);
    assert_eq!((read.column("error_code"), read.column("route")), (vec!["400".to_owned()], vec!["/site".to_owned()]));
}

#[test]
fn bots_may_be_skipped_and_phones_called_so_are_none() {
    let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36";
    let lines: Vec<String> = [
        format!("Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) {chrome}"),
        format!("Mozilla/5.0 (Linux; Android 9; Cubot_X19 Build/PPR1) {chrome}"),
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".to_owned(),
        "curl/8.4.0".to_owned(),
        "-".to_owned(),
    ]
    .map(|agent| format!(r#"198.51.100.1 - - [12/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "{agent}""#))
    .to_vec();
    let read = log(lines.join("\n"), MAPPING);
    assert_eq!(read.column("device_type"), ["mobile", "mobile", "unknown", "unknown", "unknown"]);
    assert_eq!(read.column("browser"), ["Chrome", "Chrome", "bot", "bot", "-"]);
    let skipping = MAPPING.replace("column = \"user_agent\"", "column = \"user_agent\"\nskip_bots = true");
    let read = log(lines.join("\n"), &skipping);
    assert_eq!((read.column("browser"), read.skipped), (vec!["Chrome".into(), "Chrome".into(), "-".into()], 2));
}

#[test]
fn the_virtual_host_is_a_field() {
    let mapping =
        MAPPING.replace("product_id = \"site\"\n", "").replace("[hash]", "[columns]\nproduct_id = \"vhost\"\n[hash]");
    let line = r#"shop.test:443 198.51.100.1 - - [12/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    assert_eq!(log(line, &mapping).column("product_id"), ["shop.test"]);
}

#[test]
fn a_w3c_log_names_its_fields() {
    let text = "#Software: Microsoft Internet Information Services 10.0\r\n\
                #Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) sc-status\r\n\
                2026-11-12 10:00:00 GET /home - 198.51.100.7 Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+Chrome/120.0.0.0+Safari/537.36 200\r\n\
                2026-11-12 10:00:01 GET /cart id=1\r\n\
                #Fields: date time c-ip cs-method cs-uri-stem sc-status\r\n\
                2026-11-12 10:00:02 198.51.100.7 GET /cart 404\r\n";
    let read = log(text, MAPPING);
    assert_eq!(
        (read.column("route"), read.column("error_code")),
        (vec!["/home".into(), "/cart".into()], vec!["-".into(), "404".into()])
    );
    assert_eq!(read.column("ts"), ["2026-11-12T10:00:00Z", "2026-11-12T10:00:02Z"]);
    assert_eq!(read.column("device_type"), ["desktop", "unknown"]);
    assert_eq!((read.faults(), read.skipped), (vec!["4 not_a_log_line -".to_owned()], 0));
    let dated = log(
        "#Date: 2026-11-12 00:00:02\n#Fields: time c-ip cs-method cs-uri-stem sc-status\n\
         10:00:00 198.51.100.7 GET /a 200\n23:59:59 198.51.100.7 GET /a 200\n00:00:01 198.51.100.7 GET /a 200\n\
         #Date: 2026-11-14 00:00:01\n10:00:00 198.51.100.7 GET /a 200\n",
        MAPPING,
    );
    let times = ["2026-11-12T10:00:00Z", "2026-11-12T23:59:59Z", "2026-11-13T00:00:01Z", "2026-11-14T10:00:00Z"];
    assert_eq!(dated.column("ts"), times);
    let headless = log("2026-11-12 10:00:00 GET /home - 198.51.100.7 Mozilla/5.0 200", MAPPING);
    assert_eq!(headless.faults(), ["1 not_a_log_line -"]);
}

/// Caddy, Traefik and nginx write JSON. Agents in arrays of one are the business of `read/json.rs`.
#[test]
fn logs_in_json_are_read_by_a_mapping_of_ndjson() {
    let mapping = |time: &str, format: &str, address: &str, path: &str, agent: &str, method: &str| {
        let text = MAPPING
            .replace("\"access_log\"", "\"ndjson\"")
            .replace("column = \"time\"\nformat = \"log\"", &format!("column = \"{time}\"\nformat = \"{format}\""))
            .replace("\"remote_addr\"", &format!("\"{address}\""))
            .replace("\"path\"", &format!("\"{path}\""))
            .replace("\"user_agent\"", &format!("\"{agent}\""))
            .replace("\"method\"", &format!("\"{method}\""));
        Mapping::parse(&text).unwrap()
    };
    let phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Mobile Safari/537.36";
    let check = |line: String, mapping: Mapping| {
        let folder = folder();
        let path = file(&folder, "a.ndjson", &line);
        let read = read_with(&path, Some(mapping), SourceSettings::default(), 1).unwrap();
        assert_eq!(read.faults(), [""; 0], "{line}");
        assert_eq!(read.column("ts"), ["2026-11-12T10:00:00.125Z"], "{line}");
        assert_eq!(read.column("route"), ["/p/:id"], "{line}");
        assert_eq!(read.column("device_type"), ["mobile"], "{line}");
    };
    check(
        format!(
            r#"{{"ts":1794477600.125,"request":{{"remote_ip":"203.0.113.5","method":"GET","uri":"/p/7?x","headers":{{"User-Agent":"{phone}"}}}},"status":200}}"#
        ),
        mapping("ts", "epoch_s", "request.remote_ip", "request.uri", "request.headers.User-Agent", "request.method"),
    );
    check(
        format!(
            r#"{{"ClientHost":"203.0.113.5","RequestMethod":"GET","RequestPath":"/p/7","StartUTC":"2026-11-12T10:00:00.125999999Z","request_User-Agent":"{phone}","status":200}}"#
        ),
        mapping("StartUTC", "iso", "ClientHost", "RequestPath", "request_User-Agent", "RequestMethod"),
    );
    check(
        format!(
            r#"{{"msec":"1794477600.125","remote_addr":"203.0.113.5","request_method":"GET","request_uri":"/p/7","http_user_agent":"{phone}","status":"200"}}"#
        ),
        mapping("msec", "epoch_s", "remote_addr", "request_uri", "http_user_agent", "request_method"),
    );
}
