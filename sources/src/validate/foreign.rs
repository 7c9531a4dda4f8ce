//! Reads arrays of foreign types exactly: as texts, instants, numbers or booleans.
//!
//! ```text
//! 18446744073709551615 (u64) · DECIMAL 12.50 · [x] · 2026-10-01   ─▶ text     "18446744073709551615" · "12.50" · "x" · …
//! INT96 · timestamp · date · "2026-10-01T10:00:00Z"               ─▶ instant  ms since 1970
//! [x, y] · bytes that are not UTF-8 · a time of year 300000       ─▶ a fault of the row, never another value
//! ```

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, ListArray, PrimitiveArray, StringViewArray, StringViewBuilder,
    TimestampMillisecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Field, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use jiff::Timestamp;

use crate::reject::Reason;
use crate::row::truth;
use crate::{Error, time};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A column of one kind, and the rows that have no value of that kind.
pub(crate) struct Converted<A> {
    pub(crate) values: A,
    /// Row and reason, in order. The row is null among the values.
    pub(crate) faults: Vec<(usize, Reason)>,
}

impl<A> Converted<A> {
    fn sound(values: A) -> Self {
        Self { values, faults: Vec::new() }
    }
}

/// Whether [`texts`] reads a type.
pub(crate) fn has_text(kind: &DataType) -> bool {
    use DataType as D;
    match kind {
        D::Duration(_) | D::Interval(_) | D::Struct(_) | D::Map(_, _) | D::Union(_, _) | D::RunEndEncoded(_, _) => {
            false
        }
        D::Dictionary(_, value) => has_text(value),
        kind => element(kind).is_none_or(|element| element_is_scalar(element) && has_text(element)),
    }
}

/// The type of the elements of a list.
pub(crate) fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        _ => None,
    }
}

fn element_is_scalar(kind: &DataType) -> bool {
    !kind.is_nested() || matches!(kind, DataType::Dictionary(_, _))
}

/// Where the elements of each list begin and end.
type ListRanges<'a> = Box<dyn Fn(usize) -> (usize, usize) + 'a>;

/// The element of each list; null for an empty list. Lists of more are faults. Other columns stay as they are, those
/// of dictionaries without their dictionary.
fn plain(array: &ArrayRef) -> Result<Converted<ArrayRef>, Error> {
    let (values, range): (&ArrayRef, ListRanges<'_>) = match array.data_type() {
        DataType::Dictionary(_, value) => return plain(&cast(array, value)?),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets();
            (list.values(), Box::new(|row| (ends[row] as usize, ends[row + 1] as usize)))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.value_offsets();
            (list.values(), Box::new(|row| (ends[row] as usize, ends[row + 1] as usize)))
        }
        DataType::FixedSizeList(_, length) => {
            let (list, length) = (array.as_fixed_size_list(), *length as usize);
            (list.values(), Box::new(move |row| (row * length, (row + 1) * length)))
        }
        _ => return Ok(Converted::sound(array.clone())),
    };
    let mut faults = Vec::new();
    let mut only = |row: usize| {
        let (from, to) = if array.is_valid(row) { range(row) } else { (0, 0) };
        if to - from > 1 {
            faults.push((row, Reason::ManyValues));
        }
        (to - from == 1).then_some(from as u32)
    };
    let only: UInt32Array = (0..array.len()).map(&mut only).collect();
    let elements = take(values, &only, None)?;
    let Converted { values, faults: more } = plain(&elements)?;
    faults.extend(more);
    Ok(Converted { values, faults })
}

