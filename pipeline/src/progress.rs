//! Progress of a run: the stages count, the terminal draws.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counters that grow while a run reads.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    events: AtomicU64,
}

impl Progress {
    /// Adds what one batch brought.
    pub fn add(&self, bytes: u64, events: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// Events read so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

/// A progress bar; hidden where `quiet`, or where standard error is not a terminal.
pub fn bar(length: u64, template: &str, quiet: bool) -> ProgressBar {
    let bar = if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(length) };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A progress bar over `bytes`, redrawn while `progress` grows; hidden where standard error is not a terminal.
pub struct Bar {
    bar: ProgressBar,
    drawing: tokio::task::JoinHandle<()>,
}

impl Bar {
    /// Starts drawing.
    pub fn start(progress: Arc<Progress>, bytes: u64, quiet: bool) -> Self {
        let bar = bar(bytes, "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {elapsed}", quiet);
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let read = progress.bytes.load(Ordering::Relaxed);
                drawn.set_position(read.min(bytes));
                let stage = if read < bytes { "reading" } else { "deriving and writing" };
                drawn.set_message(format!("{stage} · {} events", progress.events()));
                drawn.tick();
            }
        });
        Self { bar, drawing }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}
