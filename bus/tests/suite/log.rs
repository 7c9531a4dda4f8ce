//! The built-in log: torn tails, damage, bounds, retention, other processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netcrab_bus::log::{Log, LogSettings};
use netcrab_bus::{Bus, Error, ShardAssignment};

use super::{Time, events, held, ids, log, log_with, quick_folder, read_all, rows};

fn shard(folder: &Path) -> PathBuf {
    folder.join("shard-0000")
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(shard(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
    files.sort();
    files
}

fn size(folder: &Path) -> u64 {
    segments(folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

/// A log of three appends, and where in its one segment each frame ends.
async fn three(folder: &Path) -> (PathBuf, [u64; 3]) {
    let bus = log(folder);
    let mut ends = [0; 3];
    for (n, end) in ends.iter_mut().enumerate() {
        bus.append(vec![(0, events(&format!("s{n}"), 0..3))]).await.unwrap();
        *end = size(folder);
    }
    (segments(folder).remove(0), ends)
}

/// A log of three appends in a segment each, closed, and its settings.
async fn three_segments(folder: &Path) -> LogSettings {
    let settings = LogSettings { segment_bytes: 4096, ..LogSettings::of(folder) };
    let bus = log_with(settings.clone());
    for n in 0..3 {
        bus.append(vec![(0, events(&format!("s{n}"), 0..3))]).await.unwrap();
    }
    settings
}

fn three_ids(frames: usize) -> Vec<String> {
    (0..frames).flat_map(|n| ids(&[events(&format!("s{n}"), 0..3)])).collect()
}

/// As a crash before the last flush leaves it: the mark says what was durable before.
fn forget_mark(folder: &Path) {
    fs::remove_file(shard(folder).join("durable")).unwrap();
}

#[tokio::test]
async fn a_log_opens_with_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    three(folder.path()).await;
    let again = log(folder.path());
    assert!(again.repairs().is_empty());
    assert_eq!(held(&again, 0).await, three_ids(3));
    again.append(vec![(0, events("s3", 0..3))]).await.unwrap();
    assert_eq!(held(&again, 0).await, three_ids(4));
}

#[tokio::test]
async fn the_last_frame_cut_at_any_byte_is_repaired() {
    let folder = quick_folder();
    let (segment, ends) = three(folder.path()).await;
    let whole = fs::read(&segment).unwrap();
    for length in ends[1]..ends[2] {
        fs::write(&segment, &whole[..length as usize]).unwrap();
        forget_mark(folder.path());
        let bus = log(folder.path());
        assert_eq!(bus.bounds(0).await.unwrap(), 0..2, "cut at {length}");
        let torn = length - ends[1];
        assert_eq!(bus.repairs().iter().map(|repair| repair.bytes).sum::<u64>(), torn);
        if length % 64 == 0 {
            bus.append(vec![(0, events("s2", 0..3))]).await.unwrap();
            assert_eq!(held(&bus, 0).await, three_ids(3));
        }
    }
}

#[tokio::test]
async fn the_last_frame_changed_at_any_byte_is_cut() {
    let folder = quick_folder();
    let (segment, ends) = three(folder.path()).await;
    let whole = fs::read(&segment).unwrap();
    for byte in ends[1]..ends[2] {
        let mut bytes = whole.clone();
        bytes[byte as usize] ^= 1 << (byte % 8);
        fs::write(&segment, &bytes).unwrap();
        forget_mark(folder.path());
        let bus = log(folder.path());
        assert_eq!(bus.bounds(0).await.unwrap(), 0..2, "changed at {byte}");
        assert_eq!(bus.repairs().len(), 1);
        assert!(bus.repairs()[0].lost.is_empty());
        drop(bus);
        assert_eq!(fs::metadata(&segment).unwrap().len(), ends[1]);
    }
}

#[tokio::test]
async fn what_was_acknowledged_and_is_cut_off_is_reported_and_its_offsets_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, ends) = three(folder.path()).await;
    fs::File::options().write(true).open(&segment).unwrap().set_len(ends[1] + 40).unwrap();
    let bus = log(folder.path());
    assert_eq!(bus.repairs()[0].lost, 2..3);
    assert_eq!(bus.bounds(0).await.unwrap(), 0..3);
    bus.append(vec![(0, events("s9", 0..3))]).await.unwrap();
    drop(bus);
    let bus = log(folder.path());
    assert!(bus.repairs().is_empty());
    let all = read_all(&bus, 0, 0, 1 << 20).await.unwrap();
    let expected: Vec<String> = three_ids(2).into_iter().chain(ids(&[events("s9", 0..3)])).collect();
    assert_eq!(ids(&all.batches), expected);
    assert_eq!((all.faults.len(), all.faults[0].offsets.clone()), (1, 2..3));
    assert_eq!(all.faults[0].name, netcrab_sources::reject::Reason::LostOnBus.name());
    // A reader whose range ends or begins within what was lost goes on.
    let within = bus.read(0, 2, Some(3), 1 << 20).await.unwrap();
    assert_eq!((within.next, within.rows(), within.faults.len()), (3, 0, 1));
}

#[tokio::test]
async fn one_bad_byte_anywhere_costs_at_most_its_frame_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, ends) = three(folder.path()).await;
    let whole = fs::read(&segment).unwrap();
    // In the head and in the schema of the segment, and in head and payload of the first two frames.
    let begins = first_frame(&whole);
    let places = [2, 9, 20, 33, 57, 70, begins - 5, begins + 3, begins + 9, begins + 60, begins + 70, ends[0] - 1];
    for byte in places.into_iter().chain([ends[0] + 3, ends[0] + 70, ends[1] - 1]) {
        for mark in [true, false] {
            let _ = fs::remove_dir_all(folder.path());
            fs::create_dir(folder.path()).unwrap();
            three(folder.path()).await;
            let mut bytes = whole.clone();
            bytes[byte as usize] ^= 0x10;
            fs::write(&segment, &bytes).unwrap();
            if !mark {
                forget_mark(folder.path());
            }
            let lost = match byte {
                byte if byte < begins => None,
                byte if byte < ends[0] => Some(0),
                _ => Some(1),
            };
            let bus = log(folder.path());
            bus.append(vec![(0, events("s9", 0..3))]).await.unwrap();
            let all = read_all(&bus, 0, 0, 1 << 20).await.unwrap();
            let read = (0..3).filter(|n| Some(*n) != lost).map(|n| format!("s{n}")).chain(["s9".to_owned()]);
            let expected: Vec<String> = read.flat_map(|session| ids(&[events(&session, 0..3)])).collect();
            assert_eq!(ids(&all.batches), expected, "byte {byte}, mark {mark}");
            let faults = all.faults.iter().map(|fault| (fault.offsets.clone(), fault.name));
            assert_eq!(
                faults.collect::<Vec<_>>(),
                lost.map(|n| (n..n + 1, netcrab_bus::LOST)).into_iter().collect::<Vec<_>>()
            );
            // A reader that begins at the bad frame, behind it, or reads frame by frame sees the same.
            let again = read_all(&bus, 0, 1, 1).await.unwrap();
            assert_eq!(again.rows() + 3 * again.faults.len(), 9, "byte {byte}, mark {mark}");
            drop(bus);
            let again = read_all(&log(folder.path()), 0, 0, 1).await.unwrap();
            assert_eq!((ids(&again.batches), again.faults), (expected, all.faults), "byte {byte}, mark {mark}");
        }
    }
}