/// A column as text: numbers with all their digits, instants as ISO 8601 (with `Z` where they have a zone), dates as
/// `2026-10-01`.
pub(crate) fn texts(array: &ArrayRef) -> Result<Converted<StringViewArray>, Error> {
    use DataType as D;
    let Converted { values: array, mut faults } = plain(array)?;
    let fallible = |text: &dyn Fn(usize) -> Result<String, Reason>, faults: &mut Vec<(usize, Reason)>| {
        let text = |row: usize| {
            let text = array.is_valid(row).then(|| text(row)).transpose();
            text.unwrap_or_else(|reason| {
                faults.push((row, reason));
                None
            })
        };
        (0..array.len()).map(text).collect::<StringViewArray>()
    };
    let values = match array.data_type() {
        D::Null => new_null_array(&D::Utf8View, array.len()).as_string_view().clone(),
        D::Float16 => cast(&cast(&array, &D::Float32)?, &D::Utf8View)?.as_string_view().clone(),
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => {
            let text =
                |row: usize| std::str::from_utf8(bytes(&array, row)).map(str::to_owned).map_err(|_| Reason::NotUtf8);
            fallible(&text, &mut faults)
        }
        D::Decimal32(_, _) => decimal_texts::<Decimal32Type>(&array),
        D::Decimal64(_, _) => decimal_texts::<Decimal64Type>(&array),
        D::Decimal128(_, _) => decimal_texts::<Decimal128Type>(&array),
        D::Decimal256(_, _) => decimal_texts::<Decimal256Type>(&array),
        D::Date32 | D::Date64 | D::Timestamp(_, _) => {
            let text = |row: usize| instant_text(&array, row).ok_or(Reason::TsOutOfRange);
            fallible(&text, &mut faults)
        }
        _ => cast(&array, &D::Utf8View)?.as_string_view().clone(),
    };
    Ok(Converted { values, faults })
}

/// The bytes in a row of a binary column.
fn bytes(array: &ArrayRef, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
        _ => array.as_binary::<i32>().value(row),
    }
}

fn decimal_texts<T: DecimalType + ArrowPrimitiveType>(array: &ArrayRef) -> StringViewArray {
    let decimals = array.as_primitive::<T>();
    let (precision, scale) = match array.data_type() {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => (T::MAX_PRECISION, 0),
    };
    decimals.iter().map(|value| value.map(|value| T::format_decimal(value, precision, scale))).collect()
}

/// A date or an instant as ISO 8601; `None` outside the years that it can write.
fn instant_text(array: &ArrayRef, row: usize) -> Option<String> {
    let date = |days: i64| {
        let at = Timestamp::from_second(days.checked_mul(86_400)?).ok()?;
        Some(at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
    };
    let nanos = |count: i64, each: i128| Timestamp::from_nanosecond(i128::from(count) * each).ok();
    let (at, zoned) = match array.data_type() {
        DataType::Date32 => return date(i64::from(array.as_primitive::<Date32Type>().value(row))),
        DataType::Date64 => {
            let ms = array.as_primitive::<Date64Type>().value(row);
            if ms % DAY_MS == 0 {
                return date(ms / DAY_MS);
            }
            (nanos(ms, 1_000_000)?, false)
        }
        DataType::Timestamp(unit, zone) => {
            let at = match unit {
                TimeUnit::Second => nanos(array.as_primitive::<TimestampSecondType>().value(row), 1_000_000_000)?,
                TimeUnit::Millisecond => nanos(array.as_primitive::<TimestampMillisecondType>().value(row), 1_000_000)?,
                TimeUnit::Microsecond => nanos(array.as_primitive::<TimestampMicrosecondType>().value(row), 1000)?,
                TimeUnit::Nanosecond => nanos(array.as_primitive::<TimestampNanosecondType>().value(row), 1)?,
            };
            (at, zone.is_some())
        }
        _ => return None,
    };
    let text = at.to_string();
    Some(if zoned { text } else { text.trim_end_matches('Z').to_owned() })
}

/// Whether the instants of a type have no zone: a timestamp that is not adjusted to UTC, or a date.
pub(crate) fn without_zone(kind: &DataType) -> bool {
    match kind {
        DataType::Timestamp(_, zone) => zone.is_none(),
        DataType::Date32 | DataType::Date64 => true,
        DataType::Dictionary(_, value) => without_zone(value),
        kind => element(kind).is_some_and(without_zone),
    }
}

/// Whether a type holds instants, not texts or numbers that stand for some.
pub(crate) fn is_temporal(kind: &DataType) -> bool {
    match kind {
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => true,
        DataType::Dictionary(_, value) => is_temporal(value),
        kind => element(kind).is_some_and(is_temporal),
    }
}

/// Instants of any unit, dates, whole milliseconds or texts as whole milliseconds, rounded towards the past. A value
/// beyond the range of i64 saturates. Times without a zone count as UTC.
pub(crate) fn instants(array: &ArrayRef) -> Result<Converted<TimestampMillisecondArray>, Error> {
    use DataType as D;
    let Converted { values: array, mut faults } = plain(array)?;
    let instants: TimestampMillisecondArray = match array.data_type() {
        D::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().unary(|s: i64| s.saturating_mul(1000))
        }
        D::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().clone(),
        D::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().unary(|us: i64| us.div_euclid(1000))
        }
        D::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().unary(|ns: i64| ns.div_euclid(1_000_000))
        }
        D::Date32 => array.as_primitive::<Date32Type>().unary(|days: i32| i64::from(days) * DAY_MS),
        D::Date64 => array.as_primitive::<Date64Type>().unary(|ms: i64| ms),
        D::UInt64 => array.as_primitive::<UInt64Type>().unary(|ms: u64| i64::try_from(ms).unwrap_or(i64::MAX)),
        D::Utf8 | D::LargeUtf8 | D::Utf8View => parsed(&array, &mut faults, time::parse)?,
        _ => {
            let plain = cast(&array, &D::Int64)?;
            plain.as_primitive::<arrow::datatypes::Int64Type>().unary(|ms: i64| ms)
        }
    };
    Ok(Converted { values: instants.with_timezone("UTC"), faults })
}

