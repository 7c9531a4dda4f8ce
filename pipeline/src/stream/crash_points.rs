//! Points at which tests kill the process, and the steps of an epoch that they surround.
//!
//! In builds with debug assertions `NETCRAB_CRASH=commit.before:3` aborts the process, as SIGKILL would, the third time
//! it is about to commit. Release builds have no crash points.

/// The steps of an epoch, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module `stream` says what each is, and that `Sync` has the label `keep`")]
pub enum Step {
    Read,
    Stage,
    Sync,
    State,
    Commit,
    Apply,
    Insert,
    Publish,
    Applied,
    Release,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 10] = [
        Step::Read,
        Step::Stage,
        Step::Sync,
        Step::State,
        Step::Commit,
        Step::Apply,
        Step::Insert,
        Step::Publish,
        Step::Applied,
        Step::Release,
    ];

    /// Its name in `NETCRAB_CRASH`, and in the label `step` of the metric `netcrab_stream_step_seconds`.
    pub fn name(self) -> &'static str {
        match self {
            Step::Read => "read",
            Step::Stage => "stage",
            Step::Sync => "keep",
            Step::State => "state",
            Step::Commit => "commit",
            Step::Apply => "apply",
            Step::Insert => "insert",
            Step::Publish => "publish",
            Step::Applied => "applied",
            Step::Release => "release",
        }
    }
}

/// Before a step.
pub fn before(step: Step) {
    at(step, "before");
}

/// After a step.
pub fn after(step: Step) {
    at(step, "after");
}

#[cfg(not(debug_assertions))]
fn at(_: Step, _: &str) {}

#[cfg(debug_assertions)]
fn at(step: Step, side: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("NETCRAB_CRASH").ok()?;
        let (place, times) = wanted.split_once(':')?;
        Some((place.to_owned(), times.parse().ok()?))
    });
    let Some((place, times)) = wanted else { return };
    if *place == format!("{}.{side}", step.name()) && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *times {
        // No destructor runs and nothing is flushed, as with SIGKILL.
        std::process::abort();
    }
}
