//! The files that a source finds and does not read, or that hold no rows, each with the reason.

use std::fmt;

/// Most files that [`crate::Source::left_out`] names; the others are only counted.
pub const LEFT_OUT_MAX: usize = 100;

/// Most files that one error message names.
const NAMED_MAX: usize = 20;

/// A file of which a source reads nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The file, as error messages name it.
    pub file: String,
    /// Why nothing is read of it.
    pub why: WhyLeftOut,
}

/// Why nothing is read of a file. The text says it, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// The name tells no format.
    UnknownEnding,
    /// It is packed or compressed in a way that is not read; the name of that way.
    Compression(&'static str),
    /// A Parquet file that was compressed as a whole.
    CompressedParquet,
    /// The name says that it is still being written.
    Unfinished,
    /// It is not there any more, or is a link to a file that is not there.
    Missing,
    /// It is a link to a folder above it, or back into one that led to it.
    Loop,
    /// It is a link to a place outside of the folder.
    Link,
    /// It is a pipe, a socket or a device.
    Special,
    /// It holds nothing.
    Empty,
    /// It has a header, and no rows.
    NoRows,
}

impl WhyLeftOut {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            WhyLeftOut::UnknownEnding => "unknown_ending",
            WhyLeftOut::Compression(_) => "compression",
            WhyLeftOut::CompressedParquet => "compressed_parquet",
            WhyLeftOut::Unfinished => "unfinished",
            WhyLeftOut::Missing => "missing",
            WhyLeftOut::Loop => "loop",
            WhyLeftOut::Link => "link",
            WhyLeftOut::Special => "special",
            WhyLeftOut::Empty => "empty",
            WhyLeftOut::NoRows => "no_rows",
        }
    }

    /// Whether the file was read, and there was nothing in it.
    pub const fn without_rows(self) -> bool {
        matches!(self, WhyLeftOut::Empty | WhyLeftOut::NoRows)
    }

    /// Why a file of this name, which tells no format, is not read. The name is in lower case.
    pub(crate) fn of_name(name: &str) -> Self {
        let mut endings = name.rsplit('.');
        let last = endings.next().unwrap_or_default();
        let Some(before) = endings.next() else { return WhyLeftOut::UnknownEnding };
        match (before, last) {
            ("parquet" | "pq", _) if packing(last).is_some() || matches!(last, "gz" | "zst" | "zstd") => {
                WhyLeftOut::CompressedParquet
            }
            ("tar", "gz" | "zst" | "zstd") => WhyLeftOut::Compression("tar"),
            (_, "tmp" | "temp" | "part" | "partial" | "crdownload" | "download" | "inprogress" | "filepart") => {
                WhyLeftOut::Unfinished
            }
            _ => packing(last).map_or(WhyLeftOut::UnknownEnding, WhyLeftOut::Compression),
        }
    }
}

/// The way of packing that an ending says, if it is one that is not read.
fn packing(ending: &str) -> Option<&'static str> {
    Some(match ending {
        "bz2" | "bz" | "bzip2" => "bzip2",
        "xz" | "lzma" => "xz",
        "zip" => "zip",
        "7z" => "7-Zip",
        "rar" => "RAR",
        "tar" | "tgz" | "tbz2" | "txz" => "tar",
        "lz4" => "LZ4",
        "lzo" => "LZO",
        "br" => "Brotli",
        "sz" | "snappy" => "Snappy",
        "z" => "compress",
        _ => return None,
    })
}

impl fmt::Display for WhyLeftOut {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            WhyLeftOut::UnknownEnding => {
                f.write_str("its name does not say its format; rename it, or give a mapping that says the format")
            }
            WhyLeftOut::Compression(packing) => {
                write!(f, "{packing} is not read; unpack it, or compress it with gzip or zstd")
            }
            WhyLeftOut::CompressedParquet => f.write_str("Parquet is compressed inside; unpack it"),
            WhyLeftOut::Unfinished => {
                f.write_str("its name says that it is still being written; rename it when it is whole")
            }
            WhyLeftOut::Missing => {
                f.write_str("it was removed, or is a link to a file that is not there; restore it, or remove the link")
            }
            WhyLeftOut::Loop => f.write_str("it is a link back to a folder that leads to it; remove the link"),
            WhyLeftOut::Link => {
                f.write_str("it is a link to a place outside of the folder; name that place as a source")
            }
            WhyLeftOut::Special => f.write_str("it is a pipe, a socket or a device, which may never end"),
            WhyLeftOut::Empty => f.write_str("it is empty"),
            WhyLeftOut::NoRows => f.write_str("it has a header and no rows"),
        }
    }
}

/// What a listing or a source leaves out: the first [`LEFT_OUT_MAX`], and how many there are.
#[derive(Debug, Default)]
pub(crate) struct LeftOutFiles {
    pub(crate) files: Vec<LeftOut>,
    pub(crate) count: usize,
}

impl LeftOutFiles {
    pub(crate) fn push(&mut self, file: impl Into<String>, why: WhyLeftOut) {
        self.count += 1;
        if self.files.len() < LEFT_OUT_MAX {
            self.files.push(LeftOut { file: file.into(), why });
        }
    }

    /// Sorts by name, so that the order does not depend on that of the folder.
    pub(crate) fn sort(&mut self) {
        self.files.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// All of it in one clause for an error message; empty if there is nothing.
    pub(crate) fn clause(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        let named = self.files.iter().take(NAMED_MAX).map(|left| format!("`{}` ({})", left.file, left.why));
        let named: Vec<String> = named.collect();
        let more = match self.count - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("; left out: {}{more}", named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_tells_no_format_says_why_it_is_left_out() {
        for (name, why) in [
            ("may.csv.zip", WhyLeftOut::Compression("zip")),
            ("mar.csv.bz2", WhyLeftOut::Compression("bzip2")),
            ("jul.csv.xz", WhyLeftOut::Compression("xz")),
            ("a.tar.gz", WhyLeftOut::Compression("tar")),
            ("a.tgz", WhyLeftOut::Compression("tar")),
            ("a.parquet.gz", WhyLeftOut::CompressedParquet),
            ("a.parquet.bz2", WhyLeftOut::CompressedParquet),
            ("a.ndjson.tmp", WhyLeftOut::Unfinished),
            ("part-00000", WhyLeftOut::UnknownEnding),
            ("readme.md", WhyLeftOut::UnknownEnding),
            ("zip", WhyLeftOut::UnknownEnding),
        ] {
            assert_eq!(WhyLeftOut::of_name(name), why, "{name}");
        }
    }
}
