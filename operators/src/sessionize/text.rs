//! Short texts as few bytes: a UUID in 16, hexadecimal digits in half their number.
//!
//!     "0190b6f1-…-5f3a"  ─▶  form 2 │ 16 bytes
//!     "90b15f3a…"        ─▶  form 1 │ half as many bytes as digits
//!     "visitor 7"        ─▶  form 0 │ the bytes themselves
//!
//! The first bytes are a varint: form in the low two bits, number of bytes that follow above them.
//! A text has exactly one packed form, so packed texts are equal where the texts are.

use std::cmp::Ordering;

use arrow::array::{StringArray, StringBuilder, StringViewArray, StringViewBuilder};

use super::bytes::{Reader, put_varint};

/// Longest text that is looked at as hexadecimal digits.
const HEX_MAX: usize = 64;

/// Bytes of a UUID as a text.
const UUID_LENGTH: usize = 36;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Hex,
    Uuid,
}

/// Room for a text of at most 64 digits.
pub type Digits = [u8; HEX_MAX];

/// Appends `text` to `packed`.
pub fn pack(text: &str, packed: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if let Some(uuid) = parse_uuid(bytes) {
        put_header(Form::Uuid, uuid.len(), packed);
        packed.extend_from_slice(&uuid);
        return;
    }
    let mut parsed = [0; HEX_MAX / 2];
    if parse_hex(bytes, &mut parsed) {
        put_header(Form::Hex, bytes.len() / 2, packed);
        packed.extend_from_slice(&parsed[..bytes.len() / 2]);
        return;
    }
    put_header(Form::Plain, bytes.len(), packed);
    packed.extend_from_slice(bytes);
}

/// Most bytes that [`pack`] appends for a text of `length` bytes.
pub fn packed_max(length: usize) -> usize {
    length + 10
}

fn put_header(form: Form, length: usize, packed: &mut Vec<u8>) {
    put_varint((length as u64) << 2 | form as u64, packed);
}

/// Reads past a packed text; gives its bytes, header and all.
pub fn skip<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let start = reader.at;
    let length = reader.varint()? >> 2;
    reader.take(usize::try_from(length).ok()?)?;
    reader.bytes.get(start..reader.at)
}

/// The text that was packed at the beginning of `packed`; damage reads as an empty text.
pub fn unpack<'a>(packed: &'a [u8], digits: &'a mut Digits) -> &'a str {
    let bytes = match parts(packed) {
        Some((Form::Uuid, bytes)) => match <&[u8; 16]>::try_from(bytes) {
            Ok(uuid) => format_uuid(uuid, digits),
            Err(_) => &[],
        },
        Some((Form::Hex, bytes)) if bytes.len() <= HEX_MAX / 2 => format_hex(bytes, digits),
        Some((Form::Plain, bytes)) => bytes,
        _ => &[],
    };
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Most bytes of a block of texts.
const BLOCK_MAX: usize = 1 << 20;

/// Packed texts as a column.
pub fn unpack_all<'a>(packed: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> StringViewArray {
    let bytes: usize = packed.clone().flatten().map(unpacked_len).sum();
    let block = bytes.clamp(1, BLOCK_MAX) as u32;
    let mut digits = [0; HEX_MAX];
    let mut texts = StringViewBuilder::with_capacity(packed.size_hint().0).with_fixed_block_size(block);
    packed.for_each(|packed| texts.append_option(packed.map(|packed| unpack(packed, &mut digits))));
    texts.finish()
}

/// Packed texts as a column of plain strings.
pub fn unpack_plain<'a>(packed: impl Iterator<Item = Option<&'a [u8]>>) -> StringArray {
    let mut digits = [0; HEX_MAX];
    let rows = packed.size_hint().0;
    let mut texts = StringBuilder::with_capacity(rows, rows * UUID_LENGTH);
    packed.for_each(|packed| texts.append_option(packed.map(|packed| unpack(packed, &mut digits))));
    texts.finish()
}

/// How many bytes [`unpack`] gives.
pub fn unpacked_len(packed: &[u8]) -> usize {
    match parts(packed) {
        Some((Form::Uuid, _)) => 36,
        Some((Form::Hex, bytes)) => bytes.len() * 2,
        Some((Form::Plain, bytes)) => bytes.len(),
        None => 0,
    }
}

/// Whether a text packed at the beginning of `packed` is empty.
pub fn is_empty(packed: &[u8]) -> bool {
    packed.first() == Some(&0)
}

/// Compares two packed texts as texts, byte by byte.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    match (parts(a), parts(b)) {
        // Digits stand in the order of their values.
        (Some((Form::Uuid, a)), Some((Form::Uuid, b))) => a.cmp(b),
        _ => unpack(a, &mut [0; HEX_MAX]).cmp(unpack(b, &mut [0; HEX_MAX])),
    }
}

fn parts(packed: &[u8]) -> Option<(Form, &[u8])> {
    let mut reader = Reader::new(packed);
    let header = reader.varint()?;
    let form = match header & 3 {
        0 => Form::Plain,
        1 => Form::Hex,
        _ => Form::Uuid,
    };
    Some((form, reader.take(usize::try_from(header >> 2).ok()?)?))
}

/// Where the dashes of a UUID stand.
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// Where four digits of a UUID begin.
const FOURS: [usize; 8] = [0, 4, 9, 14, 19, 24, 28, 32];

fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if DASHES.iter().any(|&dash| text[dash] != b'-') {
        return None;
    }
    let mut uuid = [0; 16];
    for (i, pair) in FOURS.chunks_exact(2).enumerate() {
        let mut eight = [0; 8];
        eight[..4].copy_from_slice(&text[pair[0]..pair[0] + 4]);
        eight[4..].copy_from_slice(&text[pair[1]..pair[1] + 4]);
        uuid[i * 4..i * 4 + 4].copy_from_slice(&parse_eight(eight)?);
    }
    Some(uuid)
}

fn format_uuid<'a>(uuid: &[u8; 16], text: &'a mut Digits) -> &'a [u8] {
    for (i, pair) in FOURS.chunks_exact(2).enumerate() {
        let eight = format_four([uuid[i * 4], uuid[i * 4 + 1], uuid[i * 4 + 2], uuid[i * 4 + 3]]);
        text[pair[0]..pair[0] + 4].copy_from_slice(&eight[..4]);
        text[pair[1]..pair[1] + 4].copy_from_slice(&eight[4..]);
    }
    DASHES.iter().for_each(|&dash| text[dash] = b'-');
    &text[..36]
}

fn parse_hex(text: &[u8], parsed: &mut [u8; HEX_MAX / 2]) -> bool {
    if text.is_empty() || !text.len().is_multiple_of(8) || text.len() > HEX_MAX {
        return false;
    }
    for (eight, four) in text.as_chunks::<8>().0.iter().zip(parsed.as_chunks_mut::<4>().0) {
        match parse_eight(*eight) {
            Some(parsed) => *four = parsed,
            None => return false,
        }
    }
    true
}

fn format_hex<'a>(bytes: &[u8], text: &'a mut Digits) -> &'a [u8] {
    for (four, eight) in bytes.as_chunks::<4>().0.iter().zip(text.as_chunks_mut::<8>().0) {
        *eight = format_four(*four);
    }
    &text[..bytes.len() * 2]
}

const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
const ONES: u64 = 0x0101_0101_0101_0101;

/// Four bytes from eight lower-case hexadecimal digits, all eight at once.
fn parse_eight(digits: [u8; 8]) -> Option<[u8; 4]> {
    let digits = u64::from_le_bytes(digits);
    // A letter has bit 6 set: its low four bits are 9 less than its value.
    let values = (digits & NIBBLES).wrapping_add((digits >> 6 & ONES) * 9) & NIBBLES;
    if spell(values) != digits {
        return None;
    }
    let pairs = (values & 0x000f_000f_000f_000f) << 4 | values >> 8 & 0x000f_000f_000f_000f;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some(((fours | fours >> 16) as u32).to_le_bytes())
}

/// Eight lower-case hexadecimal digits from four bytes.
fn format_four(bytes: [u8; 4]) -> [u8; 8] {
    let fours = u64::from(u32::from_le_bytes(bytes));
    let pairs = (fours | fours << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    spell((pairs >> 4 | pairs << 8) & NIBBLES).to_le_bytes()
}

/// The digits of eight values below 16, one in each byte.
fn spell(values: u64) -> u64 {
    let letters = values.wrapping_add(ONES * 6) >> 4 & ONES;
    values + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut packed = Vec::new();
        pack(text, &mut packed);
        packed
    }

    const TEXTS: [&str; 16] = [
        "",
        "v",
        "visitor 7",
        "0190b6f1-2c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "0190b6f1-2c3d-7e4f-8a5b-6c7d8e9f0a1c",
        "0190B6F1-2c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "0190b6f1-2c3d-7e4f-8a5b-6c7d8e9f0a1",
        "0190b6f1-2c3d-7e4f-8a5b_6c7d8e9f0a1b",
        "0190b6f1-2c3d-7e4f-8a5b-6c7d8e9f0a1g",
        "0123456789abcdef",
        "0123456789abcdeF",
        "0123456789abcde",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567",
        "@`gG/:0123456789",
        "µµµµ",
    ];

    #[test]
    fn every_text_comes_back() {
        for text in TEXTS {
            let packed = packed(text);
            assert_eq!(unpack(&packed, &mut [0; 64]), text);
            assert_eq!(unpacked_len(&packed), text.len());
            assert_eq!(is_empty(&packed), text.is_empty());
            assert!(packed.len() <= packed_max(text.len()));
            let mut reader = Reader::new(&packed);
            assert_eq!(skip(&mut reader), Some(packed.as_slice()), "{text}");
        }
        assert_eq!(packed(TEXTS[3]).len(), 17);
        assert_eq!(packed(TEXTS[9]).len(), 9);
        assert_eq!(packed(TEXTS[10]).len(), 17);
    }

    #[test]
    fn packed_texts_compare_as_texts() {
        for a in TEXTS {
            for b in TEXTS {
                assert_eq!(compare(&packed(a), &packed(b)), a.cmp(b), "{a} {b}");
                assert_eq!(packed(a) == packed(b), a == b);
            }
        }
    }

    #[test]
    fn every_byte_is_a_digit_or_refused() {
        for byte in 0..=u8::MAX {
            let eight = [b'0', b'f', byte, b'9', b'a', b'0', b'0', b'0'];
            let digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert_eq!(parse_eight(eight).is_some(), digit, "{byte}");
            if let Some(four) = parse_eight(eight) {
                assert_eq!(format_four(four), eight);
            }
        }
    }

    #[test]
    fn damaged_bytes_read_as_nothing() {
        for packed in [&[][..], &[0x42], &[0x80], &[0x06], &[0xff; 20]] {
            assert_eq!(unpack(packed, &mut [0; 64]), "");
        }
    }
}
