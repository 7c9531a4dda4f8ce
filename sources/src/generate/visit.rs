//! One visit: what a visitor does from opening a product to leaving it.
//!
//! ```text
//! dashboard ── billing ──────────────── dashboard ── …
//!           click  rage ×4  error  scroll  └ backtrack within 20 s
//! ```
//!
//! Visitors think for seconds, trouble comes in bursts, and tasks begin and end on their screens.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::event::{Event, Phase, event_type};
use super::population::{BAD_RELEASE, DEVICES, ERRORS, RELEASES, SEGMENTS};
use super::products::{CRM_BILLING, CRM_IMPORT};
use super::world::{NONE, Product, World};

/// Most events of a visit.
const EVENTS_MAX: usize = 160;

/// Event names that every product has, in the order of the dictionary of the world.
const ERROR: u16 = 0;
const TASK_START: u16 = 1;
const TASK_COMPLETE: u16 = 2;

/// Generates one visit that begins at `start_ms`. `done` is the part of the period that has passed, from 0 to 1.
pub(super) fn act(
    world: &World,
    product: usize,
    start_ms: i64,
    done: f64,
    rng: &mut ChaCha8Rng,
    events: &mut Vec<Event>,
) {
    let plan = &world.products[product];
    let first = events.len();
    let visitor = visitor_of(plan, rng);
    let template = template_of(world, product, visitor, done, rng);
    let mut visit = Visit {
        product: plan,
        worse: template.version == BAD_RELEASE as u16,
        template,
        rng,
        events,
        first,
        now_ms: start_ms,
        screen: 0,
        before: None,
        task: None,
    };
    visit.run();
}

/// Chooses a visitor. A few visitors come often, most of them rarely.
fn visitor_of(product: &Product, rng: &mut ChaCha8Rng) -> u64 {
    let skewed: f64 = rng.random::<f64>().powf(1.6);
    ((skewed * product.visitors as f64) as u64).min(product.visitors - 1)
}

/// What all events of the visit have in common. A visitor keeps device and segment from visit to visit.
fn template_of(world: &World, product: usize, visitor: u64, done: f64, rng: &mut ChaCha8Rng) -> Event {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(product as u64).to_le_bytes());
    key[8..].copy_from_slice(&visitor.to_le_bytes());
    let hash = xxhash_rust::xxh3::xxh3_128(&key);
    let weights = DEVICES.iter().map(|device| device.3);
    let (device_type, system, browsers) = &world.devices[weighted(weights, hash as u32)];
    let segment = weighted(SEGMENTS.iter().map(|segment| segment.1), (hash >> 32) as u32);
    // A release reaches all visitors within about a day of its date.
    let delay = 0.03 * ((hash >> 64) as u16) as f64 / f64::from(u16::MAX);
    let version = RELEASES.iter().rposition(|release| release.1 == 0.0 || done >= release.1 + delay).unwrap_or(0);
    Event {
        session: rng.random(),
        user: hash,
        product: product as u16,
        org: world.products[product].org,
        app: world.products[product].app,
        device_type: *device_type,
        system: *system,
        browser: browsers[(hash >> 96) as usize % browsers.len()],
        segment: if segment == 0 { NONE } else { segment as u16 - 1 },
        version: version as u16,
        ..Event::EMPTY
    }
}

/// The index that a random number chooses.
fn weighted(weights: impl Iterator<Item = u32> + Clone, random: u32) -> usize {
    let total: u32 = weights.clone().sum();
    let mut left = ((u64::from(random) * u64::from(total)) >> 32) as u32;
    for (place, weight) in weights.enumerate() {
        if left < weight {
            return place;
        }
        left -= weight;
    }
    0
}

struct Visit<'a> {
    product: &'a Product,
    template: Event,
    worse: bool,
    rng: &'a mut ChaCha8Rng,
    events: &'a mut Vec<Event>,
    first: usize,
    now_ms: i64,
    screen: usize,
    before: Option<usize>,
    task: Option<usize>,
}

