//! The products that traffic is made of: screens, the ways between them, their elements and tasks.
//!
//! A plan is data only. Weights are relative; the first screen is the usual way in.

mod crm;
mod desk;
mod erp;
mod hr;
mod shop;

use super::plan::ProductPlan;
pub(super) use crm::{CRM_BILLING, CRM_IMPORT};

/// The plans; product `p` of organisation `o` follows plan `(o + p) % PLANS.len()`.
pub(super) static PLANS: &[&ProductPlan] = &[&crm::CRM, &desk::DESK, &hr::HR, &erp::ERP, &shop::SHOP];
