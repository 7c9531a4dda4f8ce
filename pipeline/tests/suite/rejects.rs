//! The rejects of earlier runs stay until their file is run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::command_line::{answer, netcrab, stderr, succeed, text};
use crate::example_files::shared;

/// A line that is an event.
fn event(id: u32) -> String {
    let at = 1_760_000_000_000_u64 + u64::from(id);
    format!(
        r#"{{"orgId":"acme","productId":"crm","sessionId":"s","userHash":"u","eventId":"e{id}","ts":{at},"eventType":"click","screenId":"home","route":"/","deviceType":"desktop"}}"#
    )
}

/// A folder with files of events and a folder for tables.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn tables(&self) -> PathBuf {
        self.folder.path().join("tables")
    }

    /// Writes a file with an event and `bad` lines that are none.
    fn write(&self, name: &str, id: u32, bad: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{}\n{}", event(id), "no event\n".repeat(bad))).unwrap();
        path
    }

    fn run(&self, sources: &[&Path]) -> Output {
        self.run_with(sources, &[], &[])
    }

    fn run_with(&self, sources: &[&Path], options: &[&str], settings: &[(&str, &str)]) -> Output {
        let tables = self.tables();
        let sources: Vec<&str> = sources.iter().map(|source| text(source)).collect();
        let mut command = netcrab(&[&["run", "--tables", text(&tables)][..], options, &sources].concat());
        command.envs(settings.iter().copied()).current_dir(self.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{sources:?}: {}", stderr(&output));
        output
    }

    /// How many rejects each file has, as `mon 1, tue 2`.
    fn rejects(&self) -> String {
        rejects(&self.tables())
    }
}

fn rejects(tables: &Path) -> String {
    let rows = crate::command_line::query(tables, "SELECT file, count(*) AS n FROM rejects GROUP BY 1 ORDER BY 1");
    let text = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    let rows = text.lines().filter(|line| line.starts_with("| /") || line.contains("://")).map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (file, rows) = (cells.next().unwrap(), cells.next().unwrap());
        format!("{} {rows}", Path::new(file).file_stem().unwrap().to_str().unwrap())
    });
    rows.collect::<Vec<_>>().join(", ")
}

#[test]
fn case_35_tuesdays_run_keeps_mondays_rejects() {
    let Some(folder) = shared("cases/35-rejects-lost") else { return };
    let (monday, tuesday) = (folder.join("mon.ndjson"), folder.join("tue.ndjson"));
    let place = Place::new();
    let tables = place.tables();
    let run = |file: &Path| netcrab(&["run", text(file), "--tables", text(&tables)]).output().unwrap().status.code();
    assert_eq!(run(&monday), Some(3), "Monday's only row is no event");
    assert_eq!(run(&tuesday), Some(0));
    assert_eq!(place.rejects(), "mon 1");
    assert_eq!(run(&monday), Some(3));
    assert_eq!(place.rejects(), "mon 1");
}

#[test]
fn a_file_that_is_run_again_replaces_its_rejects_and_no_others() {
    let place = Place::new();
    let (monday, tuesday) = (place.write("mon.ndjson", 1, 2), place.write("tue.ndjson", 2, 1));
    place.run(&[&monday]);
    place.run(&[&tuesday]);
    assert_eq!(place.rejects(), "mon 2, tue 1");
    for said in ["2 events", "already holds"] {
        let again = String::from_utf8(place.run(&[&monday]).stdout).unwrap();
        assert!(again.contains(said), "{again}");
        assert_eq!(place.rejects(), "mon 2, tue 1");
    }
    // Mended in part, mended, and the first state again from a backup.
    for (bad, expect) in [(1, "mon 1, tue 1"), (0, "tue 1"), (2, "mon 2, tue 1"), (0, "tue 1")] {
        place.write("mon.ndjson", 1, bad);
        place.run(&[&monday]);
        assert_eq!(place.rejects(), expect, "{bad} bad rows");
    }
    place.write("wed.ndjson", 3, 4);
    place.run(&[place.folder.path().join("wed.ndjson").as_path()]);
    assert_eq!(place.rejects(), "tue 1, wed 4");
}

