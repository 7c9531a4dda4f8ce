//! Makes realistic traffic, the same for the same seed: for demos, benches and tests.
//!
//!     minute by minute  ─▶ visits begin ─▶ their events ─▶ wait for arrival ─▶ batches
//!     day, week, bursts     visit.rs       ts              received_at         in arrival order
//!
//! State   the events that have not arrived yet; its size follows the rate of traffic, not its length
//!
//! One event in a hundred arrives twice, one in a hundred arrives minutes or hours late. The first
//! product of the first organisation has two screens that are clearly the worst, and one of them
//! becomes worse with release 2.3.0.

mod event;
mod plans;
mod visit;
mod world;
mod write;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use jiff::civil::Date;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Error;
use event::{Columns, Event};
use world::World;
pub use write::{Layout, Written, write_ndjson, write_parquet};

/// Events of a visit, on average.
const EVENTS_PER_SESSION: u64 = 25;

const MINUTE_MS: i64 = 60_000;
const MINUTES_PER_DAY: i64 = 1440;

/// What traffic to make.
#[derive(Debug, Clone)]
pub struct GenerateSettings {
    /// Chooses the traffic; the same seed and settings give the same events. Default: 1.
    pub seed: u64,
    /// Organisations. Default: 3.
    pub orgs: u16,
    /// Products of each organisation. Default: 2.
    pub products_per_org: u16,
    /// The first day, UTC. Default: 2026-10-01.
    pub from: Date,
    /// How many days. Default: 30.
    pub days: u16,
    /// How many events in all, repeats included. Default: 1_000_000.
    pub events: u64,
    /// Rows of a batch. Default: 8192.
    pub batch_rows: usize,
}

impl Default for GenerateSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            orgs: 3,
            products_per_org: 2,
            from: jiff::civil::date(2026, 10, 1),
            days: 30,
            events: 1_000_000,
            batch_rows: 8192,
        }
    }
}

impl GenerateSettings {
    /// Refuses settings that no traffic fits.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        if self.orgs == 0
            || self.products_per_org == 0
            || u32::from(self.orgs) * u32::from(self.products_per_org) > 20_000
        {
            return refuse("orgs", format!("{} × {}", self.orgs, self.products_per_org), "1 to 20000 products in all");
        }
        if self.days == 0 {
            return refuse("days", "0".to_owned(), "1 or more");
        }
        if !(2000..2095).contains(&self.from.year()) {
            return refuse("from", self.from.to_string(), "a date from 2000 to 2094");
        }
        if self.batch_rows == 0 {
            return refuse("batch_rows", "0".to_owned(), "1 or more");
        }
        Ok(())
    }
}

/// Batches of events in arrival order, all columns; ends after [`GenerateSettings::events`] rows.
#[derive(Debug)]
pub struct Traffic {
    arrivals: Arrivals,
    columns: Columns,
    batch: Vec<Event>,
}

impl Traffic {
    /// The traffic that the settings describe.
    pub fn new(settings: GenerateSettings) -> Result<Self, Error> {
        let arrivals = Arrivals::new(settings)?;
        let columns = Columns::new(&arrivals.world);
        let batch = Vec::with_capacity(arrivals.settings.batch_rows);
        Ok(Self { arrivals, columns, batch })
    }
}

impl Iterator for Traffic {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch.clear();
        let rows = self.arrivals.settings.batch_rows;
        self.batch.extend(self.arrivals.by_ref().take(rows));
        if self.batch.is_empty() {
            return None;
        }
        Some(self.columns.batch(&self.batch).map_err(Error::Batch))
    }
}

/// Events in arrival order.
#[derive(Debug)]
struct Arrivals {
    settings: GenerateSettings,
    world: World,
    rng: ChaCha8Rng,
    first_minute: i64,
    minutes: i64,
    minute: i64,
    /// Traffic planned up to the end of the current minute, and in all, in arbitrary units.
    weight: f64,
    weight_total: f64,
    day: Day,
    made: u64,
    given: u64,
    visit: Vec<Event>,
    waiting: BTreeMap<i64, Vec<Event>>,
    arrived: std::vec::IntoIter<Event>,
}

/// The shape of one day.
#[derive(Debug)]
struct Day {
    level: f64,
    bursts: [(i64, i64, f64); 2],
}

impl Day {
    /// Weekends are quiet; two bursts of a quarter of an hour or so fall on each day.
    fn new(seed: u64, day: i64, weekday: jiff::civil::Weekday) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (day as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let level = match weekday {
            jiff::civil::Weekday::Saturday => 0.38,
            jiff::civil::Weekday::Sunday => 0.33,
            jiff::civil::Weekday::Monday => 1.12,
            jiff::civil::Weekday::Friday => 0.9,
            _ => 1.0,
        };
        let mut burst = || {
            let from = rng.random_range(7 * 60..20 * 60);
            (from, from + rng.random_range(8..25), rng.random_range(1.8..4.0))
        };
        let bursts = [burst(), burst()];
        Self { level: level * rng.random_range(0.92..1.08), bursts }
    }

