//! What a folder holds: which files are read, and which are named as left out.

use netcrab_sources::{LEFT_OUT_MAX, Mapping, SourceSettings};

use super::{event, fault, file, folder, open, read_with};

/// `name why` of each file that is left out.
fn left_out(folder: &tempfile::TempDir, mapping: Option<Mapping>) -> Vec<String> {
    let source = open(&[folder.path()], mapping, SourceSettings::default()).unwrap();
    let root = format!("{}/", folder.path().display());
    source.left_out().iter().map(|left| format!("{} {}", left.file.replace(&root, ""), left.why.name())).collect()
}

#[test]
fn what_is_not_read_is_named_with_its_reason() {
    let folder = folder();
    for name in ["a.ndjson", "B.NDJSON", "sub/c.Json"] {
        file(&folder, name, event(""));
    }
    for name in [
        "README.md",
        "a.csv.bz2",
        "a.csv.zip",
        "a.ndjson.tmp",
        "a.orc",
        "a.parquet.gz",
        "part-00000",
        "sub/b.XZ",
        "sub/c.tar.gz",
    ] {
        file(&folder, name, "x");
    }
    file(&folder, "empty.csv", "");
    std::os::unix::fs::symlink("nowhere.ndjson", folder.path().join("link.ndjson")).unwrap();
    assert_eq!(
        left_out(&folder, None),
        [
            "README.md unknown_ending",
            "a.csv.bz2 compression",
            "a.csv.zip compression",
            "a.ndjson.tmp unfinished",
            "a.orc unknown_ending",
            "a.parquet.gz compressed_parquet",
            "empty.csv empty",
            "link.ndjson missing",
            "part-00000 unknown_ending",
            "sub/b.XZ compression",
            "sub/c.tar.gz compression",
        ]
    );
}

#[test]
fn no_link_leads_out_of_a_folder_and_no_pipe_is_waited_for() {
    let (folder, outside) = (folder(), folder());
    file(&folder, "a.ndjson", event(""));
    file(&outside, "b.ndjson", event(""));
    let link = |target: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    };
    link(&outside.path().join("b.ndjson"), "b.ndjson");
    link(outside.path(), "c");
    link(std::path::Path::new("/dev/zero"), "d.ndjson");
    link(&folder.path().join("a.ndjson"), "e.ndjson");
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("f.ndjson")).status().unwrap();
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("g.csv")).unwrap();
    assert_eq!(
        left_out(&folder, None),
        ["b.ndjson link", "c link", "d.ndjson link", "f.ndjson special", "g.csv special"]
    );
    // A link that is given as a source is followed.
    let given = open(&[&folder.path().join("b.ndjson")], None, SourceSettings::default()).unwrap();
    assert_eq!((given.left_out().len(), given.bytes() > 0), (0, true));
}

#[test]
fn bookkeeping_is_left_alone_without_a_word() {
    let folder = folder();
    file(&folder, "a.ndjson", event(""));
    for name in ["_SUCCESS", ".a.ndjson.crc", "a.ndjson.crc", "_temporary/0/b.ndjson", ".DS_Store", "day_$folder$"] {
        file(&folder, name, "x");
    }
    assert_eq!(left_out(&folder, None), Vec::<String>::new());
}

#[test]
fn names_without_ending_are_read_where_a_mapping_says_the_format() {
    let folder = folder();
    let mapping = || Mapping::parse(&std::fs::read_to_string("../docs/mapping-ecom.toml").unwrap()).unwrap();
    let header = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle\n";
    let row = "u,s,home,2024-03-13 10:21:14,desktop,e,c,new\n";
    for name in ["part-00000", "part-00001.gz", "a.txt", "FEB.CSV"] {
        file(&folder, name, format!("{header}{row}"));
    }
    file(&folder, "a.md", "x");
    assert_eq!(left_out(&folder, Some(mapping())), ["a.md unknown_ending"]);
    let source = open(&[folder.path()], Some(mapping()), SourceSettings::default()).unwrap();
    assert_eq!(source.files(), 4);
}

#[test]
fn a_log_is_what_the_mapping_says() {
    let folder = folder();
    let text = "format = \"ndjson\"\n[constants]\norg_id = \"a\"\nproduct_id = \"p\"\nevent_type = \"navigation\"\nscreen_id = \"s\"\n\
                device_type = \"desktop\"\n[hash]\nuser_hash = [\"ip\"]\n[time]\ncolumn = \"ts\"";
    let line = "{\"ip\":\"203.0.113.5\",\"ts\":\"2026-10-01T10:00:00Z\"}\n";
    let path = file(&folder, "access.log", line);
    for path in [path.as_path(), folder.path()] {
        let mapping = Some(Mapping::parse(text).unwrap());
        assert_eq!(read_with(path, mapping, SourceSettings::default(), 1).unwrap().events.num_rows(), 1);
    }
}

#[test]
fn the_list_is_bounded_and_the_count_is_not() {
    let folder = folder();
    file(&folder, "a.ndjson", event(""));
    for number in 0..LEFT_OUT_MAX + 5 {
        file(&folder, &format!("{number:03}.txt"), "x");
    }
    let source = open(&[folder.path()], None, SourceSettings::default()).unwrap();
    assert_eq!((source.left_out().len(), source.left_out_count()), (LEFT_OUT_MAX, LEFT_OUT_MAX + 5));
}

#[test]
fn if_everything_is_left_out_the_error_names_it_all() {
    let folder = folder();
    file(&folder, "a.csv.bz2", "x");
    file(&folder, "part-0", "x");
    let message = fault(open(&[folder.path()], None, SourceSettings::default()));
    let message = message.replace(folder.path().to_str().unwrap(), "…");
    assert!(
        message.starts_with(
            "no event files in `…`; left out: `…/a.csv.bz2` (bzip2 is not read; unpack it, or compress it with gzip or zstd), `…/part-0` (its name does not say its format; "
        ),
        "{message}"
    );
}
