//! Turns the events of the bus into tables, exactly once, whatever is killed.
//!
//!     bus ─▶ epoch n: [from, to) and W ─▶ plans ─▶ staged files ─▶ epoch-n.json ─▶ tables ─▶ epoch-n.applied
//!                                            │                     └ the commit
//!                                            ▼
//!                                      open sessions ─▶ epoch n+1
//!
//! A *shard* is a partition of the bus with its open sessions. Its *epochs* follow one another. Each epoch is a fixed
//! range of the bus and a watermark, both decided before it runs and recorded in its manifest.
//!
//! **The steps of an epoch**, in [`crash_points`]; tests kill the process before and after each. In parentheses the
//! label of the step in the metric `netcrab_stream_step_seconds`:
//!
//! 1. read the range from the bus (`read`);
//! 2. run the plans, which stage files that no table references yet (`stage`);
//! 3. fsync these files (`keep`);
//! 4. write the state file, where it is due (`state`);
//! 5. create `epoch-n.json`, which must not exist yet: the commit. A process that finds the file has lost the shard
//!    to another process, and stops (`commit`);
//! 6. apply the changes to the Delta tables, one idempotent transaction each (`apply`);
//! 7. insert the same rows into ClickHouse, where it is configured, and store the position there (`insert`);
//! 8. send the rows of closed sessions to the result topics, where they are configured (`publish`);
//! 9. create `epoch-n.applied` (`applied`);
//! 10. release what no restart needs: events of the bus, old epochs (`release`).
//!
//! **After a kill** the newest `epoch-n.json` decides. Steps 6 to 10 are repeated from its manifest. What happened
//! before step 5 had no effect; vacuum removes its files.
//!
//! **The state file is not written in each epoch.** Manifests record range and watermark, so a restart rebuilds the
//! open sessions from the last state file and the ranges since. A state file is written once as many events came as
//! are open. So both the bytes written and the events read again are proportional to what changed.

pub mod compaction;
pub mod context;
pub mod crash_points;
pub mod maintenance_context;
pub mod open_sessions;
pub mod processor;
pub mod publish;
pub mod rebuild;
pub mod repair;
pub mod retention;
pub mod shard;
pub mod status;
pub mod table_files;
pub mod vacuum;
pub mod watermark;
