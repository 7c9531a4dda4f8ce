//! Reference events to Arrow batches, and Arrow batches to the reference's lines.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType,
};
use netcrab_operators::symbols::SymbolArray;
use netcrab_schema::arrow::event_in_flight;

use crate::reference::Event;

/// The batch of these events, with dictionaries of its own.
pub(crate) fn batch(events: &[Event]) -> RecordBatch {
    let symbol = |of: &dyn Fn(&Event) -> Option<String>| -> ArrayRef {
        let texts: Vec<Option<String>> = events.iter().map(of).collect();
        Arc::new(texts.iter().map(Option::as_deref).collect::<SymbolArray>())
    };
    let text = |of: &dyn Fn(&Event) -> Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<StringViewArray>())
    };
    let instant = |of: &dyn Fn(&Event) -> Option<i64>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let real =
        |of: &dyn Fn(&Event) -> Option<f32>| -> ArrayRef { Arc::new(events.iter().map(of).collect::<Float32Array>()) };
    let flag =
        |of: &dyn Fn(&Event) -> Option<bool>| -> ArrayRef { Arc::new(events.iter().map(of).collect::<BooleanArray>()) };
    let columns = vec![
        symbol(&|event| Some(event.org_id.clone())),
        symbol(&|event| Some(event.product_id.clone())),
        text(&|event| Some(event.session_id.clone())),
        text(&|event| Some(event.user_hash.clone())),
        text(&|event| Some(event.event_id.clone())),
        instant(&|event| Some(event.ts)),
        instant(&|event| event.received_at),
        symbol(&|event| Some(event.event_type.clone())),
        Arc::new(events.iter().map(|event| event.seq).collect::<Int64Array>()),
        symbol(&|event| Some(event.screen_id.clone())),
        symbol(&|event| Some(event.route.clone())),
        symbol(&|event| event.app_name.clone()),
        symbol(&|event| event.element_type.clone()),
        symbol(&|event| event.element_label_h.clone()),
        symbol(&|event| event.error_code.clone()),
        symbol(&|event| event.os.clone()),
        symbol(&|event| event.browser.clone()),
        symbol(&|event| Some(event.device_type.clone())),
        real(&|event| event.latency_ms),
        real(&|event| event.page_x),
        real(&|event| event.page_y),
        real(&|event| event.reaction_ms),
        flag(&|event| Some(event.reaction_observed)),
        symbol(&|event| event.event_name.clone()),
        symbol(&|event| event.task_type.clone()),
        symbol(&|event| event.task_phase.clone()),
        flag(&|event| event.task_success),
        symbol(&|event| event.version_tag.clone()),
        symbol(&|event| event.segment.clone()),
        text(&|event| event.extra.clone()),
    ];
    let schema = event_in_flight();
    let columns = columns.iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

/// The rows of `batches` in these columns, as the reference prints them, sorted.
pub(crate) fn lines(batches: &[RecordBatch], columns: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let columns: Vec<&ArrayRef> = columns.iter().map(|name| batch.column_by_name(name).unwrap()).collect();
            let line = move |row: usize| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|");
            (0..batch.num_rows()).map(line).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    lines
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "\\N".to_owned();
    }
    match column.data_type() {
        DataType::Dictionary(..) => {
            let symbols = column.as_dictionary::<Int32Type>();
            symbols.values().as_string::<i32>().value(symbols.key(row).unwrap()).to_owned()
        }
        DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Date32 => column.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMillisecondType>().value(row).to_string(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            format!("[{}]", (0..items.len()).map(|item| cell(&items, item)).collect::<Vec<_>>().join(","))
        }
        other => panic!("no table has a {other}"),
    }
}
