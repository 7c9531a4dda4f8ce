//! Opens buckets of S3, or of stores that speak its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::Error;

/// Times a request to an object store is tried again.
const RETRIES_MAX: usize = 8;

/// The bucket, by `AWS_ENDPOINT_URL`, `AWS_REGION` and the keys of the environment.
pub fn s3(uri: &str, bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    if bucket.is_empty() {
        return Err(Error::Address { uri: uri.to_owned(), cause: "it names no bucket".to_owned() });
    }
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint =
        variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).or_else(|| variable("AWS_ENDPOINT"));
    if let Some(endpoint) = endpoint {
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    if variable("AWS_REGION").is_none() && variable("AWS_DEFAULT_REGION").is_none() {
        builder = builder.with_region("us-east-1");
    }
    let store = builder.with_retry(retries()).build().map_err(|source| Error::store(uri, source))?;
    Ok(Arc::new(store))
}

/// A store that refuses connections is given up after some ten seconds, one that swallows them after a minute.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(5), base: 3. };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: Duration::from_secs(60) }
}
