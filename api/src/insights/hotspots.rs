//! `GET /v1/insights/hotspots`: screens, worst first.
//!
//! Impact = (friction − the product's friction index) × sessions that visited: the frustration
//! that a screen's sessions have beyond the product's mean. A busy screen with little friction has little impact, and
//! so has a screen with much friction that few sessions visit.

use std::cmp::Reverse;

use axum::Json;
use hashbrown::HashMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::arithmetic::{descending, mean, rounded};
use super::totals::Totals;
use crate::insight_request::{InsightRequest, ListPage};
use crate::params;
use crate::problem::Problem;
use crate::store::{InsightStore, Scope, ScreenSums};

/// Fewest sessions in each of the two periods for a trend.
pub(crate) const TREND_SESSIONS_MIN: i64 = 20;
/// Least change of friction for a trend, as a share of the friction before …
pub(crate) const TREND_SHARE_MIN: f64 = 0.1;
/// … and as a difference. A trend needs both.
pub(crate) const TREND_FRICTION_MIN: f64 = 0.01;

/// A screen in a period.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hotspot {
    /// The screen.
    pub screen_id: String,
    /// Its route; the first by name where it has several.
    pub route: String,
    /// Mean frustration of the sessions that visited it; null where none did.
    #[schema(required)]
    pub friction: Option<f64>,
    /// The same in the equally long period before.
    #[schema(required)]
    pub previous_friction: Option<f64>,
    /// up or down when friction moved by at least 0.01 and a tenth, with at least 20 sessions in both periods; else flat.
    pub trend: Trend,
    /// (friction − the product's frictionIndex) × impactSessions.
    pub impact: f64,
    /// Mean efficiency of the sessions that visited it.
    #[schema(required)]
    pub efficiency: Option<f64>,
    /// Sessions that visited it.
    pub impact_sessions: i64,
    /// Visits to it.
    pub visits: i64,
    /// Rage clicks filed under it.
    pub rage_clicks: i64,
    /// Dead clicks filed under it.
    pub dead_clicks: i64,
    /// Error clicks filed under it.
    pub error_clicks: i64,
    /// Backtracks filed under it.
    pub backtracks: i64,
    /// Abandoned tasks filed under it.
    pub abandoned_tasks: i64,
    /// Rage clicks for each session that visited it.
    #[schema(required)]
    pub rage_click_rate: Option<f64>,
    /// Sessions whose last visit is here.
    pub dropoffs: i64,
    /// Their share of the sessions that visited it.
    #[schema(required)]
    pub dropoff_rate: Option<f64>,
    /// Mean length of a visit, in milliseconds.
    #[schema(required)]
    pub avg_time_spent_ms: Option<f64>,
}

/// Where friction is heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trend {
    /// It rose.
    Up,
    /// It did neither, or there are too few sessions to tell.
    Flat,
    /// It fell.
    Down,
}

/// What "worst first" sorts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HotspotOrder {
    /// The most impact.
    Impact,
    /// The most friction.
    Friction,
    /// The most sessions.
    Sessions,
}

/// Answers with a page of screens.
pub(crate) async fn hotspots(request: InsightRequest) -> Result<Json<ListPage<Hotspot>>, Problem> {
    let scope = request.scope().await?;
    let order = match request.text(&params::HOTSPOT_SORT).as_deref() {
        Some("friction") => HotspotOrder::Friction,
        Some("sessions") => HotspotOrder::Sessions,
        _ => HotspotOrder::Impact,
    };
    let days = request.store().session_days(&scope).await?;
    let friction_index = Totals::of(&days, scope.period).friction_index();
    let hotspots = rank(request.store(), &scope, friction_index, order).await?;
    Ok(Json(request.page_of_all(&scope, hotspots, |hotspot| hotspot.position(order))?))
}

