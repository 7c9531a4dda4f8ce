//! The long audit: how well two worlds that differ in one visitor can be told apart, and whether faults are found.
//!
//!     cargo run --release -p netcrab-packs --example audit -- 20000
//!
//! What it does is said in `tests/suite/audit.rs`, which runs a short one.

#![allow(clippy::unwrap_used, reason = "an audit that fails says where")]
#![allow(dead_code, unused_imports, reason = "the tests use all of what they share with it")]

#[path = "../tests/suite/audit.rs"]
mod audit;
#[path = "../tests/suite/population.rs"]
mod population;

use audit::{Fault, excess, too_small_leaves};

fn main() {
    let builds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    println!("noise drawn {builds} times for each world; ε that is sure, less the ε promised (largest over δ)");
    let mut right = true;
    let faults = [Fault::None, Fault::ScaleHalved, Fault::BoundSkipped, Fault::ExactCountLeaked, Fault::DrawnAgain];
    for fault in faults {
        let excess = excess(fault, builds);
        let found = excess > 0.0;
        right &= found == (fault != Fault::None);
        println!("{fault:<20?} {excess:>9.3}   {}", if found { "found" } else { "within what is promised" });
    }
    let (sound, off) = (too_small_leaves(0, builds), too_small_leaves(1, builds));
    println!(
        "{:<20} {:>9}   {}",
        "cohort rule",
        "",
        if sound { "a cell too small left" } else { "no cell too small left" }
    );
    println!("{:<20} {:>9}   {}", "ThresholdOffByOne", "", if off { "found" } else { "not found" });
    right &= !sound && off;
    std::process::exit(i32::from(!right));
}