    fn weight(&self, minute: i64) -> f64 {
        let hour = minute as f64 / 60.0;
        let bell = |centre: f64, width: f64| (-((hour - centre) / width).powi(2)).exp();
        let shape = 0.06 + bell(10.5, 2.4) + 0.9 * bell(15.0, 2.6) + 0.28 * bell(20.5, 1.8);
        let burst = self.bursts.iter().filter(|(from, to, _)| (*from..*to).contains(&minute)).map(|burst| burst.2);
        self.level * shape * burst.fold(1.0, f64::max)
    }
}

impl Arrivals {
    fn new(settings: GenerateSettings) -> Result<Self, Error> {
        settings.check()?;
        let world = World::new(&settings);
        let midnight = settings.from.to_zoned(jiff::tz::TimeZone::UTC).map(|at| at.timestamp().as_millisecond());
        let midnight = midnight.map_err(|_| Error::Setting {
            setting: "from",
            found: settings.from.to_string(),
            expected: "a date from 2000 to 2094",
        })?;
        let mut arrivals = Self {
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            first_minute: midnight / MINUTE_MS,
            minutes: i64::from(settings.days) * MINUTES_PER_DAY,
            minute: 0,
            weight: 0.0,
            weight_total: 0.0,
            day: Day::new(settings.seed, 0, settings.from.weekday()),
            made: 0,
            given: 0,
            visit: Vec::new(),
            waiting: BTreeMap::new(),
            arrived: Vec::new().into_iter(),
            world,
            settings,
        };
        for minute in 0..arrivals.minutes {
            arrivals.turn_day(minute);
            arrivals.weight_total += arrivals.day.weight(minute % MINUTES_PER_DAY);
        }
        Ok(arrivals)
    }

    fn turn_day(&mut self, minute: i64) {
        if minute % MINUTES_PER_DAY == 0 {
            let day = minute / MINUTES_PER_DAY;
            let weekday = self.settings.from.weekday().wrapping_add(day);
            self.day = Day::new(self.settings.seed, day, weekday);
        }
    }

    /// Lets the visits of one minute begin, then takes what arrives in it.
    fn pass_minute(&mut self) {
        if self.minute < self.minutes {
            self.turn_day(self.minute);
            self.weight += self.day.weight(self.minute % MINUTES_PER_DAY);
            let last = self.minute + 1 == self.minutes;
            let planned = if last {
                self.settings.events
            } else {
                (self.settings.events as f64 * self.weight / self.weight_total) as u64
            };
            while self.made < planned {
                self.begin_visit();
            }
        }
        let mut arrived = self.waiting.remove(&(self.first_minute + self.minute)).unwrap_or_default();
        arrived.sort_unstable_by_key(|event| (event.received_at, event.id));
        self.arrived = arrived.into_iter();
        self.minute += 1;
    }

    fn begin_visit(&mut self) {
        let start_ms = (self.first_minute + self.minute) * MINUTE_MS + self.rng.random_range(0..MINUTE_MS);
        let done = self.minute as f64 / self.minutes as f64;
        // Earlier products are larger: the first has about twice the traffic of the last.
        let place: f64 = self.rng.random::<f64>().powf(1.25);
        let product = (place * self.world.products.len() as f64) as usize;
        let product = product.min(self.world.products.len() - 1);
        visit::act(&self.world, product, start_ms, done, &mut self.rng, &mut self.visit);
        let mut visit = std::mem::take(&mut self.visit);
        for event in visit.drain(..) {
            self.send(event);
        }
        self.visit = visit;
    }

    /// The SDK sends every five seconds; a hundredth is held up on the way, a hundredth comes twice.
    fn send(&mut self, mut event: Event) {
        let flush_ms = 5000 - event.ts % 5000;
        let luck: u16 = self.rng.random();
        event.received_at = event.ts + flush_ms + 20 + i64::from(luck % 480);
        if luck < 655 {
            event.received_at += 60_000 + i64::from(self.rng.random::<u32>() % 21_600_000);
        }
        self.wait(event);
        if luck > 64_880 {
            event.received_at += 5_000 + i64::from(self.rng.random::<u16>()) * 2;
            self.wait(event);
        }
    }

    fn wait(&mut self, event: Event) {
        self.made += 1;
        self.waiting.entry(event.received_at / MINUTE_MS).or_default().push(event);
    }
}

impl Iterator for Arrivals {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.given == self.settings.events {
            return None;
        }
        loop {
            if let Some(event) = self.arrived.next() {
                self.given += 1;
                return Some(event);
            }
            if self.minute >= self.minutes && self.waiting.is_empty() {
                return None;
            }
            self.pass_minute();
        }
    }
}
