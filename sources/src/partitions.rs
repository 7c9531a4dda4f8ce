//! The columns whose values are in the names of folders.
//!
//! ```text
//! events/year=2026/segment=a%2Fb/part-0.parquet   ─▶   year = 2026 · segment = a/b
//! events/segment=__HIVE_DEFAULT_PARTITION__/p.csv ─▶   segment is null
//! ```
//!
//! Spark, Hive, Polars, pyarrow and DuckDB write such folders. A folder counts wherever it stands in the address, so
//! `events/version_tag=2.3` and `events/*/*.parquet` are read like `events`. The files of a Delta table have the
//! values that its log gives, whatever their folders are called.

use std::borrow::Cow;

use netcrab_schema::events::{EVENT, wire_name};
use percent_encoding::percent_decode_str;

use crate::Error;
use crate::event_columns::column_index;
use crate::reject::{Fault, Reason};
use crate::row::{Row, Value};

/// What Hive and its successors write where a value is null or empty.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

const EXTRA: usize = column_index("extra");

/// The values that are not in a file, by the name of their column; `None` is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    values: Vec<(String, Option<String>)>,
}

impl Partitions {
    /// The values in the names of the folders of `path`. The last part of it is the name of the file.
    pub(crate) fn of_path(path: &str) -> Self {
        let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let value = |folder: &str| {
            let (name, value) = folder.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((decode(name), Some(decode(value)).filter(|value| !value.is_empty() && value != NULL)))
        };
        Self { values: folders.split('/').filter_map(value).collect() }
    }

    /// The values that the log of a table gives. An empty text is null, as Delta has it.
    pub(crate) fn of_log(values: &[(String, Option<String>)]) -> Self {
        let values = values.iter().map(|(name, value)| (name.clone(), value.clone().filter(|value| !value.is_empty())));
        Self { values: values.collect() }
    }

    /// The names and values of event columns and of the columns `foreign`.
    pub(crate) fn bytes(&self, foreign: &[String]) -> impl Iterator<Item = &[u8]> {
        let read = |name: &str| event_column(name).is_some() || foreign.iter().any(|column| column == name);
        self.values
            .iter()
            .filter(move |(name, _)| read(name))
            .flat_map(|(name, value)| [name.as_bytes(), value.as_ref().map_or(&b"\0"[..], |value| value.as_bytes())])
    }

    /// The values of event columns under the names of tables or of the wire, by index of the column. Folders that are
    /// no event column have no part in the events.
    ///
    /// # Errors
    ///
    /// [`Error::Partition`] where two folders give a column different values, or a value that its type refuses.
    pub(crate) fn events(&self, file: &str) -> Result<Vec<(usize, Value<'static>)>, Error> {
        let mut found: Vec<(usize, Value<'static>)> = Vec::new();
        for (name, value) in &self.values {
            let Some(place) = event_column(name) else { continue };
            let fault = |cause: String| Err(Error::Partition { file: file.to_owned(), column: name.clone(), cause });
            if place == EXTRA {
                return fault("an object, which only a column of the file can hold".to_owned());
            }
            let value = match typed(place, value.clone()) {
                Ok(value) => value,
                Err(refused) => return fault(format!("a value that is refused as {}", refused.reason.name())),
            };
            match found.iter().find(|(known, _)| *known == place) {
                Some((_, known)) if *known != value => return fault("two values".to_owned()),
                Some(_) => {}
                None => found.push((place, value)),
            }
        }
        Ok(found)
    }

    /// The values of the `columns` of a mapping, by index of the column.
    ///
    /// # Errors
    ///
    /// [`Error::Partition`] where two folders give a column different values.
    pub(crate) fn foreign(&self, file: &str, columns: &[String]) -> Result<Vec<(usize, Option<String>)>, Error> {
        let mut found = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let mut values = self.values.iter().filter(|(name, _)| name == column).map(|(_, value)| value);
            let Some(value) = values.next() else { continue };
            if values.any(|other| other != value) {
                let cause = "two values".to_owned();
                return Err(Error::Partition { file: file.to_owned(), column: column.clone(), cause });
            }
            found.push((at, value.clone()));
        }
        Ok(found)
    }

    /// Whether a folder gives that column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, _)| known == name)
    }

    /// The names of all columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| name.as_str())
    }
}

/// The index of the event column of that name, in tables or on the wire.
fn event_column(name: &str) -> Option<usize> {
    EVENT.iter().position(|column| column.name == name || wire_name(column.name) == name)
}

