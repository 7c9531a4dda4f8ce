//! The generated products.
//!
//! They are data only. Weights are relative; visitors usually enter at the first screen.

mod crm;
mod desk;
mod erp;
mod hr;
mod shop;

use super::plan::ProductPlan;
pub(super) use crm::{CRM_BILLING, CRM_IMPORT};

/// Product `p` of organisation `o` follows plan `(o + p) % PLANS.len()`.
pub(super) static PLANS: &[&ProductPlan] = &[&crm::CRM, &desk::DESK, &hr::HR, &erp::ERP, &shop::SHOP];
