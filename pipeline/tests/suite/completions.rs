//! The scripts that let a shell complete commands and options.

use std::process::Command;

use crate::command_line::{netcrab, succeed, text};
use crate::skipped;

#[test]
fn every_usual_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeed(&["completions", shell]);
        assert!(script.contains("netcrab") && script.contains("completions") && script.contains("tables"), "{shell}");
    }
    assert_eq!(netcrab(&["completions", "tcsh"]).output().unwrap().status.code(), Some(2));
    // Also beside settings that are wrong.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("netcrab.toml"), "nonsense = 1\n").unwrap();
    let output = netcrab(&["completions", "bash"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
}

#[test]
fn bash_takes_its_script_and_completes_commands_and_options() {
    if Command::new("bash").arg("--version").output().is_err() {
        return skipped("there is no bash");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("netcrab.bash");
    std::fs::write(&script, succeed(&["completions", "bash"])).unwrap();
    let checked = Command::new("bash").args(["-n", text(&script)]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for (line, expect) in [
        ("netcrab ru", vec!["run"]),
        ("netcrab re", vec!["rerun"]),
        ("netcrab completions z", vec!["zsh"]),
        ("netcrab run --map", vec!["--mapping"]),
        ("netcrab packs pl", vec!["plan"]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let last = words[words.len() - 1];
        let complete = format!(
            "source {}; COMP_WORDS=({line}); COMP_CWORD={}; _netcrab netcrab '{last}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            text(&script),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &complete]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), expect, "{line}: {stderr}");
    }
}