/// The payload is bad and the head is not: the head says how many events are lost.
#[tokio::test]
async fn the_events_of_a_bad_frame_are_counted_where_its_head_says_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, ends) = three(folder.path()).await;
    let whole = fs::read(&segment).unwrap();
    for (byte, rows) in [(ends[0] + 70, 3), (ends[0] + 3, 1)] {
        let mut bytes = whole.clone();
        bytes[byte as usize] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        let all = read_all(&log(folder.path()), 0, 0, 1 << 20).await.unwrap();
        assert_eq!((all.faults[0].offsets.clone(), all.faults[0].rows), (1..2, rows));
    }
}

#[tokio::test]
async fn a_segment_that_is_garbage_is_lost_wherever_it_stands_and_the_others_are_read() {
    for at in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let settings = three_segments(folder.path()).await;
        let segment = &segments(folder.path())[at];
        let length = fs::metadata(segment).unwrap().len() as usize;
        fs::write(segment, vec![0xa5; length]).unwrap();
        let bus = log_with(settings);
        bus.append(vec![(0, events("s9", 0..3))]).await.unwrap();
        let all = read_all(&bus, 0, 0, 1 << 20).await.unwrap();
        let at = at as u64;
        assert_eq!((all.next, all.rows(), all.faults.len()), (4, 9, 1));
        assert_eq!(all.faults[0].offsets, at..at + 1);
    }
}

