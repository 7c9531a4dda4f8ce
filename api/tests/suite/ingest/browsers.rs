//! Pages of allowed origins send and read the answer; those of others do not.

use axum::body::Body;
use axum::http::{Method, Request};
use netcrab_api::IngestSettings;

use super::{ACME, Answer, BATCH, Inlet, events};

fn inlet(origins: &[&str]) -> Inlet {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    Inlet::with(IngestSettings { origins, ..IngestSettings::default() })
}

async fn preflight(inlet: &Inlet, origin: &str) -> Answer {
    let request = Request::builder().method(Method::OPTIONS).uri(BATCH).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    inlet.ask(request.body(Body::empty()).expect("a sound request")).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("-", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_and_read_also_a_refusal() {
    let inlet = inlet(&["https://app.example.org"]);
    let origin = "https://app.example.org";
    let asked = preflight(&inlet, origin).await;
    assert_eq!(asked.status, 204);
    assert_eq!(header(&asked, "access-control-allow-origin"), origin);
    assert_eq!(header(&asked, "access-control-allow-methods"), "POST");
    for sent in ["authorization", "content-type", "content-encoding", "x-netcrab-key"] {
        assert!(header(&asked, "access-control-allow-headers").contains(sent), "{sent}");
    }
    for (key, status) in [(ACME, 200), ("nc_agent_nobody", 401)] {
        let answer = inlet.send_with(key, &[("origin", origin)], events(1)).await;
        assert_eq!(answer.status, status);
        assert_eq!(header(&answer, "access-control-allow-origin"), origin);
        assert_eq!(header(&answer, "access-control-expose-headers"), "retry-after");
        assert_eq!(header(&answer, "vary"), "origin");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_not() {
    for inlet in [inlet(&[]), inlet(&["https://app.example.org"])] {
        for origin in ["https://evil.example.org", "https://app.example.org.evil.net", "http://app.example.org", "null"]
        {
            let asked = preflight(&inlet, origin).await;
            assert_eq!(header(&asked, "access-control-allow-origin"), "-", "{origin}");
            let answer = inlet.send_with(ACME, &[("origin", origin)], events(1)).await;
            assert_eq!(header(&answer, "access-control-allow-origin"), "-", "{origin}");
        }
    }
    let any = inlet(&["*"]);
    assert_eq!(header(&preflight(&any, "https://anywhere.example").await, "access-control-allow-origin"), "*");
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let inlet = inlet(&[]);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Request::builder().method(method).uri(BATCH).body(Body::empty()).expect("a sound request");
        let answer = inlet.ask(request).await;
        assert_eq!(answer.problem(), (405, "method_not_allowed", false));
        assert_eq!(header(&answer, "allow"), "POST,OPTIONS");
    }
}
