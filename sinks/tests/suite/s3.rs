//! A real S3 store for tests, MinIO, started by `scripts/minio.sh` and gone with the process that asked for it.

use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

use super::test_server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/minio.sh");

/// Stops the server when its input ends, as it does when this process ends in whatever way.
static SHARED: OnceLock<Result<Child, String>> = OnceLock::new();
static ROOTS: AtomicU32 = AtomicU32::new(0);

/// A prefix of a bucket that nobody else uses; says by name and reason where none can run here, and fails in CI.
pub(crate) fn root() -> Option<Url> {
    match SHARED.get_or_init(start) {
        Ok(_) => {
            let root = format!("s3://tables/{}", ROOTS.fetch_add(1, Ordering::Relaxed));
            Some(Url::parse(&format!("{root}/")).unwrap())
        }
        Err(reason) => {
            test_server::skipped(&format!("on S3: {reason}"));
            None
        }
    }
}

fn start() -> Result<Child, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    // A bucket is a folder.
    std::fs::create_dir_all(folder.join("data/tables")).unwrap();
    let keeper = test_server::start(SCRIPT, &folder)?;
    let port = std::fs::read_to_string(folder.join("port")).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", port.trim());
    netcrab_sinks::s3::register(open_store(endpoint), netcrab_sources::store_hint);
    Ok(keeper)
}

static ENDPOINT: OnceLock<String> = OnceLock::new();

#[allow(dead_code, reason = "not every suite starts processes that ask it")]
/// Where it answers, as `host:port`.
pub(crate) fn address() -> &'static str {
    ENDPOINT.get().unwrap().trim_start_matches("http://")
}

/// As the environment would name it, which a test must not change while others run.
fn open_store(endpoint: String) -> netcrab_sinks::s3::Open {
    ENDPOINT.set(endpoint).unwrap();
    |_, bucket| {
        let store = object_store::aws::AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(ENDPOINT.get().unwrap())
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("netcrab")
            .with_secret_access_key("netcrab-secret")
            .build()?;
        Ok(std::sync::Arc::new(store))
    }
}
