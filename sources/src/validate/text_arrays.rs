//! Columns of any type as dictionaries and views of texts, with the buffers of the file where they fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;

use super::foreign::{Converted, texts};
use crate::Error;

/// A column as a dictionary of texts. The dictionary stays that of the file, so that it is validated once.
pub(super) fn packed(array: &ArrayRef) -> Result<Converted<ArrayRef>, Error> {
    let sound = |values: ArrayRef| Ok(Converted { values, faults: Vec::new() });
    match array.data_type() {
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
            return sound(array.clone());
        }
        DataType::Utf8 | DataType::LargeUtf8 => return sound(cast(array, &in_flight_type(Type::Symbol))?),
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Binary => {
            let dictionary = array.as_dictionary::<Int32Type>();
            if let Ok(texts) = StringArray::try_from_binary(dictionary.values().as_binary::<i32>().clone()) {
                return sound(Arc::new(dictionary.with_values(Arc::new(texts))));
            }
        }
        _ => {}
    }
    let Converted { values, faults } = texts(array)?;
    Ok(Converted { values: Arc::new(values.iter().collect::<DictionaryArray<Int32Type>>()), faults })
}

/// A column as views of texts. The buffers stay those of the file, so that each is scanned once.
pub(super) fn views(array: &ArrayRef) -> Result<Converted<ArrayRef>, Error> {
    let sound = |values: ArrayRef| Ok(Converted { values, faults: Vec::new() });
    match array.data_type() {
        DataType::Utf8View => return sound(array.clone()),
        DataType::BinaryView => {
            if let Ok(texts) = array.as_binary_view().clone().to_string_view() {
                return sound(Arc::new(texts));
            }
        }
        _ => {}
    }
    let Converted { values, faults } = texts(array)?;
    Ok(Converted { values: Arc::new(values), faults })
}
