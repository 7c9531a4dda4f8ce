//! Pages mention files that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

/// All files of the repository, as paths from its top.
fn files() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_dir() {
                files.insert(path.strip_prefix(root()).unwrap().display().to_string());
            } else if !["target", ".git", ".cache"].contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    files
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The texts between `open` and `close` on each line.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.lines().flat_map(move |line| line.split(open).skip(1).filter_map(move |rest| rest.split(close).next()))
}

/// Whether some file has this path, or ends in it.
fn exists(files: &BTreeSet<String>, path: &str) -> bool {
    files.iter().any(|file| file == path || file.ends_with(&format!("/{path}")))
}

#[test]
fn links_of_pages_lead_to_files() {
    let files = files();
    let mut links = 0;
    for page in files.iter().filter(|file| file.ends_with(".md")) {
        let text = read(page);
        let local = between(&text, "](", ')').filter(|link| !link.contains("://") && !link.starts_with('#'));
        for link in local {
            let target = link.split('#').next().unwrap_or(link);
            let path = root().join(page).parent().unwrap().join(target);
            assert!(path.exists(), "{page} links to {link}, which is not there");
            links += 1;
        }
    }
    assert!(links > 20, "{links} links found");
}

#[test]
fn files_that_pages_name_are_there() {
    let files = files();
    // Files of a reader's own, in examples.
    let examples = ["stricter.toml"];
    let kinds = [".rs", ".md", ".py", ".sql", ".sh", ".toml", ".yaml"];
    let mut missing = Vec::new();
    for page in files.iter().filter(|file| file.ends_with(".md") && *file != "CHANGELOG.md") {
        let text = read(page);
        let named = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let paths = named.filter(|name| {
            kinds.iter().any(|kind| name.ends_with(kind))
                && !name.starts_with('.')
                && !name.contains([' ', '*', '{', '<'])
        });
        for path in paths {
            if !exists(&files, path) && !examples.contains(&path) {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "pages name files that are not there:\n{}", missing.join("\n"));
}

#[test]
fn pages_that_comments_name_are_there() {
    let files = files();
    let mut pages = 0;
    for source in files.iter().filter(|file| [".rs", ".sql", ".py"].iter().any(|kind| file.ends_with(kind))) {
        let text = read(source);
        for rest in text.split("docs/").skip(1) {
            let page: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_./".contains(*c)).collect();
            let page = page.trim_end_matches('.');
            if page.ends_with(".md") {
                assert!(files.contains(&format!("docs/{page}")), "{source} names docs/{page}, which is not there");
                pages += 1;
            }
        }
    }
    assert!(pages > 10, "{pages} pages named");
}
