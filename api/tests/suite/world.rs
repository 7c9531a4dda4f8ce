//! A small world of sessions, written as Delta tables, and a router over it.
//!
//! The facts are derived from the sessions by plain loops over docs/rules.md sections 4, 8 and 9:
//! slow, obvious, and independent of the SQL under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use deltalake::DeltaTable;
use deltalake::protocol::SaveMode;
use jiff::Timestamp;
use netcrab_api::{ApiConfig, ApiKey, ApiLimits, AppState, Day, DeltaLimits, DeltaStore, router};
use netcrab_schema::{Table, Type, tables};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const ACME_KEY: &str = "nc_acme";
pub(crate) const RIVAL_KEY: &str = "nc_rival";

/// One value of a row; a column that is not named is null, or empty where it may not be.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    Number(i64),
    Score(f64),
    List(Vec<String>),
}

pub(crate) type Row = BTreeMap<&'static str, Cell>;

pub(crate) fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

/// A session as a person would describe it.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub org_id: &'static str,
    pub product_id: &'static str,
    pub day: &'static str,
    /// Milliseconds after midnight.
    pub start_ms: i64,
    /// The last event, after the start.
    pub length_ms: i64,
    /// Navigation events: screen, milliseconds after the start.
    pub path: Vec<(String, i64)>,
    /// Incidents: kind, screen, milliseconds after the start.
    pub incidents: Vec<(&'static str, String, i64)>,
    pub frustration: f64,
    pub efficiency: f64,
    pub segment: Option<&'static str>,
    pub version: Option<&'static str>,
    pub device: &'static str,
    pub task_types: Vec<&'static str>,
}

impl Default for Visit {
    fn default() -> Self {
        Self {
            org_id: "acme",
            product_id: "crm",
            day: "2026-11-20",
            start_ms: 36_000_000,
            length_ms: 60_000,
            path: Vec::new(),
            incidents: Vec::new(),
            frustration: 0.0625,
            efficiency: 0.5,
            segment: None,
            version: None,
            device: "desktop",
            task_types: Vec::new(),
        }
    }
}

/// `home@0 cart@1000` as a path.
pub(crate) fn path(text: &str) -> Vec<(String, i64)> {
    let steps = text.split_whitespace().map(|step| {
        let (screen, at_ms) = step.split_once('@').expect("screen@ms");
        (screen.to_owned(), at_ms.parse().expect("a number"))
    });
    steps.collect()
}

impl Visit {
    fn day(&self) -> Day {
        self.day.parse().expect("a date")
    }

    fn at_us(&self, ms: i64) -> i64 {
        (i64::from(self.day().0) * 86_400_000 + self.start_ms + ms) * 1000
    }

    /// The navigation sequence with the time each visit is left.
    fn visits(&self) -> Vec<(&str, i64, i64)> {
        let mut visits: Vec<(&str, i64, i64)> = Vec::new();
        for (screen, at_ms) in &self.path {
            match visits.last_mut() {
                Some((before, _, _)) if before == screen => continue,
                Some((_, _, left_ms)) => *left_ms = *at_ms,
                None => {}
            }
            visits.push((screen, *at_ms, self.length_ms));
        }
        visits
    }
}

pub(crate) fn session_key(number: usize) -> String {
    format!("{number:032x}")
}

/// `/leads` for `leads`; the second half of a session sees `/leads/b`, which sorts later.
fn route(screen: &str, at_ms: i64) -> String {
    if at_ms > 30_000 { format!("/{screen}/b") } else { format!("/{screen}") }
}

/// The rows of every table that these sessions make.
pub(crate) fn facts(visits: &[Visit]) -> BTreeMap<&'static str, Vec<Row>> {
    let mut rows: BTreeMap<&'static str, Vec<Row>> = BTreeMap::new();
    for (number, visit) in visits.iter().enumerate() {
        rows.entry("events_sessionized").or_default().extend(events(number, visit));
        rows.entry("fact_incidents").or_default().extend(incidents(number, visit));
        rows.entry("fact_sessions").or_default().push(session(number, visit));
    }
    rows.insert("fact_screen_hotspots", hotspots(visits));
    rows.insert("fact_flows", flows(visits));
    rows.insert("dim_releases", releases(visits));
    rows
}