/// An event may hold the bytes of a frame. They are never read as one.
#[tokio::test]
async fn a_frame_within_an_event_is_not_read_when_its_own_frame_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let (segment, ends) = three(folder.path()).await;
    let mut bytes = fs::read(&segment).unwrap();
    let begins = first_frame(&bytes) as usize;
    // The last frame lies whole within the first, and the head of the first is bad.
    let (from, length) = (ends[1] as usize, (ends[2] - ends[1]) as usize);
    let forged = bytes[from..].to_vec();
    let mut grown = bytes[..begins + 64].to_vec();
    grown.extend(&forged);
    grown.extend(vec![0; 64]);
    grown.extend(&bytes[ends[0] as usize..]);
    grown[begins + 5] ^= 1;
    bytes = grown;
    assert_eq!(forged.len(), length);
    fs::write(&segment, &bytes).unwrap();
    let all = read_all(&log(folder.path()), 0, 0, 1 << 20).await.unwrap();
    assert_eq!(ids(&all.batches), three_ids(3)[3..]);
    assert_eq!(all.faults[0].offsets, 0..1);
}

#[tokio::test]
async fn the_mend_for_damage_works_a_segment_that_was_moved_away_is_reported_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let settings = three_segments(folder.path()).await;
    fs::rename(&segments(folder.path())[1], folder.path().join("away")).unwrap();
    let bus = log_with(settings.clone());
    let all = read_all(&bus, 0, 0, 1 << 20).await.unwrap();
    assert_eq!((all.rows(), all.faults.len(), all.faults[0].offsets.clone()), (6, 1, 1..2));
    drop(bus);
    // The last one: what comes next does not take its place.
    fs::rename(&segments(folder.path())[1], folder.path().join("away")).unwrap();
    let bus = log_with(settings);
    bus.append(vec![(0, events("s9", 0..3))]).await.unwrap();
    let all = read_all(&bus, 0, 0, 1 << 20).await.unwrap();
    assert_eq!((all.next, all.rows(), all.faults[0].offsets.clone()), (4, 6, 1..3));
}

#[tokio::test]
async fn nothing_is_acknowledged_that_lies_in_a_file_without_a_name() {
    type Loss = fn(&Path);
    let losses: [(Loss, &str); 3] = [
        (|folder| fs::remove_file(&segments(folder)[0]).unwrap(), "removed"),
        (|folder| fs::remove_dir_all(folder).unwrap(), "removed"),
        (
            |folder| {
                let segment = segments(folder).remove(0);
                fs::copy(&segment, segment.with_extension("copy")).unwrap();
                fs::rename(segment.with_extension("copy"), &segment).unwrap();
            },
            "replaced",
        ),
    ];
    for (lose, said) in losses {
        let folder = tempfile::tempdir().unwrap();
        let bus = log(folder.path());
        bus.append(vec![(0, events("s0", 0..3))]).await.unwrap();
        lose(folder.path());
        for _ in 0..2 {
            let fault = bus.append(vec![(0, events("s1", 0..3))]).await.unwrap_err();
            assert!(matches!(fault, Error::Stopped { .. }) && fault.to_string().contains(said), "{fault}");
        }
    }
}

