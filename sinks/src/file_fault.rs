//! What the failure of a file or of an object store means for its table.

use netcrab_schema::Table;

use crate::error::Error;

/// The error for a file of `table` that could not be written.
pub(crate) fn file_fault(
    table: &'static Table,
    place: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    if !place.starts_with("file:")
        && let Some(mend) = store_cause(source.as_ref()).map(crate::s3::mend)
    {
        return Error::Store { table: table.name, place: place.to_owned(), mend, source };
    }
    match io_cause(source.as_ref()) {
        Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
            Error::Full { table: table.name, place: place.to_owned() }
        }
        Some(std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) => {
            Error::ReadOnly { table: table.name, place: place.to_owned() }
        }
        _ => Error::File { table: table.name, place: place.to_owned(), source },
    }
}

/// The error of the object store that caused another, where there is one.
pub(crate) fn store_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a object_store::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<object_store::Error>() {
            return Some(found);
        }
        next = below(error);
    }
    None
}

/// The kind of the innermost IO error that caused another, where there is one.
pub(crate) fn io_cause(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            kind = Some(io.kind());
        }
        next = below(error);
    }
    kind
}

/// The direct cause of an error; an IO error does not give the error that it wraps as its source.
fn below<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or(error.source())
}
