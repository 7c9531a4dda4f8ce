//! Reads numbers since 1970 digit by digit, so that no float loses any.
//!
//! ```text
//! 1790849103.123 s   ─▶   mantissa 1790849103123, exponent -3   ─▶   1790849103123 ms
//! ```

/// Most significant digits. An i128 holds them.
const DIGITS_MAX: usize = 36;

/// The ms of a decimal number whose unit is `10^unit` ms, rounded towards the past; `None` if the text is no such number
/// or does not fit 64 bits.
pub(super) fn ms(text: &str, unit: i32) -> Option<i64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok().filter(|e| (-400..=400).contains(e))?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0');
    if digits.clone().count() > DIGITS_MAX {
        return None;
    }
    let mantissa = digits.fold(0i128, |mantissa, digit| mantissa * 10 + i128::from(digit - b'0'));
    let mantissa = if negative { -mantissa } else { mantissa };
    let exponent = exponent + unit - i32::try_from(fraction.len()).ok()?;
    i64::try_from(scaled(mantissa, exponent)?).ok()
}

/// `mantissa · 10^exponent`, rounded down.
fn scaled(mantissa: i128, exponent: i32) -> Option<i128> {
    let power = 10i128.checked_pow(exponent.unsigned_abs());
    match (exponent >= 0, power) {
        _ if mantissa == 0 => Some(0),
        (true, power) => mantissa.checked_mul(power?),
        (false, Some(power)) => Some(mantissa.div_euclid(power)),
        (false, None) => Some(if mantissa < 0 { -1 } else { 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        for (text, unit, expected) in [
            ("1790849103", 3, Some(1_790_849_103_000)),
            ("1790849103.123", 3, Some(1_790_849_103_123)),
            ("1790849103.1239999999999999999", 3, Some(1_790_849_103_123)),
            ("1.790849103e9", 3, Some(1_790_849_103_000)),
            ("1.790849103123E+12", 0, Some(1_790_849_103_123)),
            ("1790849103123.0", 0, Some(1_790_849_103_123)),
            ("1790849103123456", -3, Some(1_790_849_103_123)),
            ("1790849103123456789", -6, Some(1_790_849_103_123)),
            ("-0.5", 3, Some(-500)),
            ("-1", -3, Some(-1)),
            ("0e400", 3, Some(0)),
            ("1e-400", 3, Some(0)),
            ("9223372036854775807", 0, Some(i64::MAX)),
            ("9223372036854775808", 0, None),
            ("18446744073709551616", 0, None),
            ("18446744073709551616", -6, Some(18_446_744_073_709)),
            ("1e300", 3, None),
            ("1e999999999999", 3, None),
            ("1790849103,5", 3, None),
            ("1_790", 3, None),
            ("0x10", 3, None),
            ("NaN", 3, None),
            ("inf", 3, None),
            (".", 3, None),
            ("-", 3, None),
            ("1e", 3, None),
            ("", 3, None),
        ] {
            assert_eq!(ms(text, unit), expected, "{text}");
        }
    }
}
