//! What can stop a read, with a message that says what to do.
//!
//! A row that cannot become an event is not an error: it is a [reject](crate::reject). An error means that a source,
//! a file or a mapping cannot be read on.

use std::path::PathBuf;

use netcrab_schema::WhoActs;

use crate::WhyLeftOut;

/// A source that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at the address.
    #[error("`{uri}` does not exist; give a file, a folder or `s3://bucket/prefix`")]
    NotFound {
        /// The address as given.
        uri: String,
    },
    /// The addresses hold no file of a known format.
    #[error(
        "no event files in {uris}{left_out}; expected names ending in {expected}, or a mapping that says the format"
    )]
    Nothing {
        /// The addresses as given.
        uris: String,
        /// `; left out: …` with the files that are not read and the reason of each, or empty.
        left_out: String,
        /// The endings that are understood.
        expected: &'static str,
    },
    /// The name of the file tells no format.
    #[error("`{file}` does not say its format; expected a name ending in {expected}, or a mapping with `format`")]
    UnknownFormat {
        /// The file.
        file: String,
        /// The endings that are understood.
        expected: &'static str,
    },
    /// The file is packed or compressed in a way that is not read.
    #[error("`{file}` is not read: {why}")]
    Unread {
        /// The file.
        file: String,
        /// Why, and what to do.
        why: WhyLeftOut,
    },
    /// The format needs a mapping.
    #[error("`{file}` is an access log, which needs a mapping; start from docs/mapping-weblog.toml")]
    NeedsMapping {
        /// The file.
        file: String,
    },
    /// More files than the setting allows.
    #[error("more than {files_max} files in {uris}; read fewer folders at a time or raise `files_max`")]
    TooManyFiles {
        /// The addresses as given.
        uris: String,
        /// The setting.
        files_max: usize,
    },
    /// Folders are nested too deeply.
    #[error("`{folder}` lies more than {depth_max} folders deep; name a folder nearer to the files as a source")]
    TooDeep {
        /// The folder at which listing stopped.
        folder: PathBuf,
        /// The depth at which listing stops.
        depth_max: usize,
    },
    /// A column that is no event column.
    #[error(
        "`{file}` has a column `{column}`, which no event has{nearest}; rename it, leave it out, or give a mapping \
         (docs/mapping.md)"
    )]
    UnknownColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// `; nearest is …`, or empty.
        nearest: String,
    },
    /// The name of a column says that it holds personal data.
    #[error(
        "`{file}` has a column `{column}`, which reads like personal data; leave it out, or hash it with a mapping"
    )]
    DeniedColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// The file has a column twice.
    #[error("`{file}` has the column `{column}` more than once; keep one")]
    RepeatedColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// The header of a CSV cannot be read.
    #[error("the header of `{file}` {cause}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        cause: String,
    },
    /// The text of a file is in an encoding that is not read.
    #[error("`{file}` cannot be read as text ({cause}); write it as UTF-8")]
    Encoding {
        /// The file.
        file: String,
        /// What is wrong.
        cause: String,
    },
    /// A required column is missing.
    #[error(
        "`{file}` has no column `{column}`, which every event needs; add it, or give a mapping that does \
         (docs/mapping.md)"
    )]
    MissingColumn {
        /// The file.
        file: String,
        /// The event column.
        column: String,
    },
    /// The columns of the file are those of another program.
    #[error(
        "the columns of `{file}` are not those of events{unknown}{missing}; write a mapping that says which column \
         becomes which, and give it with --mapping: [constants] for org_id and product_id, [hash] for user_hash, \
         [time] for ts, [event] for event_type and screen_id, [columns] for others; docs/mapping.md explains it, \
         docs/mapping-ecom.toml is an example"
    )]
    ForeignColumns {
        /// The file.
        file: String,
        /// `; no event has a column …`, or empty.
        unknown: String,
        /// `; it lacks …`, or empty.
        missing: String,
    },
    /// The type of a column cannot be converted to that of the event column.
    #[error(
        "column `{column}` of `{file}` is {found}, expected {expected}; write it with that type, or give a mapping"
    )]
    ColumnType {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// The type in the file.
        found: String,
        /// The types that are understood.
        expected: &'static str,
    },
    /// The name of a folder gives a column a value that it cannot have.
    #[error("the folders of `{file}` give the column `{column}` {cause}; rename the folder, or move the file")]
    Partition {
        /// The file.
        file: String,
        /// The column, as the folder names it.
        column: String,
        /// What is the matter with it; never the value.
        cause: String,
    },
    /// A table whose files alone do not say which rows it has.
    #[error(
        "`{folder}` is {kind}: its log says which rows of its files are left; export it to Parquet, and give the export"
    )]
    ForeignTable {
        /// The folder of the table.
        folder: String,
        /// What kind of table it is.
        kind: &'static str,
    },
    /// A part of a Delta table.
    #[error(
        "`{uri}` lies in the Delta table `{table}`, whose log says which rows of its files are left; give the table's folder"
    )]
    InsideTable {
        /// The address as given.
        uri: String,
        /// The folder of the table.
        table: String,
    },
    /// A Delta table that cannot be read as its log says.
    #[error("the Delta table `{folder}` cannot be read: {cause}")]
    Table {
        /// The folder of the table.
        folder: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The file is encrypted.
    #[error("`{file}` is an encrypted Parquet file; write it without encryption")]
    EncryptedParquet {
        /// The file.
        file: String,
    },
    /// The bytes of a Parquet file contradict each other.
    #[error("`{file}` is not a whole Parquet file ({cause}); write or copy it again")]
    DamagedParquet {
        /// The file.
        file: String,
        /// What the decoder reported.
        cause: String,
    },
    /// A compressed stream ends early, or is not what the name of the file says.
    #[error(
        "`{file}` stops being readable as {compression} after line {line} ({cause}); copy it again, or correct its ending"
    )]
    DamagedStream {
        /// The file.
        file: String,
        /// The compression that the name says.
        compression: &'static str,
        /// The last line read.
        line: u64,
        /// What the decoder reported.
        cause: std::io::Error,
    },
    /// A mapping is wrong, or does not fit the file.
    #[error("mapping: {0}")]
    Mapping(String),
    /// A setting out of its bounds.
    #[error("setting `{setting}` is {found}; expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// An address of unknown form.
    #[error("`{uri}` is not an address of events ({cause}); expected a path or `s3://bucket/prefix`")]
    Address {
        /// The address as given.
        uri: String,
        /// Why.
        cause: String,
    },
    /// The disk or the network failed.
    #[error("could not read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object store failed.
    #[error("could not read `{uri}` from the object store; {hint}")]
    Store {
        /// The object or prefix.
        uri: String,
        /// What to do.
        hint: &'static str,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Arrow refused a batch.
    #[error("could not build a batch of events")]
    Batch(#[from] arrow::error::ArrowError),
    /// A file could not be written.
    #[error("could not write `{file}`")]
    Write {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Who must act before the source can be read.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            Error::UnknownColumn { .. }
            | Error::DeniedColumn { .. }
            | Error::RepeatedColumn { .. }
            | Error::MissingColumn { .. }
            | Error::Header { .. }
            | Error::Encoding { .. }
            | Error::ForeignColumns { .. }
            | Error::ColumnType { .. } => WhoActs::Sender,
            Error::Read { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => WhoActs::Operator,
                _ => WhoActs::Retry,
            },
            // The client has already retried whatever the store answered.
            Error::Store { source, .. } if !answered(source) => WhoActs::Retry,
            Error::Store { .. }
            | Error::NotFound { .. }
            | Error::Nothing { .. }
            | Error::UnknownFormat { .. }
            | Error::Unread { .. }
            | Error::NeedsMapping { .. }
            | Error::TooManyFiles { .. }
            | Error::TooDeep { .. }
            | Error::Partition { .. }
            | Error::ForeignTable { .. }
            | Error::InsideTable { .. }
            | Error::Table { .. }
            | Error::EncryptedParquet { .. }
            | Error::DamagedParquet { .. }
            | Error::DamagedStream { .. }
            | Error::Mapping(_)
            | Error::Setting { .. }
            | Error::Address { .. }
            | Error::Batch(_)
            | Error::Write { .. } => WhoActs::Operator,
        }
    }

    /// An error of the object store at `uri`, with a hint.
    pub(crate) fn store(uri: &str, source: object_store::Error) -> Self {
        Error::Store { uri: uri.to_owned(), hint: hint(&source), source }
    }

    /// An error of reading a file, from disk or from an object store.
    pub(crate) fn read(file: &str, source: std::io::Error) -> Self {
        match source.downcast::<object_store::Error>() {
            Ok(source) => Error::store(file, source),
            Err(source) => Error::Read { file: file.to_owned(), source },
        }
    }
}

