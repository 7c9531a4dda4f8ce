//! Events as they come become tables, and each is counted once, whatever is killed.
//!
//!     bus ─▶ epoch n: [from, to) and W ─▶ plans ─▶ staged files ─▶ epoch-n.json ─▶ tables ─▶ epoch-n.applied
//!                                            │                     └ the commit
//!                                            ▼
//!                                      open sessions ─▶ epoch n+1
//!
//! A *shard* is a part of the bus and what is open of it. Its *epochs* follow one another; each is a
//! fixed range of the bus and a watermark, decided before it begins and written down when it is done.
//!
//! **The steps of an epoch**, which [`crash`] numbers and tests kill at, before and after:
//!
//! 1. read the range from the bus;
//! 2. run the plans, which stage files that no table names yet;
//! 3. make these safe from a power cut;
//! 4. write the open sessions, where that is due;
//! 5. create `epoch-n.json`, which must not exist yet: from here on the epoch is a fact. Whoever finds
//!    that it exists has lost the shard to another process, and stops;
//! 6. change the tables, one transaction each, which a table that has it already ignores;
//! 7. insert the same rows into ClickHouse, where that is configured, and note the epoch there;
//! 8. send the rows of closed sessions to those who listen on the bus, where that is configured;
//! 9. create `epoch-n.applied`;
//! 10. tell the bus how far the shard has come, for information.
//!
//! **After a kill** the newest `epoch-n.json` decides. Steps 6 to 10 are done again from what it names;
//! what came before step 5 is as if it never was, and its files are litter that the next clean-up takes.
//!
//! **The state is not written each time.** An epoch takes the events of its range and closes at its
//! watermark, and both are written down, so the open sessions after epoch n are those of some epoch
//! before it and the ranges since, read from the bus again. They are written whole once as many events
//! came as are open: what is written stays in proportion to what changed, and so does what is read again.

pub mod compaction;
pub mod context;
pub mod crash_points;
pub mod maintenance_context;
pub mod open_sessions;
pub mod processor;
pub mod publish;
pub mod repair;
pub mod retention;
pub mod shard;
pub mod status;
pub mod table_files;
pub mod vacuum;
pub mod watermark;