/// Numbers of any type, or texts of numbers, as the nearest float.
pub(crate) fn floats(array: &ArrayRef) -> Result<Converted<Float32Array>, Error> {
    let Converted { values: array, mut faults } = plain(array)?;
    let kind = array.data_type();
    let floats = if kind.is_integer() || kind.is_floating() || *kind == DataType::Null {
        cast(&array, &DataType::Float32)?.as_primitive::<Float32Type>().clone()
    } else {
        let texts = texts(&array)?;
        faults.extend(texts.faults);
        let texts: ArrayRef = Arc::new(texts.values);
        parsed(&texts, &mut faults, |text| text.parse().map_err(|_| Reason::NotANumber))?
    };
    Ok(Converted { values: floats, faults })
}

/// Booleans, 0 and 1 of any type, or texts such as `true`; `None` is null.
pub(crate) fn truths(array: &ArrayRef) -> Result<Converted<Vec<Option<bool>>>, Error> {
    let Converted { values: array, faults } = plain(array)?;
    let array = if array.data_type().is_floating() { cast(&array, &DataType::Float64)? } else { array };
    let number = |row: usize| {
        let value = array.as_primitive_opt::<Float64Type>().map(|floats| floats.value(row));
        value.map(|value| (value == 0. || value == 1.).then_some(value == 1.))
    };
    let texts = texts(&array)?;
    let mut converted = Converted { values: Vec::with_capacity(array.len()), faults };
    converted.faults.extend(texts.faults);
    for (row, text) in texts.values.iter().enumerate() {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let value = text.map(|text| number(row).unwrap_or_else(|| truth(text)));
        if value == Some(None) {
            converted.faults.push((row, Reason::WrongType));
        }
        converted.values.push(value.flatten());
    }
    Ok(converted)
}

/// Texts as values of a primitive type; an empty text is null.
fn parsed<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    faults: &mut Vec<(usize, Reason)>,
    parse: impl Fn(&str) -> Result<T::Native, Reason>,
) -> Result<PrimitiveArray<T>, Error> {
    let texts = cast(texts, &DataType::Utf8View)?;
    let mut value = |(row, text): (usize, Option<&str>)| {
        let text = text.map(str::trim).filter(|text| !text.is_empty())?;
        parse(text).map_err(|reason| faults.push((row, reason))).ok()
    };
    Ok(texts.as_string_view().iter().enumerate().map(&mut value).collect())
}

/// UUIDs of 16 bytes as text, also those in lists.
pub(crate) fn uuid_texts(array: &ArrayRef) -> Result<ArrayRef, Error> {
    if let Some(list) = array.as_list_opt::<i32>() {
        let values = uuid_texts(list.values())?;
        let field = Arc::new(Field::new("element", values.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?));
    }
    let Some(uuids) = array.as_fixed_size_binary_opt().filter(|uuids| uuids.value_length() == 16) else {
        return Ok(array.clone());
    };
    let mut texts = StringViewBuilder::with_capacity(uuids.len());
    let mut text = [0; 36];
    for uuid in uuids {
        match uuid.and_then(|bytes| uuid::Uuid::from_slice(bytes).ok()) {
            Some(uuid) => texts.append_value(uuid.hyphenated().encode_lower(&mut text)),
            None => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}