/// What the operator can do about an error of the object store.
pub fn hint(error: &object_store::Error) -> &'static str {
    use object_store::Error as Cause;
    // Only the text of a failed listing has its status.
    let text = error.to_string();
    let says = |phrase: &str| text.contains(phrase);
    match error {
        // The address at which a rented machine gets its keys.
        _ if says("169.254.169.254") => "no keys were given; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        Cause::Precondition { .. } => "it was replaced while it was read; run again",
        _ if says("NoSuchBucket") => "there is no such bucket; check its name, AWS_REGION and AWS_ENDPOINT_URL",
        Cause::NotFound { .. } => "it was removed while it was read; run again",
        _ if ["ExpiredToken", "TokenRefreshRequired"].iter().any(|refusal| says(refusal)) => {
            "the keys have expired; renew them, with AWS_SESSION_TOKEN, and run again"
        }
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => KEYS,
        _ if ["403 Forbidden", "401 Unauthorized", "SignatureDoesNotMatch", "AccessDenied", "InvalidAccessKeyId"]
            .iter()
            .any(|refusal| says(refusal)) =>
        {
            KEYS
        }
        _ if answered(error) => "check the address, AWS_REGION, AWS_ENDPOINT_URL and the keys",
        _ => "it does not answer; check AWS_ENDPOINT_URL and that the store runs, then run again",
    }
}

