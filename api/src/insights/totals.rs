//! Sessions of some days, added up, and what changed between two such sums.

use serde::Serialize;
use utoipa::ToSchema;

use super::arithmetic::{change, mean};
use crate::period::Period;
use crate::store::SessionDay;

/// Sessions of some days, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    /// Sessions.
    pub sessions: i64,
    frustration_sum: f64,
    efficiency_sum: f64,
}

impl Totals {
    /// Of the days in `period`.
    pub(crate) fn of(days: &[SessionDay], period: Period) -> Self {
        Self::sum(days.iter().filter(|day| period.contains(day.day)))
    }

    /// Of these days.
    pub(crate) fn sum<'a>(days: impl Iterator<Item = &'a SessionDay>) -> Self {
        days.fold(Self::default(), |sum, day| Self {
            sessions: sum.sessions + day.sessions,
            frustration_sum: sum.frustration_sum + day.frustration_sum,
            efficiency_sum: sum.efficiency_sum + day.efficiency_sum,
        })
    }

    /// Mean frustration.
    pub(crate) fn friction_index(&self) -> Option<f64> {
        mean(self.frustration_sum, self.sessions)
    }

    /// Mean efficiency.
    pub(crate) fn efficiency_score(&self) -> Option<f64> {
        mean(self.efficiency_sum, self.sessions)
    }

    /// What changed since `before`.
    pub(crate) fn since(&self, before: &Self) -> TotalsChange {
        TotalsChange {
            friction_index: change(self.friction_index(), before.friction_index()),
            efficiency_score: change(self.efficiency_score(), before.efficiency_score()),
            sessions: change(Some(self.sessions as f64), Some(before.sessions as f64)),
        }
    }
}

/// Relative changes; null where there was nothing before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Change)]
pub(crate) struct TotalsChange {
    /// Of the friction index.
    #[schema(required)]
    pub friction_index: Option<f64>,
    /// Of the efficiency score.
    #[schema(required)]
    pub efficiency_score: Option<f64>,
    /// Of the number of sessions.
    #[schema(required)]
    pub sessions: Option<f64>,
}
