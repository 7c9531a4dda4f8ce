//! Reloads the rules at SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use netcrab_operators::rules::{Rules, Sessionize};
use netcrab_pipeline::config::Config;
use tokio::sync::watch;

/// Reloads the rules at each SIGHUP; the next epoch of each shard uses them.
pub(in crate::commands) async fn reload(file: Option<PathBuf>, rules: watch::Sender<Arc<Rules>>) {
    let Ok(mut hangups) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        match reloaded(file.as_deref(), &rules.borrow().sessionize) {
            Ok(new) => {
                tracing::info!(rule_id = %new.detect.rule_id, rule_version = %new.detect.rule_version, "rules reloaded");
                rules.send_replace(Arc::new(new));
            }
            Err(fault) => {
                tracing::error!(reason = %crate::commands::chain_of(&fault), "rules not reloaded; those in force stay");
            }
        }
    }
}

fn reloaded(file: Option<&Path>, in_force: &Sessionize) -> Result<Rules> {
    let new = Config::load(file)?.rules();
    anyhow::ensure!(
        new.sessionize == *in_force,
        "sessionize.gap_ms and length_ms hold for sessions that are open; to change them, drain with `netcrab process --finish` and start again"
    );
    Ok(new)
}
