//! What can stop a read, said so that its reader knows what to do.
//!
//! A row that cannot become an event is not an error: it is a [reject](crate::reject). An error is
//! a source, a file or a mapping that cannot be read on.

use std::path::PathBuf;

/// A source that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing stands at the address.
    #[error("`{uri}` does not exist; give a file, a folder or `s3://bucket/prefix`")]
    NotFound {
        /// The address as given.
        uri: String,
    },
    /// The addresses hold no file of a known format.
    #[error("no event files in {uris}; expected names ending in {expected}, or a mapping that says the format")]
    Nothing {
        /// The addresses as given.
        uris: String,
        /// The endings that are understood.
        expected: &'static str,
    },
    /// A file was named whose ending says no format.
    #[error("`{file}` does not say its format; expected a name ending in {expected}, or a mapping with `format`")]
    UnknownFormat {
        /// The file.
        file: String,
        /// The endings that are understood.
        expected: &'static str,
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
    /// Folders within folders beyond reason, or a link that leads back.
    #[error("`{folder}` lies more than {depth_max} folders deep; is it a link to a folder above it?")]
    TooDeep {
        /// The folder at which listing stopped.
        folder: PathBuf,
        /// The depth at which listing stops.
        depth_max: usize,
    },
    /// A column that is no event column.
    #[error(
        "`{file}` has a column `{column}`, which no event has{nearest}; rename it, leave it out, or give a mapping"
    )]
    UnknownColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
        /// `; nearest is …`, or empty.
        nearest: String,
    },
    /// A column that holds personal data by its name.
    #[error(
        "`{file}` has a column `{column}`, which reads like personal data; leave it out, or hash it with a mapping"
    )]
    DeniedColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A column stands in the file twice.
    #[error("`{file}` has the column `{column}` more than once; keep one")]
    RepeatedColumn {
        /// The file.
        file: String,
        /// The event column.
        column: String,
    },
    /// A required column is missing.
    #[error("`{file}` has no column `{column}`, which every event needs; add it, or give a mapping that does")]
    MissingColumn {
        /// The file.
        file: String,
        /// The event column.
        column: String,
    },
    /// A column has a type that cannot be read as what it should hold.
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
    /// A Parquet file whose bytes do not hold together.
    #[error("`{file}` is not a whole Parquet file ({cause}); write or copy it again")]
    DamagedParquet {
        /// The file.
        file: String,
        /// What the decoder said.
        cause: String,
    },
    /// A compressed stream that ends early or is not what its name says.
    #[error(
        "`{file}` stops being readable as {compression} after line {line} ({cause}); copy it again, or correct its ending"
    )]
    DamagedStream {
        /// The file.
        file: String,
        /// The compression its name says.
        compression: &'static str,
        /// The last line read.
        line: u64,
        /// What the decoder said.
        cause: std::io::Error,
    },
    /// A mapping that cannot be followed.
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
    /// An address that cannot be understood.
    #[error("`{uri}` is not an address of events ({cause}); expected a path or `s3://bucket/prefix`")]
    Address {
        /// The address as given.
        uri: String,
        /// Why.
        cause: String,
    },
    /// The disk or the network failed; a retry may help.
    #[error("could not read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object store failed; a retry may help.
    #[error("could not read `{uri}` from the object store; {mend}")]
    Store {
        /// The object or prefix.
        uri: String,
        /// What to do.
        mend: &'static str,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Arrow refused what was built.
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
    /// An object store that failed at `uri`, with what to do about it.
    pub(crate) fn store(uri: &str, source: object_store::Error) -> Self {
        Error::Store { uri: uri.to_owned(), mend: hint(&source), source }
    }

    /// A file that could not be read, from disk or from an object store.
    pub(crate) fn read(file: &str, source: std::io::Error) -> Self {
        match source.downcast::<object_store::Error>() {
            Ok(source) => Error::store(file, source),
            Err(source) => Error::Read { file: file.to_owned(), source },
        }
    }
}

/// What a failure of the object store asks of its reader.
pub fn hint(error: &object_store::Error) -> &'static str {
    use object_store::Error as Cause;
    // The status of a failed listing stands only in its text.
    let said = error.to_string();
    let says = |text: &str| said.contains(text);
    match error {
        // Where keys would come from on a rented machine.
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
        _ if answers(error) => "check the address, AWS_REGION, AWS_ENDPOINT_URL and the keys",
        _ => "it does not answer; check AWS_ENDPOINT_URL and that the store runs, then run again",
    }
}

const KEYS: &str = "access was refused; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                    and that they may list, read and write it";

/// Whether the store was reached at all.
fn answers(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if at.is::<object_store::client::HttpError>() {
            return false;
        }
        cause = at.source();
    }
    true
}
