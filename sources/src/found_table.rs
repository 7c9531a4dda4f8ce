//! A Delta table among the listed folders, and its files as files of the source.

use std::collections::HashMap;
use std::path::Path;

use crate::Error;
use crate::partitions::Partitions;
use crate::source_file::{Compression, FileLocation, Format, SourceFile};
use crate::table::{KnownColumns, TableFile, TablePart};

/// A Delta table among the listed folders.
pub(crate) struct FoundTable {
    pub(crate) folder: String,
    /// The name of the folder within the address; ends in `/`, or is empty.
    pub(crate) relative: String,
    /// In a bucket, the objects of the folder by their names in it.
    pub(crate) objects: Option<HashMap<String, SourceFile>>,
}

impl FoundTable {
    /// The file that the log of the table names.
    pub(crate) fn file(&mut self, file: TableFile) -> Result<SourceFile, Error> {
        let known =
            KnownColumns { partitions: Partitions::of_log(&file.partitions), table: Some(TablePart::new(&file)) };
        let relative = format!("{}{}", self.relative, file.path);
        let missing = |cause: String| Error::Table { folder: self.folder.clone(), cause };
        let gone = format!("its log names `{}`, which is not there; run again, or repair the table", file.path);
        if let Some(objects) = &mut self.objects {
            let object = objects.remove(&file.path).ok_or_else(|| missing(gone))?;
            return Ok(SourceFile { relative, known, format: Format::Parquet, ..object });
        }
        let path = Path::new(&self.folder).join(&file.path);
        let metadata = std::fs::metadata(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(gone),
            _ => Error::Read { file: path.display().to_string(), source: error },
        })?;
        Ok(SourceFile {
            name: path.display().to_string(),
            relative,
            place: FileLocation::Local(path),
            bytes: metadata.len(),
            format: Format::Parquet,
            compression: Compression::None,
            etag: None,
            known,
        })
    }
}
