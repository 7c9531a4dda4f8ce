//! Turns foreign columns into events, as a TOML file says.
//!
//! ```text
//! mapping.toml ─ syntax ─▶ Raw ─ compile ─▶ CompiledMapping ─ apply(values of a row) ─▶ event, skip or fault
//! ```
//!
//! `docs/mapping.md` describes what a mapping can say; its two examples are tests.

mod apply;
mod compile;
mod syntax;
mod user_agent;

use std::collections::BTreeSet;
use std::sync::Arc;

use encoding_rs::Encoding;
use xxhash_rust::xxh3::Xxh3;

use crate::{Error, Format};
pub(crate) use apply::CompiledMapping;
use compile::{Compiler, delimiter, encoding, known_optional};

/// How foreign columns become events.
#[derive(Debug, Clone)]
pub struct Mapping {
    format: Format,
    delimiter: Option<u8>,
    encoding: Option<&'static Encoding>,
    optional: Arc<BTreeSet<String>>,
    identity: u128,
    compiled: Arc<CompiledMapping>,
}

impl Mapping {
    /// Parses and compiles a mapping.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`] says what is wrong, with the nearest valid name.
    ///
    /// ```
    /// use netcrab_sources::{Format, Mapping};
    ///
    /// let mapping = Mapping::parse(
    ///     r#"
    ///     format = "csv"
    ///     [constants]
    ///     org_id = "acme"
    ///     product_id = "shop"
    ///     event_type = "navigation"
    ///     device_type = "desktop"
    ///     [columns]
    ///     screen_id = "page"
    ///     [hash]
    ///     user_hash = ["user"]
    ///     [time]
    ///     column = "at"
    ///     "#,
    /// )?;
    /// assert_eq!(mapping.format(), Format::Csv);
    /// # Ok::<(), netcrab_sources::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Mapping, Error> {
        Self::compile(text).map_err(Error::Mapping)
    }

    fn compile(text: &str) -> Result<Mapping, String> {
        let raw = syntax::parse(text)?;
        let format = raw.format;
        let delimiter = delimiter(raw.delimiter.as_deref(), format)?;
        let encoding = encoding(raw.encoding.as_deref(), format)?;
        let optional = raw.optional.clone();
        let compiled = Compiler::default().compile(raw)?;
        known_optional(&optional, format, compiled.columns())?;
        let mut hasher = Xxh3::new();
        hasher.update(text.as_bytes());
        hasher.update(&compiled.salt);
        Ok(Mapping {
            format,
            delimiter,
            encoding,
            optional: Arc::new(optional),
            identity: hasher.digest128(),
            compiled: Arc::new(compiled),
        })
    }

    /// The format of the files that the mapping is for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The foreign column that is the event id.
    pub(crate) fn event_id_column(&self) -> Option<&str> {
        self.compiled.event_id_column()
    }

    /// The delimiter of a CSV, if the mapping says it.
    pub(crate) fn delimiter(&self) -> Option<u8> {
        self.delimiter
    }

    /// The encoding of a text, if the mapping says it.
    pub(crate) fn encoding(&self) -> Option<&'static Encoding> {
        self.encoding
    }

    /// The foreign columns that the rows of a source may lack altogether.
    pub(crate) fn optional(&self) -> &BTreeSet<String> {
        &self.optional
    }

    /// A hash of the text and the salt.
    pub(crate) fn identity(&self) -> u128 {
        self.identity
    }

    /// The compiled mapping, which readers apply.
    pub(crate) fn compiled(&self) -> Arc<CompiledMapping> {
        self.compiled.clone()
    }
}
