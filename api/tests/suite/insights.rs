//! Every answer, with numbers that can be computed by hand from [`small_world`].

use serde_json::{Value, json};

use crate::world::{Visit, World, path, session_key, small_world};

fn pick(item: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| item[*name].clone()).collect()
}

fn picked(items: &Value, names: &[&str]) -> Vec<Value> {
    items.as_array().expect("a list").iter().map(|item| pick(item, names)).collect()
}

#[tokio::test]
async fn the_overview_means_the_sessions_of_thirty_days_up_to_the_newest() {
    let world = World::of(&small_world()).await;
    let overview = world.ask("/v1/insights/overview?productId=crm").await;
    assert_eq!(pick(&overview, &["from", "to", "sessions"]), json!(["2026-10-22", "2026-11-20", 4]));
    assert_eq!(pick(&overview, &["frictionIndex", "efficiencyScore"]), json!([0.28125, 0.5]));
    let daily = overview["daily"].as_array().expect("a series");
    assert_eq!(daily.len(), 30);
    assert_eq!(daily[0], json!({"date": "2026-10-22", "frictionIndex": null, "efficiencyScore": null, "sessions": 0}));
    assert_eq!(
        daily[29],
        json!({"date": "2026-11-20", "frictionIndex": 0.291667, "efficiencyScore": 0.5, "sessions": 3})
    );
    let top = picked(&overview["topHotspots"], &["screenId", "route", "friction", "impactSessions", "trend"]);
    assert_eq!(top[0], json!(["cart", "/cart", 0.5, 2, "flat"]));
    assert_eq!(top[1], json!(["home", "/home", 0.354167, 3, "flat"]));
}

#[tokio::test]
async fn the_overview_is_compared_with_the_period_before() {
    let world = World::of(&small_world()).await;
    let overview = world.ask("/v1/insights/overview?productId=crm&from=2026-11-20&to=2026-11-20").await;
    assert_eq!(pick(&overview["previous"], &["from", "to", "sessions"]), json!(["2026-11-19", "2026-11-19", 1]));
    assert_eq!(overview["change"], json!({"frictionIndex": 0.166668, "efficiencyScore": 0.0, "sessions": 2.0}));
    let alone = world.ask("/v1/insights/overview?productId=crm&from=2026-11-19&to=2026-11-19").await;
    assert_eq!(alone["change"], json!({"frictionIndex": null, "efficiencyScore": null, "sessions": null}));
}

#[tokio::test]
async fn hotspots_are_worst_first_and_unvisited_screens_last() {
    let world = World::of(&small_world()).await;
    let hotspots = world.ask("/v1/insights/hotspots?productId=crm").await;
    let names = ["screenId", "friction", "impact", "impactSessions", "visits"];
    let expect = [
        json!(["cart", 0.5, 0.4375, 2, 2]),
        json!(["home", 0.354167, 0.218751, 3, 4]),
        json!(["help", null, 0.0, 0, 0]),
    ];
    assert_eq!(picked(&hotspots["items"], &names), expect);
    let names =
        ["rageClicks", "deadClicks", "backtracks", "rageClickRate", "dropoffs", "dropoffRate", "avgTimeSpentMs"];
    let expect = [
        json!([1, 1, 0, 0.5, 1, 0.5, 30000.0]),
        json!([0, 0, 1, 0.0, 2, 0.666667, 30000.0]),
        json!([0, 0, 0, null, 0, null, null]),
    ];
    assert_eq!(picked(&hotspots["items"], &names), expect);
    let by_sessions = world.ask("/v1/insights/hotspots?productId=crm&sort=sessions").await;
    assert_eq!(by_sessions["items"][0]["screenId"], "home");
}

#[tokio::test]
async fn a_screen_that_got_worse_for_enough_sessions_trends_up() {
    let visit = |day, frustration| Visit { day, frustration, path: path("home@0"), ..Visit::default() };
    let mut visits = vec![visit("2026-11-19", 0.25); 20];
    visits.extend(vec![visit("2026-11-20", 0.5); 20]);
    let world = World::of(&visits).await;
    let hotspots = world.ask("/v1/insights/hotspots?productId=crm&from=2026-11-20&to=2026-11-20").await;
    let home = pick(&hotspots["items"][0], &["friction", "previousFriction", "trend"]);
    assert_eq!(home, json!([0.5, 0.25, "up"]));
}

