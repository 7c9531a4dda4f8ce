//! Wrong input: each a message that says what to do, and tables as they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command_line::{answer, fail, netcrab, succeed, text, traffic};
use crate::skipped;

fn event(id: u32, ts: &str) -> String {
    format!(
        r#"{{"orgId":"acme","productId":"crm","sessionId":"s","userHash":"u","eventId":"e{id}","ts":{ts},"eventType":"click","screenId":"home","route":"/","deviceType":"desktop"}}"#
    )
}

/// Runs one NDJSON file; gives the reasons of its rejects, one a line.
fn rejects(lines: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (file, tables) = (folder.path().join("events.ndjson"), folder.path().join("tables"));
    fs::write(&file, lines).unwrap();
    succeed(&["run", text(&file), "--tables", text(&tables)]);
    answer(&tables, "SELECT line, reason FROM rejects ORDER BY line")
}

#[test]
fn absurd_times_are_rejected_and_the_borders_hold() {
    let times =
        ["-62135596800000", "253402214400000", "946684799999", "946684800000", "4102444799999", "4102444800000"];
    let lines: Vec<String> = times.iter().enumerate().map(|(i, ts)| event(i as u32, ts)).collect();
    let rejected = rejects(lines.join("\n").as_bytes());
    for line in [1, 2, 3, 6] {
        assert!(rejected.contains(&format!("| {line}    | ts_out_of_range |")), "{rejected}");
    }
    assert!(!rejected.contains("| 4 ") && !rejected.contains("| 5 "), "{rejected}");
}

#[test]
fn a_line_of_ten_megabytes_and_one_that_is_not_utf8_are_rejected_and_the_rest_is_read() {
    let mut lines = event(1, "1760000000000").into_bytes();
    lines.push(b'\n');
    lines.extend(vec![b'x'; 10 << 20]);
    lines.push(b'\n');
    lines.extend(b"{\"orgId\":\"\xff\xfe\"}\n");
    lines.extend(event(2, "1760000000001").into_bytes());
    let rejected = rejects(&lines);
    assert!(rejected.contains("| 2    | line_too_long"), "{rejected}");
    assert!(rejected.contains("| 3    |") && !rejected.contains("| 4 "), "{rejected}");
}

#[test]
fn strict_ends_with_2_when_rows_were_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let (file, tables) = (folder.path().join("events.ndjson"), folder.path().join("tables"));
    fs::write(&file, format!("{}\nnot json\n", event(1, "1760000000000"))).unwrap();
    for again in [false, true] {
        let output = netcrab(&["run", text(&file), "--tables", text(&tables), "--strict"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.contains("already holds"), again, "{said}");
        assert!(said.contains("1 rejected: 1 not_json"), "{said}");
    }
    let other = folder.path().join("other");
    let output = netcrab(&["run", text(&file), "--tables", text(&other)]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn personal_data_is_refused_and_never_kept() {
    let secret = "jane.doe@example.com";
    let line = event(1, "1760000000000").replace("}", &format!(r#","extra":{{"note":"{secret}"}}}}"#));
    let folder = tempfile::tempdir().unwrap();
    let (file, tables) = (folder.path().join("events.ndjson"), folder.path().join("tables"));
    fs::write(&file, line).unwrap();
    let output = netcrab(&["run", text(&file), "--tables", text(&tables)]).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("1 rejected") && !said.contains(secret), "{said}");
    let mut found = false;
    search(&tables, secret.as_bytes(), &mut found);
    assert!(!found, "the refused value is in a table");
}

fn search(folder: &Path, needle: &[u8], found: &mut bool) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, needle, found);
        } else {
            *found |= fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle);
        }
    }
}

#[test]
fn truncated_parquet_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let whole = traffic(folder.path(), "whole.parquet", "1000", "1");
    let bytes = fs::read(&whole).unwrap();
    let (cut, tables) = (folder.path().join("cut.parquet"), folder.path().join("tables"));
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let fault = fail(&["run", text(&cut), "--tables", text(&tables)]);
    assert!(fault.contains("cut.parquet") && fault.contains("copy it again"), "{fault}");
    assert!(!tables.exists());
}