fn first_frame(segment: &[u8]) -> u64 {
    segment.windows(4).position(|four| four == b"NCFR").unwrap() as u64
}

#[tokio::test]
async fn a_group_whose_pages_reached_the_disk_out_of_order_is_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let segment = {
        let bus = log(folder.path());
        bus.append(vec![(0, events("s0", 0..3))]).await.unwrap();
        // Both are written, and said to be durable, together.
        bus.append(vec![(0, events("s1", 0..3)), (0, events("s2", 0..3))]).await.unwrap();
        segments(folder.path()).remove(0)
    };
    let mut bytes = fs::read(&segment).unwrap();
    let frames: Vec<usize> = (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"NCFR").collect();
    bytes[frames[1]..frames[2]].fill(0);
    fs::write(&segment, &bytes).unwrap();
    // With the mark they were acknowledged: this is damage.
    let bus = log(folder.path());
    assert_eq!(bus.repairs()[0].damaged, std::slice::from_ref(&(1..2)));
    assert_eq!(held(&bus, 0).await, [three_ids(1), three_ids(3)[6..].to_vec()].concat());
    drop(bus);
    forget_mark(folder.path());
    let bus = log(folder.path());
    assert_eq!(held(&bus, 0).await, three_ids(1));
    assert_eq!(bus.repairs()[0].bytes as usize, bytes.len() - frames[1]);
}

#[tokio::test]
async fn damage_found_while_reading_is_a_fault_and_what_stands_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let bus = log(folder.path());
    for n in 0..3 {
        bus.append(vec![(0, events(&format!("s{n}"), 0..3))]).await.unwrap();
    }
    let segment = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(ids(&bus.read(0, 0, Some(2), 1 << 20).await.unwrap().batches), three_ids(2));
    let fetched = bus.read(0, 2, None, 1 << 20).await.unwrap();
    assert_eq!((fetched.next, fetched.rows(), fetched.faults[0].offsets.clone()), (3, 0, 2..3));
}