#[tokio::test]
async fn sessions_come_newest_first_then_by_key() {
    let world = World::of(&small_world()).await;
    let sessions = world.ask("/v1/insights/sessions?productId=crm").await;
    let keys = picked(&sessions["items"], &["sessionKey", "startTs", "taskTypes"]);
    let expect = [
        json!([session_key(2), "2026-11-20T11:06:40.000Z", ["checkout", "search"]]),
        json!([session_key(3), "2026-11-20T11:06:40.000Z", []]),
        json!([session_key(1), "2026-11-20T10:00:00.000Z", []]),
        json!([session_key(0), "2026-11-19T10:00:00.000Z", ["checkout"]]),
    ];
    assert_eq!(keys, expect);
    assert_eq!(sessions["items"][1]["entryScreen"], Value::Null);
}

#[tokio::test]
async fn a_session_is_its_events_in_order_with_its_incidents() {
    let world = World::of(&small_world()).await;
    for question in ["", "?productId=crm", "?from=2026-11-20", "?from=2026-11-19&to=2026-11-21"] {
        let timeline = world.ask(&format!("/v1/insights/sessions/{}{question}", session_key(1))).await;
        let events = picked(&timeline["events"], &["position", "eventType", "screenId"]);
        let expect = [
            json!([0, "navigation", "home"]),
            json!([1, "navigation", "cart"]),
            json!([2, "click", "cart"]),
            json!([3, "click", "home"]),
            json!([4, "navigation", "home"]),
            json!([5, "scroll", "home"]),
        ];
        assert_eq!(events, expect);
        assert_eq!(picked(&timeline["incidents"], &["kind"]), [json!(["dead_click"]), json!(["backtrack"])]);
        assert_eq!(timeline["session"]["frustrationScore"], 0.75);
        assert_eq!(timeline["nextCursor"], Value::Null);
    }
    for question in ["?productId=erp", "?to=2026-11-19"] {
        let path = format!("/v1/insights/sessions/{}{question}", session_key(1));
        assert_eq!(world.refused(&path).await, (404, "session_not_found".into()));
    }
}

#[tokio::test]
async fn incidents_can_be_chosen_by_kind_screen_and_session() {
    let world = World::of(&small_world()).await;
    let check = async |question: &str, expect: &[&str]| {
        let incidents = world.ask(&format!("/v1/insights/incidents?productId=crm{question}")).await;
        let kinds: Vec<Value> = picked(&incidents["items"], &["kind"]);
        assert_eq!(kinds, expect.iter().map(|kind| json!([kind])).collect::<Vec<_>>(), "{question}");
    };
    check("", &["abandoned_task", "backtrack", "dead_click", "rage_click"]).await;
    check("&kind=rage_click", &["rage_click"]).await;
    check("&screenId=cart", &["dead_click", "rage_click"]).await;
    check("&segment=paid", &["backtrack", "dead_click"]).await;
    check("&version=2.2", &["rage_click"]).await;
    check("&taskType=search", &[]).await;
    check("&to=2026-11-19", &["rage_click"]).await;
}

#[tokio::test]
async fn flows_are_moves_and_a_graph_of_them() {
    let world = World::of(&small_world()).await;
    let flows = world.ask("/v1/flows/top?productId=crm").await;
    let expect = [
        json!([null, "home", 3, 3, 0.354167]),
        json!(["home", null, 2, 2, 0.40625]),
        json!(["home", "cart", 2, 2, 0.5]),
        json!(["cart", null, 1, 1, 0.25]),
        json!(["cart", "home", 1, 1, 0.75]),
    ];
    assert_eq!(picked(&flows["items"], &["fromScreen", "toScreen", "moves", "sessions", "friction"]), expect);

    let graph = world.ask("/v1/flows/graph?productId=crm&limit=2").await;
    assert_eq!(graph["nodes"], json!([{"screenId": "home", "visits": 4, "entries": 3, "exits": 2}]));
    assert_eq!(graph["links"].as_array().map(Vec::len), Some(2));
    assert_eq!(graph["omitted"], json!({"links": 3, "moves": 4}));
}

