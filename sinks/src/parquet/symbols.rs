//! A symbol column of a row group, encoded by its codes.
//!
//!     rows    pricing  home  ∅  pricing
//!     codes         0     1           0   in order of first sight, whatever dictionaries the batches have
//!     chunk   [pricing, home]  0 1 ∅ 0    smallest home, largest pricing
//!
//! Parquet's own writer hashes the text of every row. Here a row costs a look-up in a table, and the bytes are the same.
//! It still writes each distinct text once: the dictionary page and the bounds, which it truncates, are its own.
//!
//! Invariant: the properties of the column are those of a column without settings of its own: Snappy, a dictionary, and
//! statistics of pages.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder};
use arrow::datatypes::Int32Type;
use bytes::Bytes;
use parquet::basic::{Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriterImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::code_pages::{CodePages, NULL_CODE, PageSummary, Ranked};

/// How the symbol columns of a file are written.
#[derive(Clone)]
pub(super) struct SymbolProperties {
    /// A dictionary page has fewer bytes.
    dictionary_bytes_max: usize,
    /// For the texts alone: each write is a page, and the dictionary has every text.
    texts: WriterPropertiesPtr,
}

impl SymbolProperties {
    /// Those of a file with these properties.
    pub(super) fn new(properties: &WriterPropertiesPtr) -> Self {
        let texts = properties.as_ref().clone().into_builder();
        let texts = texts.set_data_page_row_count_limit(1).set_dictionary_page_size_limit(usize::MAX);
        Self { dictionary_bytes_max: properties.dictionary_page_size_limit(), texts: Arc::new(texts.build()) }
    }
}

/// The symbols of one column of a row group.
pub(super) struct SymbolColumn {
    descriptor: ColumnDescPtr,
    properties: SymbolProperties,
    texts: Texts,
    /// The code of each row.
    codes: Vec<u32>,
}

impl SymbolColumn {
    /// An empty column.
    pub(super) fn new(descriptor: ColumnDescPtr, properties: SymbolProperties) -> Self {
        Self { descriptor, properties, texts: Texts::default(), codes: Vec::new() }
    }

    /// Adds rows of a dictionary of texts with keys of 32 bits.
    pub(super) fn write(&mut self, column: &ArrayRef) {
        let column = column.as_dictionary::<Int32Type>();
        self.texts.begin(column.values());
        let (keys, texts) = (column.keys().values(), &mut self.texts);
        match column.keys().nulls() {
            None => self.codes.extend(keys.iter().map(|&key| texts.code(key as usize))),
            Some(nulls) => {
                let start = self.codes.len();
                self.codes.resize(start + keys.len(), NULL_CODE);
                let codes = &mut self.codes[start..];
                nulls.valid_indices().for_each(|row| codes[row] = texts.code(keys[row] as usize));
            }
        }
    }

    /// Whether the texts are few and short enough for a dictionary.
    pub(super) fn fit_dictionary(&self) -> bool {
        self.texts.page_bytes < self.properties.dictionary_bytes_max
    }

    /// The texts of all rows, `rows` at a time.
    pub(super) fn pages(&self, rows: usize) -> impl Iterator<Item = Result<ArrayRef, ParquetError>> {
        self.codes.chunks(rows).map(|codes| {
            let mut page = LargeStringBuilder::new();
            for &code in codes {
                page.append_option(self.texts.values.get(code as usize).map(ByteArray::as_utf8).transpose()?);
            }
            Ok(Arc::new(page.finish()) as ArrayRef)
        })
    }

    /// The bytes of the chunk, in pages of `rows`, and what the file says about it. Only where the texts fit a
    /// dictionary.
    pub(super) fn encode(self, rows: usize) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let order = self.texts.order();
        let dictionary = self.texts.ranked(&order);
        let mut pages = CodePages::new(self.descriptor.max_def_level() > 0);
        self.codes.chunks(rows).try_for_each(|codes| pages.append(codes, &dictionary))?;
        let text = |rank: u32| self.texts.values[order[rank as usize]].clone();
        let bounds: Vec<_> = pages.summaries.iter().filter_map(|page| page.bounds).map(|ends| ends.map(text)).collect();
        let (mut bytes, texts) = self.write_texts(&bounds)?;

        let metadata = self.metadata(&pages, texts.metadata)?;
        let column_index = self.column_index(&pages, texts.column_index)?;
        let closed = ColumnCloseResult {
            bytes_written: metadata.compressed_size() as u64,
            rows_written: self.codes.len() as u64,
            metadata,
            bloom_filter: texts.bloom_filter,
            column_index,
            offset_index: Some(pages.offsets.build()),
        };
        let closed = closed.update_dictionary_location(bytes.len())?;
        bytes.extend(pages.bytes.into_inner()?);
        Ok((bytes.into(), closed))
    }

    /// The dictionary page, and what else the library knows of the texts. Its last pages are one for each of `bounds`.
    fn write_texts(&self, bounds: &[[ByteArray; 2]]) -> Result<(Vec<u8>, ColumnCloseResult), ParquetError> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(DictionaryPage(SerializedPageWriter::new(&mut sink)));
        let (descriptor, properties) = (Arc::clone(&self.descriptor), Arc::clone(&self.properties.texts));
        let mut writer = ColumnWriterImpl::<ByteArrayType>::new(descriptor, properties, pages);
        let levels = vec![1; self.texts.values.len().max(2)];
        let levels = |texts: &[ByteArray]| (self.descriptor.max_def_level() > 0).then_some(&levels[..texts.len()]);
        writer.write_batch(&self.texts.values, levels(&self.texts.values), None)?;
        for bounds in bounds {
            writer.write_batch(bounds, levels(bounds), None)?;
        }
        let closed = writer.close()?;
        Ok((sink.into_inner()?, closed))
    }

    /// The metadata of the chunk, but for the places of its pages. That of `texts` knows the dictionary and the bounds.
    fn metadata(&self, pages: &CodePages, texts: ColumnChunkMetaData) -> Result<ColumnChunkMetaData, ParquetError> {
        let nulls = pages.summaries.iter().map(|page| page.nulls).sum::<i64>();
        let statistics = match texts.statistics() {
            Some(Statistics::ByteArray(texts)) => {
                let nulls = Some(nulls as u64);
                let all = ValueStatistics::new(texts.min_opt().cloned(), texts.max_opt().cloned(), None, nulls, false);
                Some(all.with_min_is_exact(texts.min_is_exact()).with_max_is_exact(texts.max_is_exact()))
            }
            _ => None,
        };
        let encodings = [Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN];
        let count = |page_type, encoding, count: usize| PageEncodingStats { page_type, encoding, count: count as i32 };
        let compressed = texts.compressed_size() + pages.bytes.bytes_written() as i64;
        let uncompressed = texts.uncompressed_size() + pages.uncompressed_bytes as i64;
        let mut metadata = texts
            .into_builder()
            .set_num_values(self.codes.len() as i64)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(vec![
                count(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                count(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, pages.summaries.len()),
            ])
            .set_total_compressed_size(compressed)
            .set_total_uncompressed_size(uncompressed)
            .set_unencoded_byte_array_data_bytes(Some(pages.text_bytes))
            .set_definition_level_histogram(self.levels(nulls, self.codes.len() as i64));
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(Statistics::ByteArray(statistics));
        }
        metadata.build()
    }

    /// The index of the pages, with the bounds that the last pages of `texts` have.
    fn column_index(
        &self,
        pages: &CodePages,
        texts: Option<ColumnIndexMetaData>,
    ) -> Result<Option<ColumnIndexMetaData>, ParquetError> {
        let Some(ColumnIndexMetaData::BYTE_ARRAY(texts)) = texts else { return Ok(None) };
        let bounded = pages.summaries.iter().filter(|page| page.bounds.is_some()).count();
        let ends = texts.min_values_iter().zip(texts.max_values_iter());
        let mut ends = ends.skip((texts.num_pages() as usize).saturating_sub(bounded));
        let mut index = ColumnIndexBuilder::new(Type::BYTE_ARRAY);
        for PageSummary { rows, nulls, bounds } in &pages.summaries {
            let (smallest, largest) = bounds.and_then(|_| ends.next()).unwrap_or_default();
            let end = |end: Option<&[u8]>| end.unwrap_or_default().to_vec();
            index.append(bounds.is_none(), end(smallest), end(largest), *nulls);
            index.append_histograms(&None, &self.levels(*nulls, *rows));
        }
        index.set_boundary_order(pages.order());
        index.build().map(Some)
    }

    /// How many rows have each level, where the column may be null.
    fn levels(&self, nulls: i64, rows: i64) -> Option<LevelHistogram> {
        (self.descriptor.max_def_level() > 0).then(|| vec![nulls, rows - nulls].into())
    }
}

