//! Every route, on one page.
//!
//!     ROUTES ─▶ router, gate, OpenAPI document
//!
//! A route without an access rule does not compile. The test suite requests every route without a key, and every
//! [`Access::Member`] route for another organisation.

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, options, post};

use crate::ingest::{self, cors};
use crate::insights::{flows, hotspots, incidents, overview, products, releases, sessions};
use crate::openapi::answer::{list_of, one, plain};
use crate::params::{
    CURSOR, DEVICE, FROM, FROM_HINT, HOTSPOT_SORT, INCIDENT_KIND, LIMIT, ORG_ID, PRODUCT_ID, PRODUCT_ID_HINT,
    SCREEN_ID, SEGMENT, TASK_TYPE, TO, TO_HINT, VERSION, WINDOW_DAYS,
};
use crate::route::{Access, Route};
use crate::state::AppState;
use crate::{demo_page, gate, openapi, operations, store};

/// Every route.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        path: "/v1/insights/overview",
        access: Access::Member,
        params: &[&ORG_ID, &PRODUCT_ID, &FROM, &TO, &SEGMENT, &VERSION, &DEVICE, &TASK_TYPE],
        handler: || get(overview::overview),
        summary: "How a product does, against the period before, and where it hurts.",
        answer: one::<overview::Overview>("overview", include_str!("../answers/overview.json")),
    },
    Route {
        path: "/v1/insights/hotspots",
        access: Access::Member,
        params: &[
            &ORG_ID,
            &PRODUCT_ID,
            &FROM,
            &TO,
            &SEGMENT,
            &VERSION,
            &DEVICE,
            &TASK_TYPE,
            &HOTSPOT_SORT,
            &LIMIT,
            &CURSOR,
        ],
        handler: || get(hotspots::hotspots),
        summary: "Screens, worst first.",
        answer: list_of::<hotspots::Hotspot>("hotspots", include_str!("../answers/hotspots.json")),
    },
    Route {
        path: "/v1/insights/sessions",
        access: Access::Member,
        params: &[&ORG_ID, &PRODUCT_ID, &FROM, &TO, &SEGMENT, &VERSION, &DEVICE, &TASK_TYPE, &LIMIT, &CURSOR],
        handler: || get(sessions::sessions),
        summary: "Sessions, newest first.",
        answer: list_of::<store::Session>("sessions", include_str!("../answers/sessions.json")),
    },
    Route {
        path: "/v1/insights/sessions/{sessionKey}",
        access: Access::Member,
        params: &[&ORG_ID, &PRODUCT_ID_HINT, &FROM_HINT, &TO_HINT, &LIMIT, &CURSOR],
        handler: || get(sessions::session),
        summary: "One session: its events in order, with the incidents that begin among them.",
        answer: one::<sessions::Timeline>("session", include_str!("../answers/session.json")),
    },
    Route {
        path: "/v1/insights/incidents",
        access: Access::Member,
        params: &[
            &ORG_ID,
            &PRODUCT_ID,
            &FROM,
            &TO,
            &SEGMENT,
            &VERSION,
            &DEVICE,
            &TASK_TYPE,
            &INCIDENT_KIND,
            &SCREEN_ID,
            &LIMIT,
            &CURSOR,
        ],
        handler: || get(incidents::incidents),
        summary: "Moments of friction: newest session day first, newest first within it.",
        answer: list_of::<store::Incident>("incidents", include_str!("../answers/incidents.json")),
    },
    Route {
        path: "/v1/insights/releases",
        access: Access::Member,
        params: &[
            &ORG_ID,
            &PRODUCT_ID,
            &FROM,
            &TO,
            &SEGMENT,
            &VERSION,
            &DEVICE,
            &TASK_TYPE,
            &WINDOW_DAYS,
            &LIMIT,
            &CURSOR,
        ],
        handler: || get(releases::releases),
        summary: "Releases first seen in the period, newest first, with the days before and after.",
        answer: list_of::<releases::ReleaseEffect>("releases", include_str!("../answers/releases.json")),
    },
    Route {
        path: "/v1/insights/products",
        access: Access::Member,
        params: &[&ORG_ID, &LIMIT, &CURSOR],
        handler: || get(products::products),
        summary: "Products that have sessions, by name.",
        answer: one::<products::Products>("products", include_str!("../answers/products.json")),
    },
    Route {
        path: "/v1/flows/top",
        access: Access::Member,
        params: &[&ORG_ID, &PRODUCT_ID, &FROM, &TO, &SEGMENT, &VERSION, &DEVICE, &TASK_TYPE, &LIMIT, &CURSOR],
        handler: || get(flows::top),
        summary: "Moves between screens, most travelled first.",
        answer: list_of::<flows::Flow>("flows_top", include_str!("../answers/flows_top.json")),
    },
    Route {
        path: "/v1/flows/graph",
        access: Access::Member,
        params: &[&ORG_ID, &PRODUCT_ID, &FROM, &TO, &SEGMENT, &VERSION, &DEVICE, &TASK_TYPE, &LIMIT],
        handler: || get(flows::graph),
        summary: "Screens and their most travelled moves; `limit` bounds the links, what it leaves out is counted.",
        answer: one::<flows::FlowGraph>("flows_graph", include_str!("../answers/flows_graph.json")),
    },
    Route {
        path: "/v1/events/batch",
        access: Access::Agent,
        params: &[],
        handler: || post(ingest::handler::batch),
        summary: "Takes a batch of events; answered once they are durable.",
        answer: one::<ingest::Verdict>("events_batch", include_str!("../answers/events_batch.json")),
    },
    Route {
        path: "/v1/openapi.json",
        access: Access::Public,
        params: &[],
        handler: || get(|| async { openapi::answered(ROUTES) }),
        summary: "This document.",
        answer: plain("application/json"),
    },
    Route {
        path: "/health",
        access: Access::Public,
        params: &[],
        handler: || get(operations::health),
        summary: "Whether the process answers.",
        answer: one::<operations::Health>("health", include_str!("../answers/health.json")),
    },
    Route {
        path: "/ready",
        access: Access::Public,
        params: &[],
        handler: || get(operations::ready),
        summary: "Whether the tables can be read; 503 with what is missing otherwise.",
        answer: one::<operations::Ready>("ready", include_str!("../answers/ready.json")),
    },
    Route {
        path: "/metrics",
        access: Access::Public,
        params: &[],
        handler: || get(operations::metrics),
        summary: "Counters of requests and the state of tables, for Prometheus.",
        answer: plain("text/plain"),
    },
    Route {
        path: "/",
        access: Access::Public,
        params: &[],
        handler: || get(demo_page::page),
        summary: "A first look at a product in a browser.",
        answer: plain("text/html"),
    },
    Route {
        path: "/first-look.css",
        access: Access::Public,
        params: &[],
        handler: || get(demo_page::style),
        summary: "Style of that page.",
        answer: plain("text/css"),
    },
    Route {
        path: "/first-look.js",
        access: Access::Public,
        params: &[],
        handler: || get(demo_page::script),
        summary: "Script of that page.",
        answer: plain("text/javascript"),
    },
];

/// The OpenAPI document, as it is served and stored in `docs/openapi.json`.
pub fn openapi_document() -> String {
    openapi::document(ROUTES)
}

/// The API as a service. Tests call it without a network.
pub fn router(state: AppState) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let mut admitted = (route.handler)().layer(from_fn_with_state((state.clone(), route), gate::admit));
        if route.access == Access::Agent {
            admitted = admitted.merge(options(cors::preflight)).layer(from_fn_with_state(state.clone(), cors::allow));
        }
        router = router.route(route.path, admitted.fallback(move |method| gate::no_such_method(route, method)));
    }
    let measure = from_fn_with_state((state.clone(), ROUTES), gate::measure);
    router
        .fallback(|uri: Uri| async move { gate::no_such_route(ROUTES, &uri) })
        .layer(from_fn(demo_page::harden))
        .layer(measure)
        .with_state(state)
}