#[tokio::test]
async fn a_release_is_compared_with_the_days_before_it() {
    let world = World::of(&small_world()).await;
    let releases = world.ask("/v1/insights/releases?productId=crm&windowDays=1").await;
    let items = picked(&releases["items"], &["version", "firstSeenAt"]);
    assert_eq!(items, [json!(["2.3", "2026-11-20T10:00:00.000Z"]), json!(["2.2", "2026-11-19T10:00:00.000Z"])]);
    let newest = &releases["items"][0];
    let side = ["from", "to", "sessions", "frictionIndex", "daysWithSessions"];
    assert_eq!(pick(&newest["before"], &side), json!(["2026-11-19", "2026-11-19", 1, 0.25, 1]));
    assert_eq!(pick(&newest["after"], &side), json!(["2026-11-20", "2026-11-20", 2, 0.40625, 1]));
    assert_eq!(newest["change"]["frictionIndex"], 0.625);
    let one = world.ask("/v1/insights/releases?productId=crm&version=2.2&device=mobile").await;
    assert_eq!(picked(&one["items"], &["version"]), [json!(["2.2"])]);
}

#[tokio::test]
async fn products_are_listed() {
    let world = World::of(&small_world()).await;
    let products = world.ask("/v1/insights/products").await;
    let expect = [json!(["crm", "2026-11-19", "2026-11-20", 4]), json!(["erp", "2026-11-20", "2026-11-20", 1])];
    assert_eq!(picked(&products["items"], &["productId", "firstDay", "lastDay", "sessions"]), expect);
}

/// One session a day, with what the default period then is. Today is 2026-11-23.
async fn check_default_period(days: &[&'static str], question: &str, from: &str, to: &str, sessions: i64) {
    let visit = |day: &&'static str| Visit { day, path: path("home@0"), ..Visit::default() };
    let world = World::of(&days.iter().map(visit).collect::<Vec<_>>()).await;
    let overview = world.ask(&format!("/v1/insights/overview?productId=crm{question}")).await;
    assert_eq!(pick(&overview, &["from", "to", "sessions"]), json!([from, to, sessions]), "{days:?} {question}");
    let list = world.ask(&format!("/v1/insights/sessions?productId=crm{question}")).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(sessions as usize), "{days:?} {question}");
}

#[tokio::test]
async fn a_question_without_an_end_ends_on_the_newest_day_that_is_not_still_to_come() {
    let check = check_default_period;
    check(&["2026-11-10", "2098-01-01"], "", "2026-10-12", "2026-11-10", 1).await;
    check(&["2026-11-10", "2098-01-01"], "&from=2026-11-01", "2026-11-01", "2026-11-10", 1).await;
    // Today is not to come, tomorrow is.
    check(&["2026-11-10", "2026-11-23"], "", "2026-10-25", "2026-11-23", 2).await;
    check(&["2026-11-10", "2026-11-24"], "", "2026-10-12", "2026-11-10", 1).await;
    // Old files stay of use.
    check(&["2015-03-01", "2015-03-02"], "", "2015-02-01", "2015-03-02", 2).await;
    check(&["2015-03-01", "2015-03-02", "2099-12-31"], "", "2015-02-01", "2015-03-02", 2).await;
    check(&["2015-03-01", "2015-03-02"], "&from=2015-03-02", "2015-03-02", "2015-03-02", 1).await;
    // Nothing but wrong times: today, and those days on request.
    check(&["2098-01-01"], "", "2026-10-25", "2026-11-23", 0).await;
    check(&["2098-01-01"], "&from=2098-01-01", "2098-01-01", "2098-01-01", 1).await;
    check(&["2026-11-10", "2098-01-01"], "&to=2098-01-01", "2097-12-03", "2098-01-01", 1).await;
}

#[tokio::test]
async fn one_wrong_clock_changes_nobodys_default_view() {
    let wrong = Visit { day: "2098-01-01", path: path("home@0"), ..Visit::default() };
    let (sound, world) = (small_world(), [small_world(), vec![wrong]].concat());
    let (sound, world) = (World::of(&sound).await, World::of(&world).await);
    for question in [
        "/v1/insights/overview",
        "/v1/insights/hotspots",
        "/v1/insights/sessions",
        "/v1/insights/incidents",
        "/v1/flows/top",
        "/v1/flows/graph",
    ] {
        for period in ["", "&from=2026-11-20", "&device=desktop"] {
            let question = format!("{question}?productId=crm{period}");
            assert_eq!(world.ask(&question).await, sound.ask(&question).await, "{question}");
        }
    }
}