const KEYS: &str = "access was refused; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                    and that they may list, read and write it";

/// Whether the store was reached at all.
fn answered(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if at.is::<object_store::client::HttpError>() {
            return false;
        }
        cause = at.source();
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn the_error_says_who_acts() {
        let read = |kind: ErrorKind| Error::read("a.csv", kind.into());
        let store = |source| Error::store("s3://bucket/a", source);
        let unreachable = || object_store::Error::Generic {
            store: "S3",
            source: Box::new(object_store::client::HttpError::new(
                object_store::client::HttpErrorKind::Connect,
                std::io::Error::from(ErrorKind::ConnectionRefused),
            )),
        };
        let removed = || object_store::Error::NotFound { path: "a".to_owned(), source: "404".into() };
        let column = Error::MissingColumn { file: "a.csv".to_owned(), column: "org_id".to_owned() };
        for (error, who) in [
            (read(ErrorKind::TimedOut), WhoActs::Retry),
            (read(ErrorKind::NotFound), WhoActs::Operator),
            (read(ErrorKind::PermissionDenied), WhoActs::Operator),
            (store(unreachable()), WhoActs::Retry),
            (store(removed()), WhoActs::Operator),
            (Error::NotFound { uri: "a".to_owned() }, WhoActs::Operator),
            (Error::Mapping("no `time`".to_owned()), WhoActs::Operator),
            (column, WhoActs::Sender),
        ] {
            assert_eq!(error.who_acts(), who, "{error}");
        }
    }
}