#[tokio::test]
async fn a_segment_is_full_at_its_bytes_and_not_before() {
    let probe = tempfile::tempdir().unwrap();
    let batch = || vec![(0, events("s0", 0..3))];
    let bus = log(probe.path());
    bus.append(batch()).await.unwrap();
    let one = size(probe.path());
    bus.append(batch()).await.unwrap();
    let two = size(probe.path());
    for (segment_bytes, files) in [(two, 1), (two - 1, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let bus = log_with(LogSettings { segment_bytes: segment_bytes.max(4096), ..LogSettings::of(folder.path()) });
        assert!(segment_bytes >= 4096, "the probe is too small to tell: {one} {two}");
        bus.append(batch()).await.unwrap();
        bus.append(batch()).await.unwrap();
        assert_eq!(segments(folder.path()).len(), files, "{segment_bytes}");
        assert_eq!(bus.read(0, 0, None, 1 << 20).await.unwrap().rows(), 6);
    }
}

#[tokio::test]
async fn the_log_is_full_at_its_bytes_and_not_before_and_a_release_makes_room() {
    let probe = tempfile::tempdir().unwrap();
    let batch = || vec![(0, events("s0", 0..3))];
    let small = |folder: &Path, bytes_max| LogSettings { segment_bytes: 4096, bytes_max, ..LogSettings::of(folder) };
    let bus = log_with(small(probe.path(), 1 << 30));
    for _ in 0..3 {
        bus.append(batch()).await.unwrap();
    }
    let three = size(probe.path());
    let folder = tempfile::tempdir().unwrap();
    let bus = log_with(small(folder.path(), three - 1));
    bus.append(batch()).await.unwrap();
    bus.append(batch()).await.unwrap();
    let full = bus.append(batch()).await.unwrap_err();
    assert_eq!(full.retry_after(), Some(Duration::from_secs(1)));
    assert!(
        full.to_string().starts_with(&format!("the log is full at {} bytes; send again in 1 s", three - 1)),
        "{full}"
    );
    assert_eq!(bus.bounds(0).await.unwrap(), 0..2);
    // Not released, not deleted, also on opening again.
    drop(bus);
    let bus = log_with(small(folder.path(), three - 1));
    assert!(bus.append(batch()).await.is_err());
    assert_eq!(bus.bounds(0).await.unwrap(), 0..2);
    bus.release(0, 1).await.unwrap();
    bus.append(batch()).await.unwrap();
    let gone = bus.read(0, 0, None, 1).await.unwrap_err();
    assert!(matches!(gone, Error::Gone { oldest: 1, .. }), "{gone}");
    assert_eq!(bus.read(0, 1, None, 1 << 20).await.unwrap().rows(), 6);
    // With a byte more there was room for all three.
    let folder = tempfile::tempdir().unwrap();
    let bus = log_with(small(folder.path(), three));
    for _ in 0..3 {
        bus.append(batch()).await.unwrap();
    }
    assert!(bus.append(batch()).await.is_err());
}

#[tokio::test]
async fn released_segments_go_when_they_are_too_old_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let time = Time::default();
    let settings = LogSettings { segment_bytes: 4096, age_max_ms: 1000, ..LogSettings::of(folder.path()) };
    let bus = Log::open(settings, time.clock()).unwrap();
    for n in 0..4 {
        bus.append(vec![(0, events(&format!("s{n}"), 0..3))]).await.unwrap();
    }
    bus.release(0, 2).await.unwrap();
    time.advance(1000);
    bus.append(vec![(0, events("s4", 0..3))]).await.unwrap();
    assert_eq!(bus.bounds(0).await.unwrap(), 0..5, "a second old is not more than a second old");
    time.advance(1);
    bus.append(vec![(0, events("s5", 0..3))]).await.unwrap();
    settled(&bus, 2..6).await;
    // All is released: also the segment that is written goes.
    bus.release(0, 6).await.unwrap();
    settled(&bus, 4..6).await;
    time.advance(1002);
    bus.release(0, 6).await.unwrap();
    settled(&bus, 6..6).await;
    bus.append(vec![(0, events("s6", 0..3))]).await.unwrap();
    assert_eq!(held(&bus, 0).await, ids(&[events("s6", 0..3)]));
}

/// Waits until the writer has deleted what it was told it may.
async fn settled(bus: &Log, bounds: std::ops::Range<u64>) {
    for _ in 0..2000 {
        if bus.bounds(0).await.unwrap() == bounds {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bus.bounds(0).await.unwrap(), bounds);
}

#[tokio::test]
async fn an_append_larger_than_the_queue_is_refused_for_good_and_one_that_fits_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let bus = log(folder.path());
    let before = size(folder.path());
    bus.append(vec![(0, events("s", 0..3))]).await.unwrap();
    let frame = size(folder.path()) - before;
    for (queue_bytes_max, fits) in [(frame, true), (frame - 1, false)] {
        let folder = tempfile::tempdir().unwrap();
        let bus = log_with(LogSettings { queue_bytes_max, ..LogSettings::of(folder.path()) });
        let result = bus.append(vec![(0, events("s", 0..3))]).await;
        assert_eq!(result.is_ok(), fits);
        if let Err(fault) = result {
            assert!(
                matches!(fault, Error::TooLarge { .. }) && fault.to_string().contains("queue_bytes_max"),
                "{fault}"
            );
            assert!(fault.retry_after().is_none());
        }
    }
}

