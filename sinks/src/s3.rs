//! Delta tables on an S3 store.
//!
//!     s3://bucket/tables ─▶ the store of the environment (AWS_ENDPOINT_URL, AWS_REGION, keys) ─▶ Delta's own log store
//!
//! A commit creates the next entry of the log on condition that nobody else has (`If-None-Match: *`). So two writers
//! never write the same entry, and no lock is needed beside the bucket.

use std::sync::{Arc, OnceLock};

use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, DeltaTableError};
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

/// Opens the store of a bucket. The first text is the address, for errors; the second is the bucket's name.
pub type Open = fn(&str, &str) -> Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error + Send + Sync>>;

/// Says what the operator should do after an error of a store.
pub type Mend = fn(&object_store::Error) -> &'static str;

static STORES: OnceLock<(Open, Mend)> = OnceLock::new();

/// Lets Delta open `s3://` addresses from then on. The caller says how a store is opened and what its errors ask for,
/// because sources read from the same stores in the same way.
pub fn register(open: Open, mend: Mend) {
    STORES.get_or_init(|| {
        for scheme in ["s3://", "s3a://"] {
            let Ok(scheme) = Url::parse(scheme) else { continue };
            object_store_factories().insert(scheme.clone(), Arc::new(S3(open)));
            logstore_factories().insert(scheme, Arc::new(S3(open)));
        }
        (open, mend)
    });
}

/// The store of the bucket that `url` lies in.
///
/// # Errors
/// `NotSupported` before [`register`] or for another scheme; `Generic` where the store cannot be opened.
pub fn open(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let unknown = || object_store::Error::NotSupported { source: format!("no store is known for {url}").into() };
    let (open, _) = STORES.get().filter(|_| ["s3", "s3a"].contains(&url.scheme())).ok_or_else(unknown)?;
    open(url.as_str(), url.host_str().unwrap_or_default())
        .map_err(|source| object_store::Error::Generic { store: "S3", source })
}

/// What the operator should do after an error of a store.
pub fn mend(error: &object_store::Error) -> &'static str {
    STORES.get().map_or("run the same command again", |(_, mend)| mend(error))
}

struct S3(Open);

impl ObjectStoreFactory for S3 {
    fn parse_url_opts(&self, url: &Url, _: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        let store = (self.0)(url.as_str(), url.host_str().unwrap_or_default());
        let store = store.map_err(|source| DeltaTableError::GenericError { source })?;
        Ok((store, Path::from_url_path(url.path()).unwrap_or_default()))
    }
}

impl LogStoreFactory for S3 {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}
