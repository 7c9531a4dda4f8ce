//! No two source files of a crate use each other, directly or through others.

use std::path::Path;
use std::sync::LazyLock;

use netcrab_workspace::{Crate, crates};

#[test]
fn no_crate_has_a_cycle_between_files() {
    let cycles: Vec<String> = workspace()
        .iter()
        .flat_map(|member| member.graph.cycles().into_iter().map(|cycle| format!("{}: {cycle}", member.folder)))
        .collect();
    assert!(cycles.is_empty(), "move the shared item into a file of its own:\n{}", cycles.join("\n"));
}

#[test]
fn a_mod_leads_to_every_source_file() {
    for member in workspace() {
        assert_eq!(member.unreached, Vec::<String>::new(), "no `mod` leads there in {}", member.folder);
    }
}

#[test]
fn a_file_for_tests_only_is_reached_and_not_in_the_graph() {
    check(&[("lib.rs", "#[cfg(test)] mod check;"), ("check.rs", "use super::missing;")], "");
}

#[test]
fn the_graph_of_the_bus_has_the_edges_a_reader_sees() {
    let bus = workspace().iter().find(|member| member.folder == "bus").unwrap();
    let uses = |file: &str, used: &str| bus.graph.uses_of(file).any(|(other, _)| other == used);
    assert!(uses("memory.rs", "error.rs"), "by way of a re-export");
    assert!(!uses("lib.rs", "memory.rs"), "a re-export and `mod` are no use");
}

/// The crates of this workspace, read once for all tests.
fn workspace() -> &'static [Crate] {
    static WORKSPACE: LazyLock<Vec<Crate>> =
        LazyLock::new(|| crates(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap());
    &WORKSPACE
}

/// The graph of a crate of the given files, as text.
fn graph_of(files: &[(&str, &str)]) -> String {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nmembers = [\"made\"]");
    write("made/Cargo.toml", "[package]\nname = \"made-up\"");
    for (path, text) in files {
        write(&format!("made/src/{path}"), text);
    }
    match crates(root.path()) {
        Ok(members) => {
            let graph = &members[0].graph;
            let mut lines = Vec::new();
            for file in graph.files() {
                for (used, names) in graph.uses_of(file) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    lines.push(format!("{file} → {used} ({})", names.join(", ")));
                }
            }
            lines.extend(graph.cycles().iter().map(|cycle| format!("cycle {cycle}")));
            lines.join("\n")
        }
        Err(error) => format!("error: {error}"),
    }
}

fn check(files: &[(&str, &str)], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(graph_of(files), expected.join("\n"));
}

#[test]
fn two_files_that_use_each_other_are_a_cycle() {
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::{Read, write}; pub struct Shard;"),
            ("b.rs", "pub trait Read {} pub fn write(shard: &super::a::Shard) {}"),
        ],
        "a.rs → b.rs (Read, write)
         b.rs → a.rs (Shard)
         cycle a.rs → b.rs (Read, write) → a.rs (Shard)",
    );
}

#[test]
fn a_cycle_through_three_files_is_named_in_full() {
    check(
        &[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub struct A(crate::b::B);"),
            ("b.rs", "pub struct B(crate::c::C);"),
            ("c.rs", "pub struct C(Box<crate::a::A>);"),
        ],
        "a.rs → b.rs (B)
         b.rs → c.rs (C)
         c.rs → a.rs (A)
         cycle a.rs → b.rs (B) → c.rs (C) → a.rs (A)",
    );
}

#[test]
fn a_parent_that_only_re_exports_is_not_used() {
    check(
        &[
            ("lib.rs", "mod log;"),
            ("log/mod.rs", "mod read; mod frame; pub use frame::*; pub use read::Reader;"),
            ("log/read.rs", "use super::Frame; pub struct Reader(Frame);"),
            ("log/frame.rs", "pub struct Frame;"),
        ],
        "log/read.rs → log/frame.rs (Frame)",
    );
}

#[test]
fn a_parent_that_needs_what_it_re_exports_uses_it() {
    check(
        &[
            ("lib.rs", "mod log;"),
            ("log.rs", "mod read; pub use read::Reader; pub struct Bound; pub struct Log(Reader);"),
            ("log/read.rs", "use super::Bound; pub struct Reader(Bound);"),
        ],
        "log.rs → log/read.rs (Reader)
         log/read.rs → log.rs (Bound)
         cycle log.rs → log/read.rs (Reader) → log.rs (Bound)",
    );
}

#[test]
fn groups_renamings_globs_and_modules_by_name_are_followed() {
    check(
        &[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use super::{b, c::{self, One as First}, d::*}; fn f(f: First) { b::g(); c::h(Some(Deep::Sea)) }"),
            ("b.rs", "pub fn g() {}"),
            ("c.rs", "pub struct One; pub fn h() {}"),
            ("d.rs", "pub enum Deep { Sea } pub struct Unused;"),
        ],
        "a.rs → b.rs (g)
         a.rs → c.rs (One, h)
         a.rs → d.rs (Deep)",
    );
}

#[test]
fn tests_other_crates_and_local_variables_are_no_use() {
    check(
        &[
            ("lib.rs", "mod a; mod b; pub use b::count;"),
            ("a.rs", "use std::fmt; pub struct A; fn f(b: u8) -> u8 { b } #[cfg(test)] mod tests { use crate::b::B; }"),
            ("b.rs", "use super::a::A; pub struct B(A); pub fn count() {} #[cfg(test)] use crate::a::missing;"),
        ],
        "b.rs → a.rs (A)",
    );
}

#[test]
fn macros_and_attributes_use_what_they_name() {
    check(
        &[
            ("lib.rs", "macro_rules! sql { () => {} } mod a; mod b; mod c;"),
            (
                "a.rs",
                r#"#[derive(Deserialize)] struct A { #[serde(default = "super::b::gap")] gap: u8 }
                   fn f() { sql!(); assert_eq!(1, crate::c::one()); }"#,
            ),
            ("b.rs", "pub fn gap() -> u8 { 1 }"),
            ("c.rs", "pub fn one() -> u8 { 1 }"),
        ],
        "a.rs → b.rs (gap)
         a.rs → c.rs (one)
         a.rs → lib.rs (sql)",
    );
}

#[test]
fn a_program_uses_its_library_by_its_name() {
    check(
        &[("lib.rs", "pub mod a;"), ("a.rs", "pub fn run() {}"), ("main.rs", "fn main() { made_up::a::run() }")],
        "main.rs → a.rs (run)",
    );
}

#[test]
fn a_path_that_leads_nowhere_is_an_error() {
    check(
        &[("lib.rs", "mod a;"), ("a.rs", "use super::b::B;")],
        "error: `a.rs` names `super::b::B`, and no source file defines it; define it without a macro",
    );
}
