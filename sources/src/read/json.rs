//! Takes the values that a mapping names out of a foreign JSON object.
//!
//! ```text
//! {"user":{"id":7},"event":"buy"}   user.id · event   ─▶   7 · buy
//! ```
//!
//! A key with the whole name has precedence over a path of keys. Scalars become text; objects and arrays are absent.

use std::borrow::Cow;

use serde_json::Value;

use crate::reject::{Fault, Reason};

/// The values of `columns`, in order.
pub(crate) fn values(text: &str, columns: &[String]) -> Result<Vec<Option<Cow<'static, str>>>, Fault> {
    // The object is parsed as a whole. The length of the line bounds it, and serde_json bounds its depth to 128.
    let object: Value = serde_json::from_str(text).map_err(|_| Fault::line(Reason::NotJson))?;
    if !object.is_object() {
        return Err(Fault::line(Reason::NotAnObject));
    }
    let value = |column: &String| {
        let value = object.get(column).or_else(|| column.split('.').try_fold(&object, |value, key| value.get(key)))?;
        match value {
            Value::String(text) => Some(Cow::Owned(text.clone())),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
            _ => None,
        }
    };
    Ok(columns.iter().map(value).collect())
}
