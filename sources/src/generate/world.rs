//! The world of a run: its products, and one dictionary for each symbol column.
//!
//! ```text
//! plans ─▶ products (org, plan, visitors) ─▶ symbols interned once; batches carry only keys
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use hashbrown::HashMap;
use netcrab_schema::events::{DEVICE_TYPES, EVENT_TYPES, TASK_PHASES};

use super::plan::ProductPlan;
use super::population::{DEVICES, ERRORS, ORGS, RELEASES, SEGMENTS};
use super::products::PLANS;
use super::settings::GenerateSettings;

/// Average number of events of a visit.
const EVENTS_PER_SESSION: u64 = 25;

/// The key of an absent symbol.
pub(super) const NONE: u16 = u16::MAX;

/// A product of an organisation.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) org: u16,
    pub(super) plan: &'static ProductPlan,
    pub(super) screens: Vec<ScreenSymbols>,
    pub(super) tasks: Vec<u16>,
    pub(super) custom_events: Vec<u16>,
    pub(super) app: u16,
    /// Number of distinct visitors over the period.
    pub(super) visitors: u64,
    /// Whether this product has the screens that a demo should find.
    pub(super) worst: bool,
}

/// The keys of a screen and of its elements.
#[derive(Debug)]
pub(super) struct ScreenSymbols {
    pub(super) id: u16,
    pub(super) route: u16,
    /// Keys of the element type and of the label hash.
    pub(super) elements: Vec<(u16, u16)>,
}

/// The dictionary of one symbol column.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    keys: HashMap<String, u16>,
    values: Vec<String>,
}

impl SymbolTable {
    fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut symbols = Self::default();
        for value in values {
            symbols.key(value);
        }
        symbols
    }

    fn key(&mut self, value: &str) -> u16 {
        if let Some(key) = self.keys.get(value) {
            return *key;
        }
        let key = self.values.len() as u16;
        self.keys.insert(value.to_owned(), key);
        self.values.push(value.to_owned());
        key
    }

    pub(super) fn value(&self, key: u16) -> &str {
        &self.values[usize::from(key)]
    }

    pub(super) fn array(&self) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(&self.values))
    }
}

/// Everything that stays the same during a run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) products: Vec<Product>,
    pub(super) orgs: SymbolTable,
    pub(super) product_ids: SymbolTable,
    pub(super) event_types: SymbolTable,
    pub(super) screens: SymbolTable,
    pub(super) routes: SymbolTable,
    pub(super) apps: SymbolTable,
    pub(super) element_types: SymbolTable,
    pub(super) labels: SymbolTable,
    pub(super) errors: SymbolTable,
    pub(super) systems: SymbolTable,
    pub(super) browsers: SymbolTable,
    pub(super) device_types: SymbolTable,
    pub(super) event_names: SymbolTable,
    pub(super) task_types: SymbolTable,
    pub(super) task_phases: SymbolTable,
    pub(super) versions: SymbolTable,
    pub(super) segments: SymbolTable,
    /// For each device: the keys of its type, system and browsers.
    pub(super) devices: Vec<(u16, u16, Vec<u16>)>,
}

impl World {
    /// The world of these settings.
    pub(super) fn new(settings: &GenerateSettings) -> Self {
        let mut world = Self {
            products: Vec::new(),
            orgs: SymbolTable::default(),
            product_ids: SymbolTable::default(),
            event_types: SymbolTable::of(EVENT_TYPES.iter().copied()),
            screens: SymbolTable::default(),
            routes: SymbolTable::default(),
            apps: SymbolTable::default(),
            element_types: SymbolTable::default(),
            labels: SymbolTable::default(),
            errors: SymbolTable::of(ERRORS.iter().map(|error| error.0)),
            systems: SymbolTable::default(),
            browsers: SymbolTable::default(),
            device_types: SymbolTable::of(DEVICE_TYPES.iter().copied()),
            event_names: SymbolTable::of(["error", "task_start", "task_complete"]),
            task_types: SymbolTable::default(),
            task_phases: SymbolTable::of(TASK_PHASES.iter().copied()),
            versions: SymbolTable::of(RELEASES.iter().map(|release| release.0)),
            segments: SymbolTable::of(SEGMENTS.iter().map(|segment| segment.0).filter(|name| !name.is_empty())),
            devices: Vec::new(),
        };
        for (kind, system, browsers, _) in DEVICES {
            let keys = (world.device_types.key(kind), world.systems.key(system));
            let browsers = browsers.iter().map(|browser| world.browsers.key(browser)).collect();
            world.devices.push((keys.0, keys.1, browsers));
        }
        let count = usize::from(settings.orgs) * usize::from(settings.products_per_org);
        let sessions = settings.events / EVENTS_PER_SESSION + 1;
        let visitors = (sessions / count.max(1) as u64 / 6).max(3);
        for org in 0..settings.orgs {
            for place in 0..settings.products_per_org {
                world.add_product(usize::from(org), usize::from(place), visitors);
            }
        }
        world
    }

    fn add_product(&mut self, org: usize, place: usize, visitors: u64) {
        let plan = PLANS[(org + place) % PLANS.len()];
        let name = ORGS.get(org).map_or_else(|| format!("org-{org:03}"), |name| (*name).to_owned());
        let round = place / PLANS.len();
        let suffix = if round == 0 { String::new() } else { format!("-{}", round + 1) };
        let product_id = self.product_ids.key(&format!("{name}-{}{suffix}", plan.kind));
        debug_assert_eq!(usize::from(product_id), self.products.len());
        let mut screens = Vec::new();
        for screen in plan.screens {
            let elements = screen.elements.iter().map(|(kind, label)| {
                let hash = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(label.as_bytes()));
                (self.element_types.key(kind), self.labels.key(&hash))
            });
            let elements = elements.collect();
            screens.push(ScreenSymbols {
                id: self.screens.key(screen.id),
                route: self.routes.key(screen.route),
                elements,
            });
        }
        let product = Product {
            org: self.orgs.key(&name),
            plan,
            screens,
            tasks: plan.tasks.iter().map(|task| self.task_types.key(task.name)).collect(),
            custom_events: plan.custom_events.iter().map(|name| self.event_names.key(name)).collect(),
            app: self.apps.key(plan.app),
            visitors,
            worst: org == 0 && place == 0,
        };
        self.products.push(product);
    }
}
