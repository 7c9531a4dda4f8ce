//! Generates events in the order of their arrival.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::event::Event;
use super::settings::GenerateSettings;
use super::visit;
use super::world::World;
use crate::Error;

const MINUTE_MS: i64 = 60_000;
const MINUTES_PER_DAY: i64 = 1440;

/// Events in arrival order.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) settings: GenerateSettings,
    pub(super) world: World,
    rng: ChaCha8Rng,
    first_minute: i64,
    minutes: i64,
    minute: i64,
    /// The traffic planned until the end of the current minute, and for the whole period, in arbitrary units.
    weight: f64,
    weight_total: f64,
    day: DayShape,
    made: u64,
    given: u64,
    visit: Vec<Event>,
    in_transit: BTreeMap<i64, Vec<Event>>,
    arrived: std::vec::IntoIter<Event>,
}

/// How traffic is spread over one day.
#[derive(Debug)]
struct DayShape {
    level: f64,
    bursts: [(i64, i64, f64); 2],
}

impl DayShape {
    /// Weekends are quiet. Each day has two bursts of about a quarter of an hour.
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
    pub(super) fn new(settings: GenerateSettings) -> Result<Self, Error> {
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
            day: DayShape::new(settings.seed, 0, settings.from.weekday()),
            made: 0,
            given: 0,
            visit: Vec::new(),
            in_transit: BTreeMap::new(),
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
            self.day = DayShape::new(self.settings.seed, day, weekday);
        }
    }

    /// Begins the visits of one minute, then takes the events that arrive in it.
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
        let mut arrived = self.in_transit.remove(&(self.first_minute + self.minute)).unwrap_or_default();
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

    /// The SDK sends every five seconds. One event in a hundred is delayed, and one in a hundred arrives twice.
    fn send(&mut self, mut event: Event) {
        let flush_ms = 5000 - event.ts % 5000;
        let luck: u16 = self.rng.random();
        event.received_at = event.ts + flush_ms + 20 + i64::from(luck % 480);
        if luck < 655 {
            event.received_at += 60_000 + i64::from(self.rng.random::<u32>() % 21_600_000);
        }
        self.enqueue(event);
        if luck > 64_880 {
            event.received_at += 5_000 + i64::from(self.rng.random::<u16>()) * 2;
            self.enqueue(event);
        }
    }

    fn enqueue(&mut self, event: Event) {
        self.made += 1;
        self.in_transit.entry(event.received_at / MINUTE_MS).or_default().push(event);
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
            if self.minute >= self.minutes && self.in_transit.is_empty() {
                return None;
            }
            self.pass_minute();
        }
    }
}
