//! What a session contributes to each screen it touched, for fact_screen_hotspots.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray};
use arrow::datatypes::{Field, Fields};
use datafusion::common::Result;
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;

use super::score;
use super::sessions::Facts;
use crate::detect::{Events, IncidentKind, Scan};
use crate::session::{list_column, symbols};
use crate::symbols;

/// The additive columns, in order, as whole numbers; scores in units of [`score::UNIT`].
pub const ADDITIVE: [&str; 11] = [
    "sessions",
    "visits",
    "frustration_units",
    "efficiency_units",
    "rage_clicks",
    "dead_clicks",
    "error_clicks",
    "backtracks",
    "abandoned_tasks",
    "dropoffs",
    "time_spent_ms_sum",
];

/// What one session contributes to one screen.
#[derive(Debug, Clone, Copy, Default)]
struct ScreenContribution {
    screen: i32,
    route: i32,
    /// Whether the session visited the screen or has an incident there.
    shown: bool,
    visits: i64,
    /// Incidents of the session on this screen, by kind.
    incidents: [i64; 5],
    dropoffs: i64,
    time_spent_ms: i64,
}

/// The contributions of all sessions of a batch; reuses its allocations from batch to batch.
#[derive(Default)]
pub struct Screens {
    contributions: Vec<ScreenContribution>,
    ends: Vec<usize>,
    /// Where the contribution of a screen stands, for the session whose number is in `seen_by`.
    place: Vec<usize>,
    seen_by: Vec<usize>,
}

impl Screens {
    /// Begins a batch whose screens have codes below `screens`.
    pub fn begin(&mut self, screens: usize) {
        self.contributions.clear();
        self.ends.clear();
        self.place.resize(screens, 0);
        self.seen_by.clear();
        self.seen_by.resize(screens, usize::MAX);
    }

    /// Adds a scanned session; returns how many distinct screens its events are on.
    pub fn push(
        &mut self,
        events: &Events<'_>,
        scan: &Scan,
        incidents: impl Iterator<Item = (IncidentKind, i32)>,
    ) -> i64 {
        let session = self.ends.len();
        let start = self.contributions.len();
        for row in scan.rows.clone() {
            let action = events.of(row);
            let contribution = self.contribution(session, action.screen);
            // Dictionary order is byte order: the smallest code is the first route.
            contribution.route =
                if contribution.route < 0 { action.route } else { contribution.route.min(action.route) };
        }
        let unique_screens = (self.contributions.len() - start) as i64;
        let end_ts = events.ts[scan.rows.end - 1];
        for (i, visit) in scan.visits.iter().enumerate() {
            let until = scan.visits.get(i + 1).map_or(end_ts, |next| events.ts[next.row]);
            let contribution = self.contribution(session, visit.screen);
            contribution.shown = true;
            contribution.visits += 1;
            contribution.time_spent_ms += until - events.ts[visit.row];
            contribution.dropoffs += i64::from(i + 1 == scan.visits.len());
        }
        for (kind, screen) in incidents {
            let contribution = self.contribution(session, screen);
            contribution.shown = true;
            contribution.incidents[kind as usize] += 1;
        }
        // A screen that the session neither visited nor has an incident on gets no contribution.
        let mut kept = start;
        for at in start..self.contributions.len() {
            if self.contributions[at].shown {
                self.contributions.swap(kept, at);
                kept += 1;
            }
        }
        self.contributions.truncate(kept);
        self.ends.push(kept);
        unique_screens
    }

    fn contribution(&mut self, session: usize, screen: i32) -> &mut ScreenContribution {
        let code = screen as usize;
        if self.seen_by[code] != session {
            self.seen_by[code] = session;
            self.place[code] = self.contributions.len();
            self.contributions.push(ScreenContribution { screen, route: -1, ..ScreenContribution::default() });
        }
        &mut self.contributions[self.place[code]]
    }

