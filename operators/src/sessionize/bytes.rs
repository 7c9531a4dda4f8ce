//! Whole numbers as few bytes, and reading them back without trust.

/// Appends `value`, seven bits to a byte, lowest first.
#[inline]
pub fn put_varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends `value` so that a small one of either sign is short.
pub fn put_signed(value: i64, bytes: &mut Vec<u8>) {
    put_varint((value << 1 ^ value >> 63).cast_unsigned(), bytes);
}

/// Appends a real: a whole number below 2²⁴ is one more than it, as a number; any other is 0 and four bytes.
pub fn put_real(value: f32, bytes: &mut Vec<u8>) {
    let whole = value as u32;
    if whole < 1 << 24 && (whole as f32).to_bits() == value.to_bits() {
        put_varint(u64::from(whole) + 1, bytes);
    } else {
        bytes.push(0);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// Most bytes of a number.
pub const VARINT_MAX: usize = 10;

/// Reads what was put; `None` beyond the end.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What is read.
    pub bytes: &'a [u8],
    /// How far.
    pub at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether all was read.
    pub fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next number.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return self.varint_by_bytes();
        };
        let word = u64::from_le_bytes(*eight);
        let ends = !word & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.varint_by_bytes();
        }
        let length = ends.trailing_zeros() / 8 + 1;
        self.at += length as usize;
        // Sevens of bits are pushed together: pairs of bytes, then of pairs, then the halves.
        let word = word & (u64::MAX >> (u64::BITS - 8 * length)) & 0x7f7f_7f7f_7f7f_7f7f;
        let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
        let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
        Some(word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4)
    }

    #[cold]
    fn varint_by_bytes(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }

    /// The next number of either sign.
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// The next real.
    pub fn real(&mut self) -> Option<f32> {
        match self.varint()?.checked_sub(1) {
            Some(whole) => Some(u32::try_from(whole).ok()? as f32),
            None => Some(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
        }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// The next eight bytes, as they were put, lowest first.
    pub fn fixed(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        let mut bytes = Vec::new();
        let powers = (0..63).flat_map(|power| [(1 << power) - 1, 1 << power, -(1 << power)]);
        let numbers: Vec<i64> = powers.chain([i64::MAX, i64::MIN, 0]).collect();
        numbers.iter().for_each(|&number| put_signed(number, &mut bytes));
        let mut reader = Reader::new(&bytes);
        for number in numbers {
            assert_eq!(reader.signed(), Some(number));
        }
        assert!(reader.is_over());
        assert_eq!(reader.varint(), None);
    }

    #[test]
    fn every_real_comes_back_to_the_bit() {
        let mut bytes = Vec::new();
        let reals =
            [0.0, -0.0, 1.0, 513.0, -7.0, 0.5, 16_777_215.0, 16_777_216.0, 4e9, f32::MAX, f32::MIN_POSITIVE, f32::NAN];
        reals.iter().for_each(|&real| put_real(real, &mut bytes));
        let mut reader = Reader::new(&bytes);
        for real in reals {
            assert_eq!(reader.real().map(f32::to_bits), Some(real.to_bits()));
        }
        assert!(reader.is_over());
        assert_eq!(reader.real(), None);
    }

    #[test]
    fn a_number_without_end_is_refused() {
        assert_eq!(Reader::new(&[0xff; 20]).varint(), None);
        assert_eq!(Reader::new(&[0x80]).varint(), None);
    }
}
