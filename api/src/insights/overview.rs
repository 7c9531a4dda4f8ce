//! `GET /v1/insights/overview`: how a product does, and where it hurts.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::hotspots::{Hotspot, HotspotOrder, Trend, rank};
use super::totals::{Totals, TotalsChange};
use crate::insight_request::InsightRequest;
use crate::period::{Day, Period};
use crate::problem::Problem;
use crate::store::SessionDay;

const TOP_HOTSPOTS: usize = 5;

/// A product in a period, against the equally long period before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// First day.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day.
    #[schema(value_type = String, format = Date)]
    pub to: Day,
    /// Mean frustration of the sessions, in (0, 1); lower is better.
    #[schema(required)]
    pub friction_index: Option<f64>,
    /// Mean efficiency of the sessions, in (0, 1); higher is better.
    #[schema(required)]
    pub efficiency_score: Option<f64>,
    /// Sessions.
    pub sessions: i64,
    /// The same in the period before.
    pub previous: Previous,
    /// What changed since, as a share: 0.1 is a tenth more.
    pub change: TotalsChange,
    /// Each day of the period.
    pub daily: Vec<DayPoint>,
    /// The screens that hurt most, worst first.
    pub top_hotspots: Vec<TopHotspot>,
}

/// The period before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Previous {
    /// First day.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day.
    #[schema(value_type = String, format = Date)]
    pub to: Day,
    /// Mean frustration.
    #[schema(required)]
    pub friction_index: Option<f64>,
    /// Mean efficiency.
    #[schema(required)]
    pub efficiency_score: Option<f64>,
    /// Sessions.
    pub sessions: i64,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DayPoint {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub date: Day,
    /// Mean frustration; null on a day without sessions.
    #[schema(required)]
    pub friction_index: Option<f64>,
    /// Mean efficiency; null on a day without sessions.
    #[schema(required)]
    pub efficiency_score: Option<f64>,
    /// Sessions.
    pub sessions: i64,
}

/// A screen that hurts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TopHotspot {
    /// The screen.
    pub screen_id: String,
    /// Its route.
    pub route: String,
    /// Mean frustration of the sessions that visited it.
    #[schema(required)]
    pub friction: Option<f64>,
    /// Sessions that visited it.
    pub impact_sessions: i64,
    /// Against the period before.
    pub trend: Trend,
}

/// Answers with the overview of a product.
pub(crate) async fn overview(request: InsightRequest) -> Result<Json<Overview>, Problem> {
    let scope = request.scope().await?;
    let previous = scope.period.previous();
    let both = scope.during(Period { from: previous.from, to: scope.period.to });
    let days = request.store().session_days(&both).await?;
    let (now, before) = (Totals::of(&days, scope.period), Totals::of(&days, previous));
    let hotspots = rank(request.store(), &scope, now.friction_index(), HotspotOrder::Impact).await?;
    Ok(Json(Overview {
        friction_index: now.friction_index(),
        efficiency_score: now.efficiency_score(),
        sessions: now.sessions,
        change: now.since(&before),
        previous: Previous {
            from: previous.from,
            to: previous.to,
            friction_index: before.friction_index(),
            efficiency_score: before.efficiency_score(),
            sessions: before.sessions,
        },
        daily: daily(&days, scope.period),
        top_hotspots: hotspots.into_iter().take(TOP_HOTSPOTS).map(TopHotspot::from).collect(),
        from: scope.period.from,
        to: scope.period.to,
        org_id: scope.org_id,
        product_id: scope.product_id,
    }))
}

// `days` are sorted, so the versions of a day are neighbours.
fn daily(days: &[SessionDay], period: Period) -> Vec<DayPoint> {
    let mut rest = &days[days.partition_point(|day| day.day < period.from)..];
    let points = period.iter().map(|date| {
        let (today, later) = rest.split_at(rest.partition_point(|day| day.day <= date));
        rest = later;
        let totals = Totals::sum(today.iter());
        DayPoint {
            date,
            friction_index: totals.friction_index(),
            efficiency_score: totals.efficiency_score(),
            sessions: totals.sessions,
        }
    });
    points.collect()
}

impl From<Hotspot> for TopHotspot {
    fn from(hotspot: Hotspot) -> Self {
        Self {
            screen_id: hotspot.screen_id,
            route: hotspot.route,
            friction: hotspot.friction,
            impact_sessions: hotspot.impact_sessions,
            trend: hotspot.trend,
        }
    }
}