#[test]
fn a_file_is_known_by_its_place_however_it_is_named() {
    let place = Place::new();
    place.write("logs/mon.ndjson", 1, 2);
    place.run(&[Path::new("logs/mon.ndjson")]);
    let whole = place.folder.path().join("logs/mon.ndjson");
    fs::create_dir(place.folder.path().join("links")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&whole, place.folder.path().join("links/mon.ndjson")).unwrap();
    for name in [text(&whole), "./logs/mon.ndjson", "logs/../logs//mon.ndjson", "logs", "links/mon.ndjson"] {
        place.run(&[Path::new(name)]);
        assert_eq!(place.rejects(), "mon 2", "{name}");
    }
    // The same name in another folder is another file.
    place.write("other/mon.ndjson", 2, 1);
    place.run(&[Path::new("other/mon.ndjson")]);
    assert_eq!(place.rejects(), "mon 2, mon 1");
    // A folder holds them all.
    place.write("logs/tue.ndjson", 3, 1);
    place.run(&[Path::new("logs")]);
    assert_eq!(place.rejects(), "mon 2, tue 1, mon 1");
    place.write("logs/mon.ndjson", 1, 0);
    place.run(&[Path::new("logs"), Path::new("other")]);
    assert_eq!(place.rejects(), "tue 1, mon 1");
}

#[test]
fn other_tables_other_rules_and_recomputed_days_keep_all_rejects() {
    let place = Place::new();
    let (monday, tuesday) = (place.write("mon.ndjson", 1, 2), place.write("tue.ndjson", 2, 1));
    place.run(&[&monday]);
    place.run(&[&tuesday]);
    let expect = "mon 2, tue 1";
    // The tables hold the events, so the files are not read for other rules.
    place.run_with(&[&tuesday], &[], &[("NETCRAB_SESSIONIZE__GAP_MS", "60000")]);
    assert_eq!(place.rejects(), expect);
    let wednesday = place.write("wed.ndjson", 3, 5);
    place.run_with(&[&wednesday], &["--only", "fact_sessions,fact_incidents"], &[]);
    assert_eq!(place.rejects(), expect);
    let tables = place.tables();
    succeed(&["rerun", "--tables", text(&tables), "--from", "2025-10-01", "--to", "2025-10-31"]);
    assert_eq!(place.rejects(), expect);
    // A failed run changes nothing.
    let broken = place.folder.path().join("broken.ndjson.gz");
    fs::write(&broken, b"\x1f\x8b\x08\x00 is no gzip").unwrap();
    assert_eq!(netcrab(&["run", text(&broken), "--tables", text(&tables)]).output().unwrap().status.code(), Some(1));
    assert_eq!(place.rejects(), expect);
}

#[test]
fn rejects_are_found_when_they_are_asked_for_alone_or_later() {
    let place = Place::new();
    let (monday, tuesday) = (place.write("mon.ndjson", 1, 2), place.write("tue.ndjson", 2, 1));
    place.run_with(&[&monday], &["--only", "rejects"], &[]);
    assert_eq!(place.rejects(), "mon 2");
    place.run_with(&[&tuesday], &["--only", "events_raw"], &[]);
    assert_eq!(place.rejects(), "mon 2");
    place.run(&[&tuesday]);
    assert_eq!(place.rejects(), "mon 2, tue 1");
    place.run(&[&monday]);
    assert!(answer(&place.tables(), "SELECT count(*) AS n FROM events_raw").contains("| 2 |"));
}

#[test]
fn each_run_keeps_so_many_rejects_and_the_table_holds_those_of_all() {
    let place = Place::new();
    for day in 0..5 {
        let file = place.write(&format!("day{day}.ndjson"), day, 10);
        let said = place.run_with(&[&file], &[], &[("NETCRAB_RUN__REJECTS_MAX", "4")]);
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("10 rejected") && said.contains("6 (not kept, see run.rejects_max)"), "{said}");
    }
    assert_eq!(place.rejects(), "day0 4, day1 4, day2 4, day3 4, day4 4");
    // Small files of the table are merged as it grows.
    let log = place.tables().join("rejects");
    let tables = crate::command_line::sink(&place.tables());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let files = runtime.block_on(tables.files(&netcrab_schema::tables::REJECTS, "")).unwrap();
    assert_eq!(files.len(), 1, "{}", log.display());
}