/// Writes the dictionary page and drops the others.
struct DictionaryPage<'a>(SerializedPageWriter<'a, Vec<u8>>);

impl PageWriter for DictionaryPage<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        if page.page_type() == PageType::DICTIONARY_PAGE { self.0.write_page(page) } else { Ok(PageWriteSpec::new()) }
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        self.0.close()
    }
}

/// Stands in [`Texts::known`] for a value that no row needed yet.
const UNSEEN: u32 = NULL_CODE - 1;

/// Each distinct text once, in order of first sight. The code of a text is its place.
#[derive(Default)]
struct Texts {
    values: Vec<ByteArray>,
    /// How many bytes they take in a dictionary page.
    page_bytes: usize,
    codes: HashMap<Bytes, u32>,
    /// The dictionary of the last batch, and the code of each of its values.
    dictionary: Option<ArrayRef>,
    known: Vec<u32>,
}

impl Texts {
    /// Begins with the dictionary of a batch.
    fn begin(&mut self, dictionary: &ArrayRef) {
        let same = |last: &ArrayRef| Arc::ptr_eq(last, dictionary) || last.to_data().ptr_eq(&dictionary.to_data());
        if !self.dictionary.as_ref().is_some_and(same) {
            self.known.clear();
            self.known.resize(dictionary.len(), UNSEEN);
            self.dictionary = Some(Arc::clone(dictionary));
        }
    }