#[tokio::test]
async fn a_batch_larger_than_a_frame_is_stored_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let bus = log_with(LogSettings { frame_bytes_max: 16 << 10, ..LogSettings::of(folder.path()) });
    let batch = events("s", 0..500);
    bus.append(vec![(0, batch.clone())]).await.unwrap();
    assert!(bus.bounds(0).await.unwrap().end > 1);
    assert_eq!(rows(&read_all(&bus, 0, 0, 1).await.unwrap().batches), rows(&[batch]));
}

#[tokio::test]
async fn two_cannot_write_one_log_and_one_can_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let first = log(folder.path());
    let second = Log::open(LogSettings::of(folder.path()), Time::default().clock()).unwrap_err();
    assert!(matches!(second, Error::Locked { .. }));
    assert!(second.to_string().contains("writer.lock` is open in another process; stop it"), "{second}");
    drop(first);
    log(folder.path());
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path());
    let settings = LogSettings { shards: 2, ..LogSettings::of(folder.path()) };
    let fault = Log::open(settings, Time::default().clock()).unwrap_err().to_string();
    assert!(fault.contains("has `shards 1`, and the settings say `shards 2`; set `shards`"), "{fault}");
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_durable_and_cannot_append() {
    let folder = tempfile::tempdir().unwrap();
    let writer = log_with(LogSettings { segment_bytes: 4096, ..LogSettings::of(folder.path()) });
    let reader = Log::open_to_read(LogSettings { poll_ms: 5, ..LogSettings::of(folder.path()) }).unwrap();
    assert_eq!(reader.bounds(0).await.unwrap(), 0..0);
    for n in 0..6 {
        writer.append(vec![(0, events(&format!("s{n}"), 0..3))]).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), reader.changed(&[(0, n)])).await.unwrap().unwrap();
        assert_eq!(held(&reader, 0).await, held(&writer, 0).await);
    }
    let fault = reader.append(vec![(0, events("s", 0..3))]).await.unwrap_err();
    assert!(fault.to_string().contains("was opened for reading"), "{fault}");
    // What the reader releases, the writer may delete.
    reader.release(0, 4).await.unwrap();
    drop(writer);
    let time = Time::default();
    time.advance(i64::MAX / 2);
    let writer =
        Log::open(LogSettings { segment_bytes: 4096, ..LogSettings::of(folder.path()) }, time.clock()).unwrap();
    settled(&writer, 4..6).await;
    assert!(matches!(reader.read(0, 0, None, 1).await.unwrap_err(), Error::Gone { .. }));
    assert_eq!(reader.bounds(0).await.unwrap(), 4..6);
}

#[tokio::test]
async fn the_shards_go_to_another_process_that_reads_when_the_first_gives_them_up() {
    let folder = tempfile::tempdir().unwrap();
    let writer = log(folder.path());
    let reader = Log::open_to_read(LogSettings { poll_ms: 5, ..LogSettings::of(folder.path()) }).unwrap();
    let mut first = writer.join().await.unwrap();
    assert!(matches!(first.changed().await.unwrap(), ShardAssignment::Assigned(_)));
    let mut second = reader.join().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), second.changed()).await.is_err());
    drop(first);
    let gained = tokio::time::timeout(Duration::from_secs(20), second.changed()).await.unwrap().unwrap();
    assert!(matches!(gained, ShardAssignment::Assigned(shards) if shards == [0]));
}

#[test]
fn a_setting_out_of_its_bounds_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 10, ..LogSettings::of(folder.path()) };
    let fault = Log::open(settings, Time::default().clock()).unwrap_err().to_string();
    assert_eq!(fault, "setting `segment_bytes` is 10; expected 4096 (4 KiB) to 1073741824 (1 GiB)");
}
