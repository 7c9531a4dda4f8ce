//! The stage `pack-build`: facts of many organisations into what their visitors contribute to a pack.
//!
//!     products ─▶ slices ─▶ contributions, a query over the facts ─▶ bounding, visitor by visitor ─▶ tallies
//!
//! A contribution is exact and personal. It goes to [`netcrab_packs`] alone, which decides what is released.
//!
//! Invariant: what a visitor contributes does not depend on how products are cut into slices.

mod archetype;
mod bounding;
mod contributions;
mod error;
mod filters;
mod slices;
mod steps;

pub use bounding::{BoundedContributions, ContributionBounder};
pub use contributions::{BuildWindow, contributions, products};
pub use error::Error;
pub use slices::{EligibleProduct, Slice, VisitorPartition, slices};
