//! Temporary.
use std::sync::Arc;
#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).expect("folder");
    let store = netcrab_api::DeltaStore::open(std::path::Path::new(&folder), Default::default()).await.expect("tables");
    let keys = (0..5).map(|org| netcrab_api::ApiKey { key: format!("nc_{org}"), org_id: format!("org{org}") }).collect();
    let config = netcrab_api::Config { keys, ..Default::default() };
    let stop = async { tokio::signal::ctrl_c().await.expect("signal") };
    netcrab_api::serve(config, Arc::new(store), stop).await.expect("serve");
}