fn typed(place: usize, text: Option<String>) -> Result<Value<'static>, Fault> {
    let mut row = Row::new();
    row.set_parsed(place, Cow::Owned(text.unwrap_or_default()))?;
    Ok(std::mem::take(&mut row.values[place]))
}

/// Fills the values of a mapping that are in the names of folders. A row that states another value is refused.
pub(crate) fn complete<'a>(
    values: &mut [Option<Cow<'a, str>>],
    partitions: &'a [(usize, Option<String>)],
    columns: &[String],
) -> Result<(), Fault> {
    for (at, given) in partitions {
        let stated = values[*at].as_deref().map(str::trim).filter(|text| !text.is_empty());
        match (stated, given) {
            (None, given) => values[*at] = given.as_deref().map(Cow::Borrowed),
            (Some(stated), Some(given)) if same(stated, given.trim()) => {}
            _ => return Err(Fault::field(Reason::PartitionMismatch, columns[*at].clone())),
        }
    }
    Ok(())
}

/// Whether two texts are equal, or two ways to write one number (`month=7` beside `07`).
fn same(stated: &str, given: &str) -> bool {
    let number = |text: &str| text.parse::<i128>().ok();
    stated == given || number(stated).is_some_and(|stated| number(given) == Some(stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &[(&str, Option<&str>)]) {
        let expected: Vec<(String, Option<String>)> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(Partitions::of_path(path).values, expected, "{path}");
    }

    #[test]
    fn folders_give_values_and_the_name_of_the_file_does_not() {
        check("in/version_tag=2.3/part-0.parquet", &[("version_tag", Some("2.3"))]);
        check("/a/year=2026/month=10/p.csv", &[("year", Some("2026")), ("month", Some("10"))]);
        check("s3://b/x/segment=a%2Fb/p.csv", &[("segment", Some("a/b"))]);
        check("segment=100%/p.csv", &[("segment", Some("100%"))]);
        check("segment=a=b/p.csv", &[("segment", Some("a=b"))]);
        check("segment=__HIVE_DEFAULT_PARTITION__/p.csv", &[("segment", None)]);
        check("segment=/p.csv", &[("segment", None)]);
        check("=x/a=b.csv", &[]);
        check("a=b.csv", &[]);
    }

    #[test]
    fn event_columns_are_found_by_both_names_and_typed() {
        let events = |path: &str| Partitions::of_path(path).events("f").map_err(|error| error.to_string());
        let version = column_index("version_tag");
        assert_eq!(events("dt=1/versionTag=2.30/f").unwrap(), [(version, Value::Text("2.30".into()))]);
        assert_eq!(events("segment=__HIVE_DEFAULT_PARTITION__/f").unwrap()[0].1, Value::Absent);
        assert_eq!(events("task_success=true/f").unwrap()[0].1, Value::Truth(true));
        assert_eq!(events("segment=a/segment=a/f").unwrap().len(), 1);
        assert_eq!(
            events("segment=a/segment=b/f").unwrap_err(),
            "the folders of `f` give the column `segment` two values; rename the folder, or move the file"
        );
        assert!(events("task_success=perhaps/f").unwrap_err().contains("refused as wrong_type"));
        assert!(events("ts=yesterday/f").unwrap_err().contains("refused as bad_time"));
        assert!(events("dt=1/dt=2/f").unwrap().is_empty());
    }

    #[test]
    fn a_row_may_repeat_its_folder_and_not_contradict_it() {
        let columns = ["month".to_owned()];
        let check = |stated: Option<&str>, given: Option<&str>| {
            let mut values = [stated.map(Cow::Borrowed)];
            let given = [(0, given.map(str::to_owned))];
            complete(&mut values, &given, &columns).map(|()| values[0].as_deref().map(str::to_owned))
        };
        assert_eq!(check(None, Some("7")), Ok(Some("7".to_owned())));
        assert_eq!(check(Some(""), Some("7")), Ok(Some("7".to_owned())));
        assert_eq!(check(Some("07"), Some("7")), Ok(Some("07".to_owned())));
        assert_eq!(check(Some("8"), Some("7")), Err(Fault::field(Reason::PartitionMismatch, "month")));
        assert_eq!(check(None, None), Ok(None));
        assert_eq!(check(Some("7"), None), Err(Fault::field(Reason::PartitionMismatch, "month")));
    }
}
