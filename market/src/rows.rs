//! Values of rows, and values as they are stored and searched for.

use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};

use crate::error::Error;

/// The value of a column; `doing` says for what, in an error.
pub(crate) fn value<'r, T>(row: &'r AnyRow, column: &str, doing: &'static str) -> Result<T, Error>
where
    T: Decode<'r, Any> + Type<Any>,
{
    row.try_get(column).map_err(Error::doing(doing))
}

/// A text to search for. A text with NUL, which PostgreSQL refuses even in a comparison, becomes the empty text: no row
/// has either.
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
