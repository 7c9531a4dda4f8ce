//! `make graph`: prints which source file uses which, crate by crate, from the ground up.
//!
//! Arguments are folders of crates; without any, all are printed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match print(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(wanted: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut out = std::io::stdout().lock();
    for member in netcrab_workspace::crates(root)? {
        if wanted.is_empty() || wanted.contains(&member.folder) {
            let (files, cycles) = (member.graph.files().count(), member.graph.tangles().len());
            writeln!(out, "{}  files {files}  cycles {cycles}\n{}", member.folder, member.graph)?;
        }
    }
    Ok(())
}