/// The screens of a scope, worst first.
pub(crate) async fn rank(
    store: &dyn InsightStore,
    scope: &Scope,
    friction_index: Option<f64>,
    order: HotspotOrder,
) -> Result<Vec<Hotspot>, Problem> {
    let now = store.screens(scope).await?;
    let before = store.screens(&scope.during(scope.period.previous())).await?;
    let before: HashMap<&str, &ScreenSums> = before.iter().map(|sums| (sums.screen_id.as_str(), sums)).collect();
    let hotspots = now.into_iter().map(|sums| {
        let before = before.get(sums.screen_id.as_str()).copied();
        Hotspot::new(sums, before, friction_index.unwrap_or(0.0))
    });
    let mut hotspots: Vec<Hotspot> = hotspots.collect();
    hotspots.sort_by_cached_key(|hotspot| hotspot.position(order));
    Ok(hotspots)
}

impl Hotspot {
    fn new(sums: ScreenSums, before: Option<&ScreenSums>, friction_index: f64) -> Self {
        let friction = mean(sums.frustration_sum, sums.sessions);
        let previous_friction = before.and_then(|before| mean(before.frustration_sum, before.sessions));
        let sessions_before = before.map_or(0, |before| before.sessions);
        let rate = |count: i64| mean(count as f64, sums.sessions);
        Self {
            friction,
            previous_friction,
            trend: trend(friction, previous_friction, sums.sessions.min(sessions_before)),
            impact: rounded(friction.map_or(0.0, |friction| (friction - friction_index) * sums.sessions as f64)),
            efficiency: mean(sums.efficiency_sum, sums.sessions),
            rage_click_rate: rate(sums.rage_clicks),
            dropoff_rate: rate(sums.dropoffs),
            avg_time_spent_ms: mean(sums.time_spent_ms_sum as f64, sums.visits),
            screen_id: sums.screen_id,
            route: sums.route,
            impact_sessions: sums.sessions,
            visits: sums.visits,
            rage_clicks: sums.rage_clicks,
            dead_clicks: sums.dead_clicks,
            error_clicks: sums.error_clicks,
            backtracks: sums.backtracks,
            abandoned_tasks: sums.abandoned_tasks,
            dropoffs: sums.dropoffs,
        }
    }

    /// Its position in the list. Screens that nobody visited come last.
    fn position(&self, order: HotspotOrder) -> (bool, Reverse<i64>, String) {
        let by = match order {
            HotspotOrder::Impact => descending(self.impact),
            HotspotOrder::Friction => descending(self.friction.unwrap_or(0.0)),
            HotspotOrder::Sessions => Reverse(self.impact_sessions),
        };
        (self.friction.is_none(), by, self.screen_id.clone())
    }
}

fn trend(now: Option<f64>, before: Option<f64>, sessions: i64) -> Trend {
    let (Some(now), Some(before)) = (now, before) else { return Trend::Flat };
    let moved = rounded(now - before);
    let least = TREND_FRICTION_MIN.max(rounded(before * TREND_SHARE_MIN));
    match moved {
        _ if sessions < TREND_SESSIONS_MIN => Trend::Flat,
        _ if moved >= least => Trend::Up,
        _ if moved <= -least => Trend::Down,
        _ => Trend::Flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: f64, before: f64, sessions: i64, expect: Trend) {
        assert_eq!(trend(Some(now), Some(before), sessions), expect, "{now} {before} {sessions}");
    }

    #[test]
    fn a_trend_needs_a_hundredth_a_tenth_and_twenty_sessions() {
        check(0.06, 0.05, 20, Trend::Up);
        check(0.059, 0.05, 20, Trend::Flat);
        check(0.04, 0.05, 20, Trend::Down);
        check(0.22, 0.2, 20, Trend::Up);
        check(0.219, 0.2, 20, Trend::Flat);
        check(0.18, 0.2, 20, Trend::Down);
        check(0.9, 0.2, 19, Trend::Flat);
        assert_eq!(trend(Some(0.9), None, 20), Trend::Flat);
    }
}
