//! Reads the header of a CSV: which byte delimits, which columns there are.
//!
//! ```text
//! (blank lines)
//! sep=;                  Excel's note, if there is one
//! user;page;at    ─▶     `;` · user · page · at
//! ```
//!
//! A mapping or the note says the delimiter. Otherwise it is the first of `,` `;` tab `|` (of a `.tsv`: tab first) with
//! which the header has the columns that are looked for.

use netcrab_schema::events::{EVENT, wire_name};

use super::csv;
use super::event_header::{not_an_event, require};
use super::lines::{LineReader, NextLine};
use crate::Error;
use crate::listing::SourceFile;
use crate::privacy::Privacy;

/// The bytes that may delimit where nobody says which one does.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// The delimiter, the number of columns, and what `resolve` made of their names.
#[derive(Debug)]
pub(super) struct Header<T> {
    pub(super) delimiter: u8,
    pub(super) width: usize,
    pub(super) columns: T,
}

/// Reads the header. `resolve` finds the columns among the names. The caller makes sure that there is a line.
pub(super) fn read<T>(
    file: &SourceFile,
    lines: &mut LineReader,
    given: Option<u8>,
    broken: impl Fn(u64, std::io::Error) -> Error,
    resolve: impl Fn(&[&str]) -> Result<T, Error>,
) -> Result<Header<T>, Error> {
    let wrong = |cause: &str| Error::Header { file: file.name.clone(), cause: cause.to_owned() };
    let mut note = None;
    loop {
        let assumed = note.or(given).unwrap_or(if tabs(file) { b'\t' } else { b',' });
        let bytes = match lines.next_record(|bytes| csv::record_end(bytes, assumed)) {
            Ok(NextLine::Line(_, bytes)) => bytes,
            Ok(NextLine::End) => return Err(wrong("is missing; write the names of the columns first")),
            Ok(NextLine::TooLong(_)) => return Err(wrong("is longer than `line_bytes_max`; is it a CSV?")),
            Ok(NextLine::Unfinished(_)) => return Err(wrong("has a quote that never closes; close it")),
            Err(cause) => return Err(broken(lines.line().saturating_sub(1), cause)),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if note.is_none() && separator_note(bytes).is_some() {
            note = separator_note(bytes);
            continue;
        }
        let text = String::from_utf8_lossy(bytes);
        let found = columns(file, &text, note.or(given), &resolve);
        return match std::str::from_utf8(bytes) {
            Err(_) if found.is_err() => Err(wrong(
                "is not UTF-8; write the file as UTF-8, or its encoding in the mapping, such as `encoding = \"windows-1252\"`",
            )),
            _ => found,
        };
    }
}

/// Finds the columns with the delimiter that is given, or with the one that fits.
fn columns<T>(
    file: &SourceFile,
    header: &str,
    given: Option<u8>,
    resolve: impl Fn(&[&str]) -> Result<T, Error>,
) -> Result<Header<T>, Error> {
    let mut candidates = given.map_or(DELIMITERS.to_vec(), |given| vec![given]);
    if tabs(file) {
        candidates.sort_by_key(|byte| *byte != b'\t');
    }
    // The error of the delimiter that finds most columns says best what is the matter.
    let mut refused: Option<(usize, Error)> = None;
    for &delimiter in &candidates {
        let mut fields = Vec::new();
        if !csv::split(header, delimiter, &mut fields) {
            let cause = "has a quote that never closes, or text after one; double each quote within a name".to_owned();
            refused = refused.or(Some((0, Error::Header { file: file.name.clone(), cause })));
            continue;
        }
        let names: Vec<&str> = fields.iter().map(|name| name.trim()).collect();
        match resolve(&names) {
            Ok(columns) => return Ok(Header { delimiter, width: names.len(), columns }),
            Err(_) if given.is_some() && names.len() == 1 && other_delimiter(header, delimiter).is_some() => {
                let other = other_delimiter(header, delimiter).unwrap_or_default();
                let cause =
                    format!("is one field with `{other}` in it; write `delimiter = \"{other}\"` in the mapping");
                return Err(Error::Header { file: file.name.clone(), cause });
            }
            Err(error) if refused.as_ref().is_none_or(|(width, _)| *width < names.len()) => {
                refused = Some((names.len(), error));
            }
            Err(_) => {}
        }
    }
    let none = || Error::Header { file: file.name.clone(), cause: "has no columns; write their names".to_owned() };
    Err(refused.map_or_else(none, |(_, error)| error))
}

/// The usual delimiter that a header has instead of `than`, as TOML writes it.
fn other_delimiter(header: &str, than: u8) -> Option<&'static str> {
    let others = [(b',', ","), (b';', ";"), (b'\t', "\\t"), (b'|', "|")];
    others.into_iter().find(|(byte, _)| *byte != than && header.as_bytes().contains(byte)).map(|(_, text)| text)
}

/// The delimiter of the line `sep=;`, which Excel reads and writes.
fn separator_note(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter] if [s, e, p].map(u8::to_ascii_lowercase) == *b"sep" => Some(*delimiter),
        _ => None,
    }
}

/// Whether the name of the file says that tabs delimit.
fn tabs(file: &SourceFile) -> bool {
    let name = file.name.to_ascii_lowercase();
    let stem = [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    stem.ends_with(".tsv") || stem.ends_with(".tab")
}

/// The event column of each name.
pub(super) fn events(file: &SourceFile, names: &[&str], privacy: &Privacy) -> Result<Vec<usize>, Error> {
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let place = EVENT.iter().position(|column| column.name == *name || wire_name(column.name) == *name);
        let place = place.ok_or_else(|| not_an_event(file, names.iter().copied(), privacy))?;
        if places.contains(&place) {
            return Err(Error::RepeatedColumn { file: file.name.clone(), column: (*name).to_owned() });
        }
        places.push(place);
    }
    let given = file.known.partitions.events(&file.name)?;
    for (place, column) in EVENT.iter().enumerate() {
        let there = places.contains(&place) || given.iter().any(|(given, _)| *given == place);
        require(file, column, there).map_err(|_| not_an_event(file, names.iter().copied(), privacy))?;
    }
    Ok(places)
}
