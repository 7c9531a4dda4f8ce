//! `GET /v1/insights/releases`: before and after each release.
//!
//!     windowDays │ first day seen ······ windowDays
//!     [ before  ]│[ after                         ]
//!      sessions of   sessions that carry
//!      any version   the release
//!
//! A roll-out is gradual: for some days sessions still run on older versions. They say nothing about the release,
//! so `after` excludes them. The answer compares sums; it does not claim that the release caused the change.

use std::cmp::Reverse;

use axum::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::totals::{Totals, TotalsChange};
use crate::insight_request::{InsightRequest, ListPage};
use crate::params;
use crate::period::{Day, Period, instant};
use crate::problem::Problem;
use crate::store::{Filter, ProductRelease, Scope, SessionDay};

/// A release with the days around it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReleaseEffect {
    /// Its tag.
    pub version: String,
    /// Time of the first event that carries it.
    #[schema(format = DateTime)]
    pub first_seen_at: String,
    /// When it was released, where somebody recorded it.
    #[schema(required, format = DateTime)]
    pub released_at: Option<String>,
    /// Sessions of any version, before its first day.
    pub before: Side,
    /// Sessions that carry it, from its first day on.
    pub after: Side,
    /// What changed, as a share: 0.1 is a tenth more.
    pub change: TotalsChange,
    #[serde(skip)]
    first_seen_at_us: i64,
}

/// The days on one side of a release.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Side {
    /// First day.
    #[schema(value_type = String, format = Date)]
    pub from: Day,
    /// Last day.
    #[schema(value_type = String, format = Date)]
    pub to: Day,
    /// Days that have such sessions.
    pub days_with_sessions: usize,
    /// Mean frustration.
    #[schema(required)]
    pub friction_index: Option<f64>,
    /// Mean efficiency.
    #[schema(required)]
    pub efficiency_score: Option<f64>,
    /// Sessions.
    pub sessions: i64,
}

/// Answers with a page of releases first seen in the period, newest first.
pub(crate) async fn releases(request: InsightRequest) -> Result<Json<ListPage<ReleaseEffect>>, Problem> {
    let scope = request.scope().await?;
    let window_days = request.number(&params::WINDOW_DAYS) as i32;
    let mut releases = request.store().releases(&scope.org_id, &scope.product_id).await?;
    releases.retain(|release| {
        scope.period.contains(first_day(release))
            && scope.filter.version.as_ref().is_none_or(|version| *version == release.version)
    });
    // The version in the filter selects the release. The sessions before it have other versions.
    let around = Scope {
        period: Period { from: scope.period.from.plus(-window_days), to: scope.period.to.plus(window_days - 1) },
        filter: Filter { version: None, ..scope.filter.clone() },
        ..scope.clone()
    };
    let days = request.store().session_days(&around).await?;
    let effects = releases.into_iter().map(|release| effect(release, &days, window_days)).collect();
    let position = |effect: &ReleaseEffect| (Reverse(effect.first_seen_at_us), effect.version.clone());
    Ok(Json(request.page_of_all(&scope, effects, position)?))
}

fn first_day(release: &ProductRelease) -> Day {
    Day::of(Timestamp::from_microsecond(release.first_seen_at_us).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn effect(release: ProductRelease, days: &[SessionDay], window_days: i32) -> ReleaseEffect {
    let first = first_day(&release);
    let before = Period { from: first.plus(-window_days), to: first.plus(-1) };
    let after = Period { from: first, to: first.plus(window_days - 1) };
    let of_before: Vec<&SessionDay> = days.iter().filter(|day| before.contains(day.day)).collect();
    let carries_it = |day: &&SessionDay| day.version.as_ref() == Some(&release.version);
    let of_after: Vec<&SessionDay> = days.iter().filter(|day| after.contains(day.day)).filter(carries_it).collect();
    let (totals_before, totals_after) = (Totals::sum(of_before.iter().copied()), Totals::sum(of_after.iter().copied()));
    ReleaseEffect {
        first_seen_at: instant(release.first_seen_at_us),
        released_at: release.released_at_us.map(instant),
        before: Side::new(before, &of_before, totals_before),
        after: Side::new(after, &of_after, totals_after),
        change: totals_after.since(&totals_before),
        first_seen_at_us: release.first_seen_at_us,
        version: release.version,
    }
}

impl Side {
    fn new(period: Period, days: &[&SessionDay], totals: Totals) -> Self {
        let mut dates: Vec<Day> = days.iter().map(|day| day.day).collect();
        dates.dedup();
        Self {
            from: period.from,
            to: period.to,
            days_with_sessions: dates.len(),
            friction_index: totals.friction_index(),
            efficiency_score: totals.efficiency_score(),
            sessions: totals.sessions,
        }
    }
}
