//! Data pages of dictionary codes.
//!
//!     levels  1 0 1 1        ─▶ length, runs and groups of bits    ┐
//!     codes   0   1 0        ─▶ width, runs and groups of bits     ┴─▶ Snappy ─▶ page
//!
//! These are version 1 pages, byte for byte as Parquet's own writer makes them; see
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use parquet::basic::{BoundaryOrder, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::errors::ParquetError;
use parquet::file::metadata::OffsetIndexBuilder;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

/// Stands for null among codes.
pub(super) const NULL_CODE: u32 = u32::MAX;

/// What the dictionary says about a code.
#[derive(Clone, Copy, Default)]
pub(super) struct Ranked {
    /// The place of its text in the order of all texts.
    pub(super) rank: u32,
    /// The length of its text in bytes.
    pub(super) bytes: u32,
}

/// What the indexes say about a page.
pub(super) struct PageSummary {
    pub(super) rows: i64,
    pub(super) nulls: i64,
    /// The smallest and largest rank; none where all rows are null.
    pub(super) bounds: Option<[u32; 2]>,
}

/// The data pages of a column.
pub(super) struct CodePages {
    /// The pages, one after the other.
    pub(super) bytes: TrackedWrite<Vec<u8>>,
    pub(super) summaries: Vec<PageSummary>,
    pub(super) offsets: OffsetIndexBuilder,
    /// How many bytes the pages would have without compression.
    pub(super) uncompressed_bytes: usize,
    /// How many bytes the texts of all rows have.
    pub(super) text_bytes: i64,
    nullable: bool,
    /// How many entries of the dictionary the pages use. Codes are given in the order of first sight.
    entries: u32,
}

impl CodePages {
    /// No pages yet.
    pub(super) fn new(nullable: bool) -> Self {
        Self {
            bytes: TrackedWrite::new(Vec::new()),
            summaries: Vec::new(),
            offsets: OffsetIndexBuilder::new(),
            uncompressed_bytes: 0,
            text_bytes: 0,
            nullable,
            entries: 0,
        }
    }

    /// Adds a page of rows.
    pub(super) fn append(&mut self, rows: &[u32], dictionary: &[Ranked]) -> Result<(), ParquetError> {
        let codes = without_nulls(rows);
        self.summarize(rows.len(), &codes, dictionary);
        let body = self.body(rows, &codes);
        let page = Page::DataPage {
            buf: snap::raw::Encoder::new().compress_vec(&body)?.into(),
            num_values: u32::try_from(rows.len())?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, body.len());
        let written = SerializedPageWriter::new(&mut self.bytes).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size;
        self.offsets.append_offset_and_size(i64::try_from(written.offset)?, i32::try_from(written.compressed_size)?);
        Ok(())
    }

    fn summarize(&mut self, rows: usize, codes: &[u32], dictionary: &[Ranked]) {
        let (mut smallest, mut largest, mut bytes, mut entries) = (u32::MAX, 0, 0, self.entries);
        for &code in codes {
            let text = dictionary[code as usize];
            smallest = smallest.min(text.rank);
            largest = largest.max(text.rank);
            bytes += i64::from(text.bytes);
            entries = entries.max(code + 1);
        }
        self.entries = entries;
        self.text_bytes += bytes;
        let bounds = (!codes.is_empty()).then_some([smallest, largest]);
        self.summaries.push(PageSummary { rows: rows as i64, nulls: (rows - codes.len()) as i64, bounds });
        self.offsets.append_row_count(rows as i64);
        self.offsets.append_unencoded_byte_array_data_bytes(Some(bytes));
    }

    /// A page before compression.
    fn body(&self, rows: &[u32], codes: &[u32]) -> Vec<u8> {
        let mut body = Vec::with_capacity(rows.len());
        if self.nullable {
            body.extend([0; 4]);
            let levels: Vec<u32> = rows.iter().map(|&code| u32::from(code != NULL_CODE)).collect();
            append_hybrid(&levels, 1, &mut body);
            let length = (body.len() - 4) as u32;
            body[..4].copy_from_slice(&length.to_le_bytes());
        }
        let width = u32::BITS - self.entries.saturating_sub(1).leading_zeros();
        body.push(width as u8);
        append_hybrid(codes, width, &mut body);
        body
    }

    /// Whether the bounds of the pages ascend or descend.
    pub(super) fn order(&self) -> BoundaryOrder {
        let bounds: Vec<[u32; 2]> = self.summaries.iter().filter_map(|page| page.bounds).collect();
        let ascends = |pair: &[[u32; 2]]| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1];
        let descends = |pair: &[[u32; 2]]| pair[0][0] >= pair[1][0] && pair[0][1] >= pair[1][1];
        match (bounds.windows(2).all(ascends), bounds.windows(2).all(descends)) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

/// The codes of the rows that are not null.
fn without_nulls(rows: &[u32]) -> Vec<u32> {
    let (mut codes, mut count) = (vec![0; rows.len()], 0);
    for &code in rows {
        // Written always and counted only if valid: there is no branch to mispredict.
        codes[count] = code;
        count += usize::from(code != NULL_CODE);
    }
    codes.truncate(count);
    codes
}

/// Most groups behind one header: it is a single byte.
const GROUPS_MAX: usize = 63;

/// Appends `values` of `width` bits: eight or more equal ones as a run, others in groups of eight.
fn append_hybrid(values: &[u32], width: u32, bytes: &mut Vec<u8>) {
    // Where the header of the last groups is, and how many they are.
    let mut groups: Option<(usize, usize)> = None;
    let mut rest = values;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&value| value == first).count();
        if run >= 8 || (run == rest.len() && groups.is_none()) {
            groups = None;
            append_run(first, run, width, bytes);
            rest = &rest[run..];
            continue;
        }
        let (header, count) = groups.unwrap_or((bytes.len(), 0));
        if count == 0 {
            bytes.push(0);
        }
        let (group, after) = rest.split_at(rest.len().min(8));
        append_group(group, width, bytes);
        bytes[header] = ((count + 1) << 1 | 1) as u8;
        groups = (count + 1 < GROUPS_MAX).then_some((header, count + 1));
        rest = after;
    }
}

/// Twice the length, in groups of seven bits; then the value in whole bytes.
fn append_run(value: u32, length: usize, width: u32, bytes: &mut Vec<u8>) {
    let mut header = length << 1;
    while header >= 1 << 7 {
        bytes.push((header & 0x7f) as u8 | 0x80);
        header >>= 7;
    }
    bytes.push(header as u8);
    bytes.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Eight values, the lowest bits first; zeros where there are fewer.
fn append_group(group: &[u32], width: u32, bytes: &mut Vec<u8>) {
    let (mut bits, mut filled) = (0_u64, 0);
    for place in 0..8 {
        bits |= u64::from(group.get(place).copied().unwrap_or(0)) << filled;
        filled += width;
        if filled >= u32::BITS {
            bytes.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= u32::BITS;
            filled -= u32::BITS;
        }
    }
    bytes.extend_from_slice(&bits.to_le_bytes()[..filled as usize / 8]);
}
