//! An insight report as a page for people to read.

use std::fmt::Write;

use netcrab_packs::Definition;
use serde_json::Value;

/// The report as an HTML page without references to other files; `rows` are its rows as JSON objects.
pub(super) fn report_page(definition: &Definition, version: &str, rows: &Value) -> String {
    let mut body = String::new();
    for row in rows.as_array().into_iter().flatten() {
        let insights = row["insights"].as_str().unwrap_or("[]");
        let Ok(Value::Array(findings)) = serde_json::from_str::<Value>(insights) else { continue };
        let about = row["report_type"].as_str().unwrap_or_default();
        let _ = write!(body, "<section><h2>{}</h2><ul>", escaped(about));
        for finding in findings {
            let text = |name: &str| escaped(finding[name].as_str().unwrap_or_default());
            let number = |name: &str| finding[name].as_f64().unwrap_or(0.0);
            let _ = write!(
                body,
                "<li>{} <small>± {:.4}, {} {}</small></li>",
                text("finding"),
                number("moe95"),
                text("packId"),
                text("version")
            );
        }
        let _ = write!(
            body,
            "</ul><p><small>{} sessions, at least {} organisations in each row.</small></p></section>",
            row["sample_sessions"], row["org_count"]
        );
    }
    if body.is_empty() {
        body.push_str("<p>Nothing stands out beyond its margin of error.</p>");
    }
    let title = escaped(&definition.title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1c2330}}\
         h1{{margin-bottom:0}}h2{{text-transform:capitalize;border-bottom:1px solid #dde3ea;margin-top:2rem}}\
         li{{margin:.4rem 0}}small{{color:#667}}</style></head>\n\
         <body><h1>{title}</h1><p><small>{} {}</small></p>{body}</body></html>\n",
        escaped(&definition.pack_id),
        escaped(version)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