    /// The list column `screens`, given the facts of each session.
    ///
    /// # Errors
    /// Where an event column is missing, or the columns do not fit the list.
    pub fn column(&self, events: &Events<'_>, facts: &[Facts]) -> Result<ArrayRef> {
        let mut start = 0;
        let mut scores = Vec::with_capacity(self.contributions.len());
        let mut lengths = Vec::with_capacity(self.ends.len());
        for (&end, facts) in self.ends.iter().zip(facts) {
            let of_session = (score::units(facts.frustration_score), score::units(facts.efficiency_score));
            scores.extend(std::iter::repeat_n(of_session, end - start));
            lengths.push(end - start);
            start = end;
        }
        let symbol = |name: &str, of: fn(&ScreenContribution) -> i32| -> Result<ArrayRef> {
            let codes = self.contributions.iter().map(of).collect();
            Ok(Arc::new(symbols::column(codes, events.symbols(name)?.values())))
        };
        let number = |of: &dyn Fn(&ScreenContribution) -> i64| -> ArrayRef {
            Arc::new(self.contributions.iter().map(of).collect::<Int64Array>())
        };
        let once = |units: &dyn Fn(&(i64, i64)) -> i64| -> ArrayRef {
            let contributions = self.contributions.iter().zip(&scores);
            Arc::new(
                contributions
                    .map(|(contribution, scores)| if contribution.visits > 0 { units(scores) } else { 0 })
                    .collect::<Int64Array>(),
            )
        };
        let filed = |kind: IncidentKind| number(&|contribution| contribution.incidents[kind as usize]);
        let columns = vec![
            symbol("screen_id", |contribution| contribution.screen)?,
            symbol("route", |contribution| contribution.route)?,
            number(&|contribution| i64::from(contribution.visits > 0)),
            number(&|contribution| contribution.visits),
            once(&|scores| scores.0),
            once(&|scores| scores.1),
            filed(IncidentKind::RageClick),
            filed(IncidentKind::DeadClick),
            filed(IncidentKind::ErrorClick),
            filed(IncidentKind::Backtrack),
            filed(IncidentKind::AbandonedTask),
            number(&|contribution| contribution.dropoffs),
            number(&|contribution| contribution.time_spent_ms),
        ];
        list_column(screen_fields(), lengths.into_iter(), columns)
    }
}

/// The fields of a contribution.
pub fn screen_fields() -> Fields {
    let field = |name: &str, kind| Field::new(name, in_flight_type(kind), false);
    let symbols = ["screen_id", "route"].map(|name| field(name, Type::Symbol));
    symbols.into_iter().chain(ADDITIVE.map(|name| field(name, Type::Int64))).collect()
}

/// Kind and screen of each incident of a batch, in the codes of its dictionaries.
pub struct FiledIncidents<'a> {
    kinds: Vec<Option<IncidentKind>>,
    screens: Cow<'a, [i32]>,
    offsets: &'a [i32],
}

/// Kind and screen of each incident of a batch.
///
/// # Errors
/// Where a column of the incidents is missing.
pub fn filed(incidents: &ListArray) -> Result<FiledIncidents<'_>> {
    let rows = incidents.values().as_struct();
    let kinds = symbols(rows, "kind")?;
    let by_name = |name: Option<&str>| IncidentKind::ALL.into_iter().find(|kind| Some(kind.name()) == name);
    let kind_of: Vec<Option<IncidentKind>> = kinds.values().as_string::<i32>().iter().map(by_name).collect();
    Ok(FiledIncidents {
        kinds: symbols::codes(kinds).iter().map(|&kind| kind_of[kind as usize]).collect(),
        screens: symbols::codes(symbols(rows, "screen_id")?),
        offsets: incidents.value_offsets(),
    })
}

impl FiledIncidents<'_> {
    /// Kind and screen of each incident of a session.
    pub fn of(&self, session: usize) -> impl Iterator<Item = (IncidentKind, i32)> {
        let of_session = self.offsets[session] as usize..self.offsets[session + 1] as usize;
        of_session.filter_map(|incident| Some((self.kinds[incident]?, self.screens[incident])))
    }
}
