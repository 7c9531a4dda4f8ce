//! A real S3 store for tests, MinIO, started by `scripts/minio.sh` and gone with the process that asked for it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

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
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            eprintln!("not run on S3: {name}: {reason}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} did not run on S3: {reason}");
            None
        }
    }
}

fn start() -> Result<Child, String> {
    let folder = tempfile::tempdir().unwrap().keep();
    let path = folder.to_str().unwrap();
    // A bucket is a folder.
    std::fs::create_dir_all(folder.join("data/tables")).unwrap();
    let keep = r#"trap '' INT TERM; if "$0" start "$1"; then echo up; read -r _; "$0" stop "$1"; fi; rm -rf "$1""#;
    let keeper = Command::new("setsid")
        .args(["bash", "-c", keep, SCRIPT, path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut keeper = keeper.map_err(|fault| fault.to_string())?;
    let mut said = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said.trim() != "up" {
        drop(keeper.stdin.take());
        let mut reason = String::new();
        keeper.stderr.take().unwrap().read_to_string(&mut reason).unwrap();
        keeper.wait().unwrap();
        return Err(reason.trim().to_owned());
    }
    let port = std::fs::read_to_string(folder.join("port")).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", port.trim());
    netcrab_sinks::s3::register(open_store(endpoint), netcrab_sources::store_mend);
    Ok(keeper)
}

static ENDPOINT: OnceLock<String> = OnceLock::new();

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
