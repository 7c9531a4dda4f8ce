//! Runs steps of the Parquet decoder, which may panic on damaged files.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::encrypted::encrypted;
use crate::Error;
use crate::listing::SourceFile;

/// Runs a step of the decoder. Turns its errors and panics into an error that names the file.
pub(crate) fn guard<T>(file: &SourceFile, step: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, Error> {
    let damaged = |cause: String| match encrypted(file) {
        true => Error::EncryptedParquet { file: file.name.clone() },
        false => Error::DamagedParquet { file: file.name.clone(), cause },
    };
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(parquet::errors::ParquetError::External(source))) => match source.downcast::<std::io::Error>() {
            Ok(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => Err(Error::read(&file.name, *source)),
            Ok(source) => Err(damaged(source.to_string())),
            Err(source) => Err(damaged(source.to_string())),
        },
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("a page contradicts its header".to_owned())),
    }
}
