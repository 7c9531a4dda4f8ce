//! Starts a server that tests need by a script of `scripts/`; it ends with the process of the tests.

#[path = "../../../sources/tests/suite/skipped.rs"]
mod skipped;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) use skipped::skipped;

/// Starts a server with its files in `folder`. The child that this returns stops the server and removes the folder when
/// its standard input ends, which it does when this process ends in whatever way.
#[allow(dead_code, reason = "not every suite starts one")]
pub(crate) fn start(script: &str, folder: &Path) -> Result<Child, String> {
    let keep = r#"trap '' INT TERM; if "$0" start "$1"; then echo up; read -r _; "$0" stop "$1"; fi; rm -rf "$1""#;
    let keeper = Command::new("setsid")
        .args(["bash", "-c", keep, script, folder.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut keeper = keeper.map_err(|fault| fault.to_string())?;
    let mut said = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if said.trim() == "up" {
        return Ok(keeper);
    }
    drop(keeper.stdin.take());
    let mut reason = String::new();
    keeper.stderr.take().unwrap().read_to_string(&mut reason).unwrap();
    keeper.wait().unwrap();
    Err(reason.trim().to_owned())
}