impl Visit<'_> {
    fn run(&mut self) {
        let length = (4.0 + self.exponential(18.5)) as usize;
        let length = length.min(EVENTS_MAX);
        self.screen = if self.chance(0.8) { 0 } else { self.rng.random_range(0..self.product.plan.screens.len()) };
        self.arrive();
        while self.events.len() - self.first < length {
            self.think();
            match self.rng.random::<u8>() {
                0..64 => self.go_on(),
                64..160 => self.click(),
                160..202 => self.plain(event_type::SCROLL),
                202..234 => self.plain(event_type::INPUT_META),
                234..244 => self.plain(event_type::FOCUS_CHANGE),
                _ => self.custom(),
            }
        }
    }

    fn chance(&mut self, probability: f32) -> bool {
        self.rng.random::<f32>() < probability
    }

    fn exponential(&mut self, mean: f32) -> f32 {
        -mean * (1.0 - self.rng.random::<f32>()).ln()
    }

    /// How much goes wrong on the current screen; 1 is usual.
    fn trouble(&self) -> f32 {
        let usual = self.product.plan.screens[self.screen].trouble;
        let worst = self.product.worst && self.screen == CRM_BILLING;
        match (worst, self.product.worst && self.screen == CRM_IMPORT) {
            (true, _) if self.worse => usual * 7.0,
            (true, _) => usual * 3.5,
            (_, true) => usual * 3.0,
            _ => usual,
        }
    }

    fn think(&mut self) {
        let pause = self.exponential(6500.0) as i64 + 250;
        self.now_ms += pause;
        match self.rng.random::<u16>() {
            0..50 => self.now_ms += 31 * 60_000 + i64::from(self.rng.random::<u16>()) * 20,
            50..900 => self.now_ms += i64::from(self.rng.random::<u16>()) * 9,
            _ => {}
        }
    }

    fn push(&mut self, kind: u16) -> &mut Event {
        let screen = &self.product.screens[self.screen];
        let mut event = self.template;
        event.ts = self.now_ms;
        event.id = self.rng.random();
        event.seq = (self.events.len() - self.first) as u32;
        event.event_type = kind;
        event.screen = screen.id;
        event.route = screen.route;
        self.events.push(event);
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn plain(&mut self, kind: u16) {
        let (element_type, label) = self.element();
        let event = self.push(kind);
        if kind == event_type::INPUT_META {
            (event.element_type, event.label) = (element_type, label);
        }
    }

    fn custom(&mut self) {
        let names = &self.product.custom_events;
        let name = names[self.rng.random_range(0..names.len())];
        let extra = self.rng.random_range(1..200);
        let event = self.push(event_type::CUSTOM);
        event.event_name = name;
        event.extra = extra;
    }

    fn element(&mut self) -> (u16, u16) {
        let elements = &self.product.screens[self.screen].elements;
        elements[self.rng.random_range(0..elements.len())]
    }

    /// Moves to another screen. From a screen with much trouble often straight back.
    fn go_on(&mut self) {
        let back = (0.05 * self.trouble()).min(0.6);
        if let Some(before) = self.before.filter(|before| *before != self.screen)
            && self.chance(back)
        {
            self.now_ms += 900;
            self.move_to(before);
            return;
        }
        let next = self.product.plan.screens[self.screen].next;
        let random = self.rng.random();
        self.move_to(next[weighted(next.iter().map(|way| way.1), random)].0);
    }

    fn move_to(&mut self, screen: usize) {
        self.before = Some(self.screen);
        self.screen = screen;
        self.arrive();
    }

    fn arrive(&mut self) {
        let latency = 90.0 + self.exponential(160.0) * self.trouble().max(0.7);
        self.push(event_type::NAVIGATION).latency_ms = latency.round();
        self.end_task();
        self.begin_task();
    }

    fn begin_task(&mut self) {
        if self.task.is_some() {
            return;
        }
        let begun = self.product.plan.tasks.iter().position(|task| task.from == self.screen);
        let Some(task) = begun.filter(|_| self.rng.random::<f32>() < 0.6) else { return };
        self.task = Some(task);
        self.now_ms += 40;
        let task_type = self.product.tasks[task];
        let event = self.push(event_type::CUSTOM);
        (event.event_name, event.task_type, event.phase) = (TASK_START, task_type, Phase::Start);
    }

    /// Completes the task on its last screen. Some tasks fail, and where there is much trouble many are abandoned.
    fn end_task(&mut self) {
        let Some(task) = self.task.filter(|task| self.product.plan.tasks[*task].to == self.screen) else { return };
        let start = &self.product.plan.screens[self.product.plan.tasks[task].from];
        let (given_up, failed) = (0.06 * start.trouble, 0.04 * start.trouble);
        self.task = None;
        if self.chance(given_up) {
            return;
        }
        self.now_ms += 60;
        let success = !self.chance(failed);
        let task_type = self.product.tasks[task];
        let event = self.push(event_type::CUSTOM);
        (event.event_name, event.task_type) = (TASK_COMPLETE, task_type);
        event.phase = if success { Phase::Success } else { Phase::Failure };
    }

    fn click(&mut self) {
        let trouble = self.trouble();
        let target = self.element();
        let luck = self.rng.random::<f32>();
        let (rage, dead, error) = (0.006 * trouble, 0.022 * trouble, 0.018 * trouble);
        if luck < rage {
            self.rage(target);
        } else if luck < rage + dead {
            self.dead(target);
        } else {
            self.press(target, true);
            if luck > 1.0 - error {
                self.error();
            }
        }
    }

    fn press(&mut self, target: (u16, u16), reacts: bool) {
        let reaction = 12.0 + self.exponential(110.0);
        let (spread_x, spread_y) = (self.rng.random::<f32>(), self.rng.random::<f32>());
        let watched = self.template.session as u8 > 20;
        let event = self.push(event_type::CLICK);
        (event.element_type, event.label) = target;
        // An element has a fixed position on the page; clicks hit it here and there.
        event.page_x = (80.0 + f32::from(target.1 % 17) * 62.0 + spread_x * 44.0).round();
        event.page_y = (60.0 + f32::from(target.1 % 23) * 71.0 + spread_y * 22.0).round();
        event.reaction_observed = watched;
        if watched && reacts && reaction < 2500.0 {
            event.reaction_ms = reaction.round();
        }
    }

    fn rage(&mut self, target: (u16, u16)) {
        let clicks = self.rng.random_range(3..7);
        let reacts = self.chance(0.4);
        for _ in 0..clicks {
            self.press(target, reacts);
            self.now_ms += self.rng.random_range(110..380);
        }
    }

    fn dead(&mut self, target: (u16, u16)) {
        let clicks = if self.chance(0.3) { 2 } else { 1 };
        for _ in 0..clicks {
            self.press(target, false);
            self.now_ms += self.rng.random_range(700..2100);
        }
    }

    fn error(&mut self) {
        self.now_ms += self.rng.random_range(60..900);
        let random = self.rng.random();
        let code = weighted(ERRORS.iter().map(|error| error.1), random) as u16;
        let event = self.push(event_type::CUSTOM);
        (event.event_name, event.error) = (ERROR, code);
    }
}
