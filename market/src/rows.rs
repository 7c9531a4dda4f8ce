//! A row of an answer into values, and values into what a query asks for.

use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};

use crate::Error;

/// The value of a column; `doing` is what the answer is for.
pub(crate) fn value<'r, T>(row: &'r AnyRow, column: &str, doing: &'static str) -> Result<T, Error>
where
    T: Decode<'r, Any> + Type<Any>,
{
    row.try_get(column).map_err(Error::doing(doing))
}

/// A text to look for. One with NUL, which PostgreSQL does not even compare, is looked for as the empty text: no row
/// holds either.
pub(crate) fn sought(text: &str) -> &str {
    if text.contains('\0') { "" } else { text }
}

/// A list as it is stored.
pub(crate) fn list_text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

/// A list that was stored.
pub(crate) fn list(table: &'static str, column: &'static str, text: &str) -> Result<Vec<String>, Error> {
    serde_json::from_str(text).map_err(|_| Error::Stored { table, column, value: text.to_owned() })
}
