//! The operational database: organisations, what they opted into, which pack versions were released, and what privacy
//! budget these spent.
//!
//!     set_vertical, opt_in ─▶ org_settings, pack_opt_ins ─▶ contributors of a build
//!     lease                ─▶ leases                     ─▶ one builder at a time
//!     store                ─▶ pack_versions, pack_org_membership, privacy_ledger ─▶ what is left of a budget
//!
//! [`Market`] works over SQLite, a file beside the tables, and over PostgreSQL, which several machines can share. Both
//! give the same answers; one contract suite, `tests/suite`, holds for both.
//!
//! Invariant: of a stored version only the status changes. Its result, what it spent and who contributed are in the
//! database together or not at all.
//! Invariant: no budget is overspent, also when several processes store at the same time, because they write the ledger
//! one after the other ([`Market::store`]).
//!
//! Time comes from the caller, in milliseconds since 1970 UTC; the crate reads no clock.

mod bounds;
mod connect;
mod database;
mod error;
mod leases;
mod ledger;
mod migrate;
mod new_version;
mod opt_ins;
mod rows;
mod status;
mod store;
mod versions;

pub use bounds::{
    CONTRIBUTIONS_MAX, LIST_ENTRIES_MAX, ORG_ID_BYTES_MAX, PATH_BYTES_MAX, RESULT_BYTES_MAX, TEXT_BYTES_MAX,
};
pub use database::Market;
pub use error::{Error, OverBudget};
pub use ledger::{Spend, Spent};
pub use new_version::{Contribution, NewVersion};
pub use opt_ins::{Contributor, OptIn, Organisation};
pub use status::Status;
pub use versions::Version;
