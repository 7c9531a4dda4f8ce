//! The long audit: how well releases distinguish two worlds that differ in one visitor, and whether it finds faults.
//!
//!     cargo run --release -p netcrab-packs --example audit -- 20000
//!
//! `tests/suite/audit.rs` explains the audit, and runs a short one.

#![allow(clippy::unwrap_used, reason = "an audit that fails says where")]
#![allow(dead_code, unused_imports, reason = "the example uses a part of what it shares with the tests")]

#[path = "../tests/suite/audit.rs"]
mod audit;
#[path = "../tests/suite/population.rs"]
mod population;

use audit::{Fault, excess, too_small_is_released};

fn main() {
    let builds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    println!("noise drawn {builds} times for each world; lower bound on ε less the promised ε, the largest over δ");
    let mut passed = true;
    let faults = [Fault::None, Fault::ScaleHalved, Fault::BoundSkipped, Fault::ExactCountLeaked, Fault::DrawnAgain];
    for fault in faults {
        let excess = excess(fault, builds);
        let found = excess > 0.0;
        passed &= found == (fault != Fault::None);
        println!("{fault:<20?} {excess:>9.3}   {}", if found { "found" } else { "within the promise" });
    }
    let (sound, off) = (too_small_is_released(0, builds), too_small_is_released(1, builds));
    println!(
        "{:<20} {:>9}   {}",
        "cohort rule",
        "",
        if sound { "a cell that is too small was released" } else { "no cell that is too small was released" }
    );
    println!("{:<20} {:>9}   {}", "ThresholdOffByOne", "", if off { "found" } else { "not found" });
    passed &= !sound && off;
    std::process::exit(i32::from(!passed));
}