fn owner(visit: &Visit) -> Row {
    Row::from([
        ("org_id", text(visit.org_id)),
        ("product_id", text(visit.product_id)),
        ("date", Cell::Number(visit.day().0.into())),
    ])
}

/// The navigations, a click for each incident and one last scroll, in the order of time.
fn timeline(visit: &Visit) -> Vec<(i64, &'static str, String)> {
    let mut events: Vec<(i64, &'static str, String)> = Vec::new();
    events.extend(visit.path.iter().map(|(screen, at_ms)| (*at_ms, "navigation", screen.clone())));
    events.extend(visit.incidents.iter().map(|(_, screen, at_ms)| (*at_ms, "click", screen.clone())));
    events.sort_by_key(|event| event.0);
    let last = visit.visits().last().map_or("home", |visit| visit.0).to_owned();
    events.push((visit.length_ms, "scroll", last));
    events
}

fn events(number: usize, visit: &Visit) -> Vec<Row> {
    let events = timeline(visit).into_iter().enumerate().map(|(position, (at_ms, event_type, screen))| {
        let mut row = owner(visit);
        row.extend([
            ("session_key", text(session_key(number))),
            ("session_id", text(format!("s{number}"))),
            ("user_hash", text("u")),
            ("event_id", text(format!("{number}-{position}"))),
            ("position", Cell::Number(position as i64)),
            ("ts", Cell::Number(visit.at_us(at_ms))),
            ("event_type", text(event_type)),
            ("route", text(route(&screen, at_ms))),
            ("screen_id", text(screen)),
            ("device_type", text(visit.device)),
        ]);
        row
    });
    events.collect()
}

fn incidents(number: usize, visit: &Visit) -> Vec<Row> {
    let timeline = timeline(visit);
    let incidents = visit.incidents.iter().enumerate().map(|(nth, (kind, screen, at_ms))| {
        let position = timeline.iter().position(|event| event.0 == *at_ms && event.1 == "click").expect("its click");
        let mut row = owner(visit);
        row.extend([
            ("incident_id", text(format!("{number:030x}{nth:02x}"))),
            ("session_key", text(session_key(number))),
            ("session_id", text(format!("s{number}"))),
            ("kind", text(*kind)),
            ("rule_id", text("netcrab")),
            ("rule_version", text("1")),
            ("screen_id", text(screen)),
            ("route", text(route(screen, *at_ms))),
            ("started_at", Cell::Number(visit.at_us(*at_ms))),
            ("ended_at", Cell::Number(visit.at_us(*at_ms))),
            ("event_count", Cell::Number(1)),
            ("evidence", Cell::List(vec![format!("{number}-{position}")])),
            ("detail", text(r#"{"clicks":3}"#)),
            ("row_version", Cell::Number(1)),
        ]);
        row
    });
    incidents.collect()
}

fn session(number: usize, visit: &Visit) -> Row {
    let visits = visit.visits();
    let of_kind = |kind| Cell::Number(visit.incidents.iter().filter(|incident| incident.0 == kind).count() as i64);
    let mut row = owner(visit);
    row.extend([
        ("session_key", text(session_key(number))),
        ("session_id", text(format!("s{number}"))),
        ("user_hash", text("u")),
        ("start_ts", Cell::Number(visit.at_us(0))),
        ("end_ts", Cell::Number(visit.at_us(visit.length_ms))),
        ("duration_ms", Cell::Number(visit.length_ms)),
        ("event_count", Cell::Number(timeline(visit).len() as i64)),
        ("screen_visits", Cell::Number(visits.len() as i64)),
        ("rage_clicks", of_kind("rage_click")),
        ("dead_clicks", of_kind("dead_click")),
        ("frustration_score", Cell::Score(visit.frustration)),
        ("efficiency_score", Cell::Score(visit.efficiency)),
        ("task_types", Cell::List(visit.task_types.iter().map(|task| (*task).to_owned()).collect())),
        ("device_type", text(visit.device)),
        ("row_version", Cell::Number(1)),
    ]);
    row.extend(visits.first().map(|first| ("entry_screen", text(first.0))));
    row.extend(visits.last().map(|last| ("exit_screen", text(last.0))));
    row.extend(visit.segment.map(|segment| ("segment", text(segment))));
    row.extend(visit.version.map(|version| ("version_tag", text(version))));
    row
}

type Sums = BTreeMap<&'static str, f64>;

fn hotspots(visits: &[Visit]) -> Vec<Row> {
    let mut screens: BTreeMap<(&str, &str, &str, String), Sums> = BTreeMap::new();
    let mut routes: BTreeMap<(&str, &str, &str, String), String> = BTreeMap::new();
    for visit in visits {
        let key = |screen: &str| (visit.org_id, visit.product_id, visit.day, screen.to_owned());
        for (at_ms, _, screen) in timeline(visit) {
            let route = route(&screen, at_ms);
            let smallest = routes.entry(key(&screen)).or_insert_with(|| route.clone());
            *smallest = smallest.clone().min(route);
        }
        let seen = visit.visits();
        for (screen, at_ms, left_ms) in &seen {
            let sums = screens.entry(key(screen)).or_default();
            *sums.entry("visits").or_default() += 1.0;
            *sums.entry("time_spent_ms_sum").or_default() += (left_ms - at_ms) as f64;
        }
        for screen in seen.iter().map(|visit| visit.0).collect::<BTreeSet<_>>() {
            let sums = screens.entry(key(screen)).or_default();
            *sums.entry("sessions").or_default() += 1.0;
            *sums.entry("frustration_sum").or_default() += visit.frustration;
            *sums.entry("efficiency_sum").or_default() += visit.efficiency;
        }
        if let Some(last) = seen.last() {
            *screens.entry(key(last.0)).or_default().entry("dropoffs").or_default() += 1.0;
        }
        for (kind, screen, _) in &visit.incidents {
            let column = match *kind {
                "rage_click" => Some("rage_clicks"),
                "dead_click" => Some("dead_clicks"),
                "error_click" => Some("error_clicks"),
                "backtrack" => Some("backtracks"),
                "abandoned_task" => Some("abandoned_tasks"),
                _ => None,
            };
            let sums = screens.entry(key(screen)).or_default();
            if let Some(column) = column {
                *sums.entry(column).or_default() += 1.0;
            }
        }
    }
    let rows = screens.into_iter().map(|(key, sums)| {
        let mut row = summed(&tables::FACT_SCREEN_HOTSPOTS, (key.0, key.1, key.2), &sums);
        row.insert("route", text(&routes[&key]));
        row.insert("screen_id", text(key.3));
        row
    });
    rows.collect()
}

fn flows(visits: &[Visit]) -> Vec<Row> {
    let mut moves: BTreeMap<(&str, &str, &str, String, String), Sums> = BTreeMap::new();
    for visit in visits {
        let seen = visit.visits();
        if seen.is_empty() {
            continue;
        }
        let screens = [""].into_iter().chain(seen.iter().map(|visit| visit.0)).chain([""]).collect::<Vec<_>>();
        let mut made = BTreeSet::new();
        for pair in screens.windows(2) {
            let key = (visit.org_id, visit.product_id, visit.day, pair[0].to_owned(), pair[1].to_owned());
            let sums = moves.entry(key).or_default();
            *sums.entry("moves").or_default() += 1.0;
            if made.insert(pair.to_vec()) {
                *sums.entry("sessions").or_default() += 1.0;
                *sums.entry("frustration_sum").or_default() += visit.frustration;
            }
        }
    }
    let rows = moves.into_iter().map(|((org_id, product_id, day, from_screen, to_screen), sums)| {
        let mut row = summed(&tables::FACT_FLOWS, (org_id, product_id, day), &sums);
        row.extend([("from_screen", text(from_screen)), ("to_screen", text(to_screen))]);
        row
    });
    rows.collect()
}

fn summed(table: &'static Table, (org_id, product_id, day): (&str, &str, &str), sums: &Sums) -> Row {
    let day: Day = day.parse().expect("a date");
    let mut row =
        Row::from([("org_id", text(org_id)), ("product_id", text(product_id)), ("date", Cell::Number(day.0.into()))]);
    for column in table.columns() {
        let sum = sums.get(column.name).copied().unwrap_or(0.0);
        match column.kind {
            Type::Int64 => row.insert(column.name, Cell::Number(sum as i64)),
            Type::Float64 => row.insert(column.name, Cell::Score(sum)),
            _ => None,
        };
    }
    row
}

fn releases(visits: &[Visit]) -> Vec<Row> {
    let mut first_seen: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
    for visit in visits {
        if let Some(version) = visit.version {
            let first = first_seen.entry((visit.org_id, visit.product_id, version)).or_insert(i64::MAX);
            *first = visit.at_us(0).min(*first);
        }
    }
    let rows = first_seen.into_iter().map(|((org_id, product_id, version), first)| {
        Row::from([
            ("org_id", text(org_id)),
            ("product_id", text(product_id)),
            ("version_tag", text(version)),
            ("first_seen_at", Cell::Number(first)),
        ])
    });
    rows.collect()
}

/// The rows as a batch of the table's schema at rest, in the table's order.
pub(crate) fn batch(table: &Table, rows: &[Row]) -> RecordBatch {
    let mut rows = rows.to_vec();
    rows.sort_by_cached_key(|row| table.sort.iter().map(|column| format!("{:?}", row.get(column))).collect::<Vec<_>>());
    let columns = table.columns().map(|column| {
        let cells: Vec<Option<&Cell>> = rows.iter().map(|row| row.get(column.name)).collect();
        array(column.kind, column.nullable, &cells)
    });
    RecordBatch::try_new(table.at_rest(), columns.collect()).expect("columns of the definition")
}

fn array(kind: Type, nullable: bool, cells: &[Option<&Cell>]) -> ArrayRef {
    let number = |cell: &Option<&Cell>| match cell {
        Some(Cell::Number(number)) => Some(*number),
        _ => (!nullable).then_some(0),
    };
    let score = |cell: &Option<&Cell>| match cell {
        Some(Cell::Score(score)) => Some(*score),
        _ => (!nullable).then_some(0.0),
    };
    let texts = |cell: &Option<&Cell>| match cell {
        Some(Cell::Text(text)) => Some(text.clone()),
        _ => (!nullable).then(String::new),
    };
    match kind {
        Type::Repeated | Type::Text | Type::Symbol => Arc::new(cells.iter().map(texts).collect::<StringArray>()),
        Type::Int64 => Arc::new(cells.iter().map(number).collect::<Int64Array>()),
        Type::Int32 => Arc::new(cells.iter().map(|cell| number(cell).map(|n| n as i32)).collect::<Int32Array>()),
        Type::Date => Arc::new(cells.iter().map(|cell| number(cell).map(|n| n as i32)).collect::<Date32Array>()),
        Type::Timestamp => {
            Arc::new(cells.iter().map(number).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Type::Float32 => Arc::new(cells.iter().map(|cell| score(cell).map(|s| s as f32)).collect::<Float32Array>()),
        Type::Float64 => Arc::new(cells.iter().map(score).collect::<Float64Array>()),
        Type::Bool => Arc::new(cells.iter().map(|cell| number(cell).map(|n| n != 0)).collect::<BooleanArray>()),
        Type::TextList => {
            let lists = cells.iter().map(|cell| match cell {
                Some(Cell::List(list)) => list.clone(),
                _ => Vec::new(),
            });
            let lists: Vec<Vec<String>> = lists.collect();
            let item = Arc::new(Field::new(netcrab_schema::arrow::LIST_ITEM, DataType::Utf8, false));
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
            let values: StringArray = lists.into_iter().flatten().map(Some).collect();
            Arc::new(ListArray::new(item, offsets, Arc::new(values), None))
        }
    }
}

/// Replaces a table, or appends to it.
pub(crate) async fn write(tables_dir: &Path, table: &Table, rows: &[Row], mode: SaveMode) {
    let folder = tables_dir.join(table.name);
    std::fs::create_dir_all(&folder).expect("a writable folder");
    let url = url::Url::from_directory_path(&folder).expect("an absolute path");
    let delta = DeltaTable::try_from_url(url).await.expect("a place for a table");
    delta
        .write([batch(table, rows)])
        .with_save_mode(mode)
        .with_partition_columns(table.partition().iter().copied())
        .await
        .expect("a written table");
}

/// The tables of these sessions in a folder of their own, and a router over them.
pub(crate) struct World {
    pub folder: TempDir,
    pub store: Arc<DeltaStore>,
    pub app: Router,
}

pub(crate) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("an instant")
}

pub(crate) fn config() -> ApiConfig {
    let key = |key: &str, org_id: &str| ApiKey { key: key.into(), org_id: org_id.into() };
    ApiConfig { keys: vec![key(ACME_KEY, "acme"), key(RIVAL_KEY, "rival")], ..ApiConfig::default() }
}

impl World {
    pub(crate) async fn of(visits: &[Visit]) -> Self {
        Self::with(visits, DeltaLimits::default(), ApiLimits::default()).await
    }

    pub(crate) async fn with(visits: &[Visit], delta: DeltaLimits, limits: ApiLimits) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for (name, rows) in facts(visits) {
            write(folder.path(), netcrab_schema::by_name(name).expect("a table"), &rows, SaveMode::Overwrite).await;
        }
        Self::open(folder, delta, limits).await
    }

    pub(crate) async fn open(folder: TempDir, delta: DeltaLimits, limits: ApiLimits) -> Self {
        let store = Arc::new(DeltaStore::open(folder.path(), delta).await.expect("readable tables"));
        let config = ApiConfig { limits, ..config() };
        let bus = Arc::new(netcrab_bus::memory::Memory::new(1, 1 << 20));
        let sources = netcrab_sources::SourceSettings::default();
        let state = AppState::taking_events(&config, store.clone(), now, sources, bus).expect("a sound configuration");
        Self { folder, app: router(state), store }
    }

    /// Requests a path with acme's key and expects 200.
    pub(crate) async fn ask(&self, path_and_query: &str) -> Value {
        let (status, body) = self.get(path_and_query, Some(ACME_KEY)).await;
        assert_eq!(status, StatusCode::OK, "{path_and_query}: {body:#}");
        body
    }

    /// Requests a path with acme's key and expects a problem.
    pub(crate) async fn refused(&self, path_and_query: &str) -> (u16, String) {
        let (status, body) = self.get(path_and_query, Some(ACME_KEY)).await;
        assert_ne!(status, StatusCode::OK, "{path_and_query}");
        (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn get(&self, path_and_query: &str, key: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::get(path_and_query);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let response = self.send(request.body(Body::empty()).expect("a sound request")).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 24).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> axum::response::Response {
        self.app.clone().oneshot(request).await.expect("a router answers everything")
    }
}

/// Two products of acme and one of rival, small enough to sum by hand.
///
///     acme crm   19th  home→cart           mobile   2.2  trial  checkout   0.25   rage on cart
///                20th  home→cart→home      desktop  2.3  paid   -          0.75   dead on cart, backtrack on home
///                20th  home (twice)        mobile   2.3  trial  checkout   0.0625
///                20th  no navigation       desktop  -    -      -          0.0625 abandoned task on help
///     acme erp   20th  home
///     rival crm  20th  vault
pub(crate) fn small_world() -> Vec<Visit> {
    vec![
        Visit {
            day: "2026-11-19",
            path: path("home@0 cart@10000"),
            incidents: vec![("rage_click", "cart".into(), 12_000)],
            frustration: 0.25,
            efficiency: 0.5,
            version: Some("2.2"),
            segment: Some("trial"),
            device: "mobile",
            task_types: vec!["checkout"],
            ..Visit::default()
        },
        Visit {
            path: path("home@0 cart@10000 home@20000"),
            incidents: vec![("dead_click", "cart".into(), 11_000), ("backtrack", "home".into(), 15_000)],
            frustration: 0.75,
            efficiency: 0.25,
            version: Some("2.3"),
            segment: Some("paid"),
            ..Visit::default()
        },
        Visit {
            start_ms: 40_000_000,
            path: path("home@0 home@5000"),
            efficiency: 0.75,
            version: Some("2.3"),
            segment: Some("trial"),
            device: "mobile",
            task_types: vec!["checkout", "search"],
            ..Visit::default()
        },
        Visit { start_ms: 40_000_000, incidents: vec![("abandoned_task", "help".into(), 1000)], ..Visit::default() },
        Visit { product_id: "erp", path: path("home@0"), ..Visit::default() },
        Visit { org_id: "rival", path: path("vault@0"), frustration: 0.9375, ..Visit::default() },
    ]
}