#[test]
fn a_gzip_file_that_ends_early_leaves_the_tables_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let whole = traffic(folder.path(), "whole.ndjson.gz", "2000", "1");
    let bytes = fs::read(&whole).unwrap();
    let (cut, tables) = (folder.path().join("cut.ndjson.gz"), folder.path().join("tables"));
    fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let fault = fail(&["run", text(&cut), "--tables", text(&tables)]);
    assert!(fault.contains("cut.ndjson.gz"), "{fault}");
    succeed(&["run", text(&whole), "--tables", text(&tables)]);
    assert!(answer(&tables, "SELECT count(*) AS n FROM events_raw").contains("2000"));
}

#[test]
fn nothing_to_read_and_nowhere_to_write_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(fail(&["run", text(&empty), "--tables", text(&tables)]).contains("no event files"));
    assert!(fail(&["run", "no-such-file.parquet", "--tables", text(&tables)]).contains("does not exist"));
    let events = traffic(folder.path(), "events.parquet", "500", "1");
    let file = folder.path().join("a-file");
    fs::write(&file, "").unwrap();
    let fault = fail(&["run", text(&events), "--tables", text(&file)]);
    assert!(fault.contains("a-file"), "{fault}");
}

#[test]
fn a_full_disk_says_so_and_leaves_the_tables_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "20000", "1");
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", text(&disk)]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skipped("it needs the right to mount a tmpfs");
    }
    let tables = disk.join("tables");
    let output = netcrab(&["run", text(&events), "--tables", text(&tables)]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let unmounted = std::process::Command::new("umount").arg(text(&disk)).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no space left"), "{said}");
}

/// A folder of its own file system, so that even root can be kept from writing; unmounted at the end.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None` where the tests may not mount.
    pub(crate) fn mount(folder: &Path) -> Option<Disk> {
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=64m", "tmpfs", text(&disk)]).then_some(Disk(disk))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    fn forbid_writing(&self) {
        assert!(mount(&["-o", "remount,ro", text(&self.0)]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A folder that stays mounted is only litter; the test says what it found.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str]) -> bool {
    Command::new("mount").args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn a_read_only_folder_says_so_even_to_root_and_leaves_the_tables_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let first = traffic(folder.path(), "first.parquet", "2000", "1");
    let second = traffic(folder.path(), "second.parquet", "2000", "2");
    let Some(disk) = Disk::mount(folder.path()) else {
        return skipped("it needs the right to mount a tmpfs");
    };
    let (tables, new) = (disk.0.join("tables"), disk.0.join("new"));
    succeed(&["run", text(&first), "--tables", text(&tables)]);
    disk.forbid_writing();
    for target in [&tables, &new] {
        let fault = fail(&["run", text(&second), "--tables", text(target)]);
        assert!(fault.contains("cannot be written in") && fault.contains(text(target)), "{fault}");
        assert!(fault.contains("choose another --tables folder or make this one writable"), "{fault}");
    }
    assert!(!new.exists());
    assert!(answer(&tables, "SELECT count(*) AS n FROM events_raw").contains("2000"));
    let again = succeed(&["run", text(&first), "--tables", text(&tables)]);
    assert!(again.contains("already holds"), "{again}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_nobody_may_write_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let events = traffic(folder.path(), "events.parquet", "500", "1");
    let fault = fail(&["run", text(&events), "--tables", "/sys/netcrab-tables"]);
    assert!(fault.contains("choose another --tables folder or make this one writable"), "{fault}");
}

#[test]
fn an_interrupted_run_leaves_the_tables_at_the_last_complete_one() {
    let folder = tempfile::tempdir().unwrap();
    let small = traffic(folder.path(), "small.parquet", "2000", "1");
    let large = traffic(folder.path(), "large.parquet", "200000", "2");
    let tables = folder.path().join("tables");
    succeed(&["run", text(&small), "--tables", text(&tables)]);
    let counts = "SELECT (SELECT count(*) FROM events_raw) AS events, (SELECT count(*) FROM fact_sessions) AS sessions";
    let before = answer(&tables, counts);
    let mut run = netcrab(&["run", text(&large), "--tables", text(&tables)])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = run.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(!run.wait().unwrap().success(), "the run was over before it was interrupted");
    assert_eq!(answer(&tables, counts), before);
    succeed(&["run", text(&large), "--tables", text(&tables)]);
    assert!(answer(&tables, "SELECT count(*) AS n FROM events_raw").contains("202000"));
}
