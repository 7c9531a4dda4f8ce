//! A Parquet file that is cut or changed anywhere is an error, never a panic and never a hang.

use netcrab_sources::generate::{FileLayout, GenerateSettings, write_parquet};

use super::{fault, file, folder, read};

fn whole() -> Vec<u8> {
    let folder = folder();
    let path = folder.path().join("a.parquet");
    write_parquet(
        &path,
        GenerateSettings { events: 300, ..GenerateSettings::default() },
        &FileLayout::default(),
        &mut |_| {},
    )
    .unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_cut_file_is_an_error_that_says_what_to_do() {
    let (folder, whole) = (folder(), whole());
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        let message = fault(read(&file(&folder, "a.parquet", &whole[..length])));
        assert!(message.contains("a.parquet` is not a whole Parquet file ("), "{message}");
        assert!(message.ends_with("); write or copy it again"), "{message}");
    }
}

#[test]
fn a_changed_byte_is_an_error_or_other_values() {
    let (folder, whole) = (folder(), whole());
    // The panics of the decoder are caught; their messages would only clutter the output.
    std::panic::set_hook(Box::new(|_| {}));
    for at in (4..whole.len()).step_by(whole.len() / 300) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        let _ = read(&file(&folder, "a.parquet", &changed));
    }
    let _ = std::panic::take_hook();
}
