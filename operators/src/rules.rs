//! The rules of the stages as settings. Changing a rule and re-running history is a normal thing to do.

use serde::{Deserialize, Serialize};

/// Everything that decides what the derived tables say. It is part of the fingerprint of each run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// When a session ends.
    pub sessionize: Sessionize,
    /// What counts as friction.
    pub detect: Detect,
    /// How friction becomes a score.
    pub score: Score,
}

/// Settings of the `sessionize` stage; table `[sessionize]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessionize {
    /// Longest quiet time within a session, in milliseconds. Default: 1_800_000 (30 min).
    /// An event exactly this long after the one before it still belongs to the session.
    pub gap_ms: i64,
    /// A session takes no event this long after its first, in milliseconds. Default: 86_400_000 (24 h).
    pub length_ms: i64,
}

impl Default for Sessionize {
    fn default() -> Self {
        Self { gap_ms: 1_800_000, length_ms: 86_400_000 }
    }
}

/// Settings of the `detect` stage; table `[detect]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// Name of the rule set, stored with each incident. Default: `netcrab`.
    pub rule_id: String,
    /// Version of the rule set, stored with each incident; raise it with every change. Default: `1`.
    pub rule_version: String,
    /// Bounds of `rage_click`.
    pub rage_click: RageClick,
    /// Bounds of `dead_click`.
    pub dead_click: DeadClick,
    /// Bounds of `error_click`.
    pub error_click: ErrorClick,
    /// Bounds of `backtrack`.
    pub backtrack: Backtrack,
    /// Bounds of `abandoned_task`.
    pub abandoned_task: AbandonedTask,
}

impl Default for Detect {
    fn default() -> Self {
        Self {
            rule_id: "netcrab".to_owned(),
            rule_version: "1".to_owned(),
            rage_click: RageClick::default(),
            dead_click: DeadClick::default(),
            error_click: ErrorClick::default(),
            backtrack: Backtrack::default(),
            abandoned_task: AbandonedTask::default(),
        }
    }
}

/// Bounds of `rage_click`; table `[detect.rage_click]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RageClick {
    /// Clicks on one target that make a rage click. At least 2. Default: 3.
    pub clicks: usize,
    /// Longest time from the first to the last of them, in milliseconds. Default: 1000.
    pub window_ms: i64,
}

impl Default for RageClick {
    fn default() -> Self {
        Self { clicks: 3, window_ms: 1000 }
    }
}

/// Bounds of `dead_click`; table `[detect.dead_click]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadClick {
    /// A reaction later than this does not count, in milliseconds. Default: 2500.
    pub reaction_ms: f32,
    /// Longest time between two dead clicks on one target that are one incident, in milliseconds. Default: 2500.
    pub chain_ms: i64,
}

impl Default for DeadClick {
    fn default() -> Self {
        Self { reaction_ms: 2500.0, chain_ms: 2500 }
    }
}

/// Bounds of `error_click`; table `[detect.error_click]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorClick {
    /// Longest time from a click to the error it is blamed for, in milliseconds. Default: 1000.
    pub window_ms: i64,
}

impl Default for ErrorClick {
    fn default() -> Self {
        Self { window_ms: 1000 }
    }
}

/// Bounds of `backtrack`; table `[detect.backtrack]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backtrack {
    /// Longest stay on the screen in between, in milliseconds. Default: 20_000.
    pub stay_ms: i64,
}

impl Default for Backtrack {
    fn default() -> Self {
        Self { stay_ms: 20_000 }
    }
}

/// Bounds of `abandoned_task`; table `[detect.abandoned_task]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AbandonedTask {
    /// Longest time from start to completion, in milliseconds. Default: 900_000 (15 min).
    pub within_ms: i64,
}

impl Default for AbandonedTask {
    fn default() -> Self {
        Self { within_ms: 900_000 }
    }
}

/// Weights of the scores, whose formulas stand in `docs/rules.md`; table `[score]` of `netcrab.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Score {
    /// Frustration of a session without incidents, before the sigmoid. Default: -3.0.
    pub frustration_base: f64,
    /// Added for each rage click. Default: 1.2.
    pub rage_click: f64,
    /// Added for each backtrack. Default: 0.6.
    pub backtrack: f64,
    /// Added for each event with an error code. Default: 0.8.
    pub error_event: f64,
    /// Added for each abandoned task. Default: 1.5.
    pub abandoned_task: f64,
    /// Added for each dead click. Default: 0.5.
    pub dead_click: f64,
    /// Efficiency of an ideal session, before the sigmoid. Default: 2.0.
    pub efficiency_base: f64,
    /// Subtracted for each 10 min of duration, at most three times. Default: 1.0.
    pub duration: f64,
    /// Subtracted for each 20 clicks for each task started, at most three times. Default: 1.0.
    pub clicks_per_task: f64,
    /// Subtracted for the share of visits to screens that the session had visited before. Default: 2.0.
    pub revisits: f64,
}

impl Default for Score {
    fn default() -> Self {
        Self {
            frustration_base: -3.0,
            rage_click: 1.2,
            backtrack: 0.6,
            error_event: 0.8,
            abandoned_task: 1.5,
            dead_click: 0.5,
            efficiency_base: 2.0,
            duration: 1.0,
            clicks_per_task: 1.0,
            revisits: 2.0,
        }
    }
}
