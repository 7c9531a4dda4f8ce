//! Opens buckets of S3, or of stores that speak its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::Error;

/// Most retries of one request.
const RETRIES_MAX: usize = 8;

/// Opens `bucket`, with the endpoint, the region and the keys of the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`,
/// …). `uri` is the address in error messages.
///
/// # Errors
///
/// [`Error::Address`] if the bucket has no name, [`Error::Store`] if the environment has settings that cannot be
/// used.
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

/// Retries end after about ten seconds if the store refuses connections, and after a minute if it does not answer at
/// all.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(5), base: 3. };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: Duration::from_secs(60) }
}