    /// The code of value `key` of the dictionary.
    #[inline]
    fn code(&mut self, key: usize) -> u32 {
        match self.known[key] {
            UNSEEN => self.intern(key),
            code => code,
        }
    }

    #[cold]
    fn intern(&mut self, key: usize) -> u32 {
        let values = self.dictionary.as_ref().map(AsArray::as_string::<i32>);
        let text = values.filter(|values| values.is_valid(key)).map(|values| values.value(key).as_bytes());
        let code = match text.map(|text| self.codes.get(text).ok_or(text)) {
            None => NULL_CODE,
            Some(Ok(&code)) => code,
            Some(Err(text)) => {
                let (text, code) = (Bytes::copy_from_slice(text), self.values.len() as u32);
                self.page_bytes += size_of::<u32>() + text.len();
                self.values.push(text.clone().into());
                self.codes.insert(text, code);
                code
            }
        };
        self.known[key] = code;
        code
    }

    /// The codes in the order of the texts' bytes.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_unstable_by_key(|&code| self.values[code].data());
        order
    }

    /// The rank of each code, and the length of its text.
    fn ranked(&self, order: &[usize]) -> Vec<Ranked> {
        let mut ranked = vec![Ranked::default(); order.len()];
        for (rank, &code) in (0..).zip(order) {
            ranked[code] = Ranked { rank, bytes: self.values[code].len() as u32 };
        }
        ranked
    }
}
