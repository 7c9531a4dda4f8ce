//! Turns generated events into batches of the in-flight schema.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int32Array, Int64Array, RecordBatch,
    StringDictionaryBuilder, StringViewBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;

use super::event::{Event, extra, hyphenated};
use super::world::{NONE, World};
use crate::event_id::uuid_v7;

/// Builds batches that share the world's dictionaries.
#[derive(Debug)]
pub(super) struct GeneratedBatchBuilder {
    schema: SchemaRef,
    orgs: ArrayRef,
    products: ArrayRef,
    event_types: ArrayRef,
    screens: ArrayRef,
    routes: ArrayRef,
    apps: ArrayRef,
    element_types: ArrayRef,
    labels: ArrayRef,
    errors: ArrayRef,
    systems: ArrayRef,
    browsers: ArrayRef,
    device_types: ArrayRef,
    event_names: ArrayRef,
    task_types: ArrayRef,
    task_phases: ArrayRef,
    versions: ArrayRef,
    segments: ArrayRef,
}

impl GeneratedBatchBuilder {
    pub(super) fn new(world: &World) -> Self {
        Self {
            schema: netcrab_schema::arrow::event_in_flight(),
            orgs: world.orgs.array(),
            products: world.product_ids.array(),
            event_types: world.event_types.array(),
            screens: world.screens.array(),
            routes: world.routes.array(),
            apps: world.apps.array(),
            element_types: world.element_types.array(),
            labels: world.labels.array(),
            errors: world.errors.array(),
            systems: world.systems.array(),
            browsers: world.browsers.array(),
            device_types: world.device_types.array(),
            event_names: world.event_names.array(),
            task_types: world.task_types.array(),
            task_phases: world.task_phases.array(),
            versions: world.versions.array(),
            segments: world.segments.array(),
        }
    }

    /// Builds a batch of the events, in the in-flight schema.
    pub(super) fn batch(&self, events: &[Event]) -> Result<RecordBatch, ArrowError> {
        let columns = vec![
            symbols(&self.orgs, events, |event| event.org)?,
            symbols(&self.products, events, |event| event.product)?,
            repeated(events, |event, text| hyphenated(event.session, text)),
            repeated(events, |event, text| hexadecimal(event.user, text)),
            texts(events, |event, text| {
                uuid_v7(event.ts, event.id).encode_lower(text);
                36
            }),
            instants(events, |event| event.ts),
            instants(events, |event| event.received_at),
            symbols(&self.event_types, events, |event| event.event_type)?,
            Arc::new(Int64Array::from_iter_values(events.iter().map(|event| i64::from(event.seq)))),
            symbols(&self.screens, events, |event| event.screen)?,
            symbols(&self.routes, events, |event| event.route)?,
            symbols(&self.apps, events, |event| event.app)?,
            symbols(&self.element_types, events, |event| event.element_type)?,
            symbols(&self.labels, events, |event| event.label)?,
            symbols(&self.errors, events, |event| event.error)?,
            symbols(&self.systems, events, |event| event.system)?,
            symbols(&self.browsers, events, |event| event.browser)?,
            symbols(&self.device_types, events, |event| event.device_type)?,
            floats(events, |event| event.latency_ms),
            floats(events, |event| event.page_x),
            floats(events, |event| event.page_y),
            floats(events, |event| event.reaction_ms),
            Arc::new(events.iter().map(|event| Some(event.reaction_observed)).collect::<BooleanArray>()),
            symbols(&self.event_names, events, |event| event.event_name)?,
            symbols(&self.task_types, events, |event| event.task_type)?,
            symbols(&self.task_phases, events, Event::phase_key)?,
            Arc::new(events.iter().map(Event::success).collect::<BooleanArray>()),
            symbols(&self.versions, events, |event| event.version)?,
            symbols(&self.segments, events, |event| event.segment)?,
            extras(events),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn symbols(values: &ArrayRef, events: &[Event], key: impl Fn(&Event) -> u16) -> Result<ArrayRef, ArrowError> {
    let absent = events.iter().fold(false, |absent, event| absent | (key(event) == NONE));
    let keys: Int32Array = if absent {
        events.iter().map(|event| Some(key(event)).filter(|key| *key != NONE).map(i32::from)).collect()
    } else {
        events.iter().map(|event| i32::from(key(event))).collect::<Vec<i32>>().into()
    };
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values.clone())?))
}

fn instants(events: &[Event], instant: impl Fn(&Event) -> i64) -> ArrayRef {
    let values: Vec<i64> = events.iter().map(instant).collect();
    Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
}

fn floats(events: &[Event], number: impl Fn(&Event) -> f32) -> ArrayRef {
    Arc::new(events.iter().map(|event| Some(number(event)).filter(|number| !number.is_nan())).collect::<Float32Array>())
}

fn texts(events: &[Event], write: impl Fn(&Event, &mut [u8; 36]) -> usize) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(events.len()).with_fixed_block_size(1 << 19);
    let mut text = [0; 36];
    for event in events {
        let length = write(event, &mut text);
        // The ids are ASCII, so the text is never empty.
        texts.append_value(std::str::from_utf8(&text[..length]).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

fn repeated(events: &[Event], write: impl Fn(&Event, &mut [u8; 36]) -> usize) -> ArrayRef {
    let mut texts = StringDictionaryBuilder::<Int32Type>::with_capacity(events.len(), 1024, 1 << 15);
    let mut text = [0; 36];
    for event in events {
        let length = write(event, &mut text);
        texts.append_value(std::str::from_utf8(&text[..length]).unwrap_or_default());
    }
    Arc::new(texts.finish())
}

fn hexadecimal(bits: u128, text: &mut [u8; 36]) -> usize {
    uuid::Uuid::from_u128(bits).simple().encode_lower(text);
    32
}

fn extras(events: &[Event]) -> ArrayRef {
    let mut texts = StringViewBuilder::with_capacity(events.len());
    for event in events {
        texts.append_option((event.extra > 0).then(|| extra(event.extra)));
    }
    Arc::new(texts.finish())
}
