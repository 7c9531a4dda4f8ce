//! Vacuum removes the files that a Delta table no longer references, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netcrab_schema::tables::FACT_FLOWS;
use netcrab_sinks::delta::{DeltaSink, Vacuumed};
use netcrab_sinks::{Position, RunId, Sink, StagedFile, TableChange};
use url::Url;

use crate::contract::flows;

struct World {
    folder: tempfile::TempDir,
    sink: DeltaSink,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = DeltaSink::new(Url::from_directory_path(folder.path()).unwrap());
        Self { folder, sink }
    }

    async fn stage(&self, run: u128, rows: &[(i32, i64)]) -> Vec<StagedFile> {
        self.sink.stage(&FACT_FLOWS, &RunId::new(run), flows(rows)).await.unwrap().files
    }

    async fn apply(&self, number: i64, added: Vec<StagedFile>, removed: Vec<String>) {
        let position = Position { writer: "shard".to_owned(), number, marks: Vec::new() };
        assert!(
            self.sink
                .apply(&FACT_FLOWS, &position, &TableChange { added, removed, ..TableChange::default() })
                .await
                .unwrap()
        );
    }

    async fn vacuum(&self, keep: Duration, spared: &[&StagedFile], dry_run: bool) -> Vacuumed {
        let spared: BTreeSet<String> = spared.iter().map(|file| file.path.clone()).collect();
        self.sink.vacuum(&FACT_FLOWS, keep, &spared, dry_run).await.unwrap()
    }

    fn has(&self, file: &StagedFile) -> bool {
        self.folder.path().join("fact_flows").join(&file.path).exists()
    }
}

/// Files of a log, each an entry.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder.join("fact_flows/_delta_log")).unwrap();
    let paths = listed.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

#[tokio::test]
async fn files_no_version_names_go_once_they_are_old_and_those_that_are_spared_stay() {
    let world = World::new();
    assert_eq!(world.vacuum(Duration::ZERO, &[], false).await, Vacuumed::default(), "there is no table yet");
    let small = world.stage(1, &[(1, 10), (2, 20)]).await;
    world.apply(1, small.clone(), Vec::new()).await;
    let large = world.stage(2, &[(1, 10), (2, 20)]).await;
    world.apply(2, large.clone(), small.iter().map(|file| file.path.clone()).collect()).await;
    let (litter, about_to_be) = (world.stage(3, &[(1, 30)]).await, world.stage(4, &[(1, 40)]).await);

    let young = Duration::from_secs(3600);
    assert_eq!(world.vacuum(young, &[], false).await.files, 0);
    let spared: Vec<&StagedFile> = about_to_be.iter().collect();
    let would = world.vacuum(Duration::ZERO, &spared, true).await;
    assert!(small.iter().chain(&litter).all(|file| world.has(file)), "a dry run removes nothing");
    let did = world.vacuum(Duration::ZERO, &spared, false).await;
    let bytes = small.iter().chain(&litter).map(|file| file.bytes).sum();
    assert_eq!((would.files, would.bytes, did.files, did.bytes), (3, bytes, 3, bytes));
    assert!(!small.iter().chain(&litter).any(|file| world.has(file)));
    assert!(large.iter().chain(&about_to_be).all(|file| world.has(file)));
    assert_eq!(world.vacuum(Duration::ZERO, &spared, false).await.files, 0, "what is gone is not counted again");
    world.apply(3, about_to_be, Vec::new()).await;
}

#[tokio::test]
async fn old_entries_of_the_log_go_and_the_table_stays_what_it_was() {
    let world = World::new();
    let mut all = Vec::new();
    for number in 1..=130 {
        let staged = world.stage(number as u128, &[(1, number)]).await;
        all.extend(staged.clone());
        world.apply(number, staged, Vec::new()).await;
    }
    assert_eq!(world.vacuum(Duration::from_secs(3600), &[], false).await.log_entries, 0);
    let before = entries(world.folder.path()).len();
    let vacuumed = world.vacuum(Duration::ZERO, &[], false).await;
    assert!(vacuumed.files == 0 && vacuumed.log_entries >= 99, "{vacuumed:?}");
    assert_eq!(entries(world.folder.path()).len() as u64 + vacuumed.log_entries, before as u64);
    // Somebody who sees the table for the first time, and the one who wrote it.
    let other = DeltaSink::new(world.sink.root().clone());
    for sink in [&other, &world.sink] {
        assert_eq!(sink.files(&FACT_FLOWS, "part-").await.unwrap().len(), all.len());
        assert_eq!(sink.position(&FACT_FLOWS, "shard").await.unwrap(), Some(130));
    }
    world.apply(131, Vec::new(), vec![all[0].path.clone()]).await;
    assert_eq!(other.files(&FACT_FLOWS, "part-").await.unwrap().len(), all.len() - 1);
}
