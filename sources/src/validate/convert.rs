//! Converts arrays as files store them to arrays as batches have them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, PrimitiveArray, StringArray, StringViewArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Int32Type, TimestampMillisecondType};

use crate::Error;

pub(super) fn without_nulls(array: &ArrayRef) -> Result<ArrayRef, Error> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, _) => {
            let given = array.as_dictionary::<Int32Type>();
            if given.values().is_empty() {
                let keys = PrimitiveArray::<Int32Type>::from_value(0, array.len());
                Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(vec![""])))?)
            } else {
                let keys = PrimitiveArray::<Int32Type>::new(given.keys().values().clone(), None);
                let bound = given.values().len() as i32;
                let keys = keys.unary(|key: i32| if (0..bound).contains(&key) { key } else { 0 });
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, given.values().clone())?)
            }
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            Arc::new(texts.iter().map(|text| Some(text.unwrap_or_default())).collect::<StringViewArray>())
        }
        DataType::Timestamp(_, _) => {
            let instants = array.as_primitive::<TimestampMillisecondType>();
            Arc::new(TimestampMillisecondArray::new(instants.values().clone(), None).with_timezone("UTC"))
        }
        _ => {
            let bools = array.as_boolean();
            let set = match bools.nulls() {
                Some(nulls) => bools.values() & nulls.inner(),
                None => bools.values().clone(),
            };
            Arc::new(BooleanArray::new(set, None))
        }
    })
}
