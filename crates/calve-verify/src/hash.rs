//! Hashes of cells in a form that does not depend on how they are stored, a column at a time.
//!
//! Two cells have the same hash exactly when they hold the same value: numbers by value whatever
//! their width or scale, floats as doubles with one zero and one NaN, timestamps and dates by
//! instant, texts and binaries by their bytes, structs by the names (in any case) and values of the
//! fields that are not null, lists in their order, maps as sets of entries.
//!
//! A hash has 128 bits. Plain cells are hashed by XXH3. Cells of one row, fields and entries are
//! combined linearly, each with an odd factor of its own, and the combination is hashed again where
//! it is added to others, so that no sum of such hashes can be balanced by moving parts about.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, Fields, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type, i256,
};
use datafusion::error::{DataFusionError, Result};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::canonical::{Ticks, plain_type, reduced};

/// The hash of a null.
pub(crate) const NULL_HASH: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

const FALSE_HASH: u128 = 0x6a09_e667_f3bc_c908_b2fb_1366_ea95_7d3e;
const TRUE_HASH: u128 = 0xbb67_ae85_84ca_a73b_2574_2d3a_1e8f_05c1;

/// What the items before an item of a list are multiplied by.
const ITEM_FACTOR: u128 = 0x3c6e_f372_fe94_f82b_a54f_f53a_5f1d_36f3;

/// What keys of maps are multiplied by.
const KEY_FACTOR: u128 = 0x510e_527f_ade6_82d1_9b05_688c_2b3e_6c1f;

/// Keeps hashes of different kinds of values apart.
mod seed {
    pub(super) const NUMBER: u64 = 0x100;
    pub(super) const WIDE: u64 = 0x200;
    pub(super) const FLOAT: u64 = 0x300;
    pub(super) const INSTANT: u64 = 0x400;
    pub(super) const TIME_OF_DAY: u64 = 0x500;
    pub(super) const STRUCT: u64 = 0x600;
    pub(super) const LIST: u64 = 0x700;
    pub(super) const MAP: u64 = 0x800;
    pub(super) const ROW: u64 = 0x900;
    pub(super) const FACTOR: u64 = 0xa00;
}

/// Makes the hashes of the cells of a column, in its order.
///
/// # Errors
/// When its type has no form, which no type that Iceberg can store lacks.
pub(crate) fn hash_cells(array: &ArrayRef, ticks: Ticks) -> Result<Vec<u128>> {
    let mut out = Vec::with_capacity(array.len());
    hash_cells_into(array, ticks, &mut out)?;
    Ok(out)
}

/// As [`hash_cells`], into room that is there already, whose content is replaced.
pub(crate) fn hash_cells_into(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    out.clear();
    if let DataType::Dictionary(..) = array.data_type() {
        return dictionary(array, ticks, out);
    }
    if let Some(plain) = plain_type(array.data_type()) {
        return hash_cells_into(&cast(array, &plain)?, ticks, out);
    }
    values(array, ticks, out)?;
    if let Some(nulls) = array.logical_nulls() {
        set_nulls(&nulls, out);
    }
    Ok(())
}

/// The odd numbers that the halves of a column's cells are multiplied by before a row's cells are added up. Halves are
/// added up by themselves: two sums of 64 bits cost less than one of 128, and tell as much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor {
    low: u64,
    high: u64,
}

impl Factor {
    /// That of a column by its place.
    pub(crate) fn of(index: usize) -> Self {
        let (low, high) = halves(xxh3_128_with_seed(
            &(index as u64).to_le_bytes(),
            seed::FACTOR,
        ));
        Self {
            low: low | 1,
            high: high | 1,
        }
    }

    /// Adds a cell of the column to what was added up of its row.
    #[inline]
    pub(crate) fn add(self, sum: &mut u128, cell: u128) {
        let (mut low, mut high) = halves(*sum);
        let (cell_low, cell_high) = halves(cell);
        low = low.wrapping_add(cell_low.wrapping_mul(self.low));
        high = high.wrapping_add(cell_high.wrapping_mul(self.high));
        *sum = u128::from(high) << 64 | u128::from(low);
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn halves(of: u128) -> (u64, u64) {
    (of as u64, (of >> 64) as u64)
}

/// The hash of a row, from the sum of its cells' hashes, each times its [`Factor`].
pub(crate) fn row_hash(sum: u128) -> u128 {
    xxh3_128_with_seed(&sum.to_le_bytes(), seed::ROW)
}

/// One zero, one NaN.
fn canonical_float(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else {
        // Adding zero makes a negative zero positive.
        value + 0.0
    }
}

fn number(value: i64, scale: i8, kind: u64) -> u128 {
    xxh3_128_with_seed(
        &value.to_le_bytes(),
        kind + u64::from(scale.cast_unsigned()),
    )
}

fn large_number(value: i128, scale: i8, kind: u64) -> u128 {
    if let Ok(value) = i64::try_from(value) {
        return number(value, scale, kind);
    }
    xxh3_128_with_seed(
        &value.to_le_bytes(),
        kind + u64::from(scale.cast_unsigned()),
    )
}

fn decimal(value: i128, scale: i8) -> u128 {
    let (Ok(mut small), 0..) = (i64::try_from(value), scale) else {
        return wide_decimal(i256::from_i128(value), scale);
    };
    if small == 0 {
        return number(0, 0, seed::NUMBER);
    }
    let mut scale = scale;
    while scale > 0 && small % 10 == 0 {
        small /= 10;
        scale -= 1;
    }
    number(small, scale, seed::NUMBER)
}

fn wide_decimal(value: i256, scale: i8) -> u128 {
    let (value, scale) = reduced(value, scale);
    if let Some(value) = value.to_i128() {
        return large_number(value, scale, seed::NUMBER);
    }
    let seed = seed::WIDE + u64::from(scale.cast_unsigned());
    xxh3_128_with_seed(&value.to_le_bytes(), seed)
}

/// How many ticks a unit has, or how many units a tick has.
#[derive(Clone, Copy)]
enum Rate {
    Times(i64),
    Divided(i64),
}

impl Rate {
    fn new(unit_nanos: i64, ticks: Ticks) -> Self {
        match ticks {
            Ticks::Nanos => Self::Times(unit_nanos),
            Ticks::Micros if unit_nanos < 1_000 => Self::Divided(1_000 / unit_nanos),
            Ticks::Micros => Self::Times(unit_nanos / 1_000),
        }
    }

    fn hash(self, value: i64, kind: u64) -> u128 {
        match self {
            Self::Times(factor) => match value.checked_mul(factor) {
                Some(ticks) => number(ticks, 0, kind),
                None => large_number(i128::from(value) * i128::from(factor), 0, kind),
            },
            Self::Divided(by) => number(value.div_euclid(by), 0, kind),
        }
    }
}

/// What a value of a time's unit is in nanoseconds.
fn unit_nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    out: &mut Vec<u128>,
    hash: impl Fn(T::Native) -> u128,
) {
    let values = array.as_primitive::<T>().values();
    out.extend(values.iter().map(|value| hash(*value)));
}

fn integers<T: ArrowPrimitiveType>(array: &ArrayRef, out: &mut Vec<u128>)
where
    T::Native: Into<i64>,
{
    each::<T>(array, out, |value| number(value.into(), 0, seed::NUMBER));
}

fn times<T: ArrowPrimitiveType>(array: &ArrayRef, rate: Rate, kind: u64, out: &mut Vec<u128>)
where
    T::Native: Into<i64>,
{
    each::<T>(array, out, |value| rate.hash(value.into(), kind));
}

fn texts<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>, out: &mut Vec<u128>) {
    out.extend(cells.map(|cell| cell.map_or(NULL_HASH, xxh3_128)));
}

fn float(value: f64) -> u128 {
    let bits = canonical_float(value).to_bits();
    xxh3_128_with_seed(&bits.to_le_bytes(), seed::FLOAT)
}

/// Hashes the values, whatever stands where there is none.
fn values(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    match array.data_type() {
        DataType::Null => out.resize(array.len(), NULL_HASH),
        DataType::Boolean => {
            let values = array.as_boolean().values();
            out.extend(
                values
                    .iter()
                    .map(|it| if it { TRUE_HASH } else { FALSE_HASH }),
            );
        }
        DataType::Float16 => each::<Float16Type>(array, out, |value| float(value.to_f64())),
        DataType::Float32 => each::<Float32Type>(array, out, |value| float(f64::from(value))),
        DataType::Float64 => each::<Float64Type>(array, out, float),
        DataType::Utf8 => texts(bytes(array.as_string::<i32>().iter()), out),
        DataType::LargeUtf8 => texts(bytes(array.as_string::<i64>().iter()), out),
        DataType::Utf8View => texts(bytes(array.as_string_view().iter()), out),
        DataType::Binary => texts(array.as_binary::<i32>().iter(), out),
        DataType::LargeBinary => texts(array.as_binary::<i64>().iter(), out),
        DataType::BinaryView => texts(array.as_binary_view().iter(), out),
        DataType::FixedSizeBinary(_) => texts(array.as_fixed_size_binary().iter(), out),
        DataType::Struct(fields) => structs(fields, array, ticks, out)?,
        DataType::Map(..) => maps(array, ticks, out)?,
        DataType::List(_) => lists::<i32>(array, ticks, out)?,
        DataType::LargeList(_) => lists::<i64>(array, ticks, out)?,
        DataType::FixedSizeList(_, length) => {
            let list = array.as_fixed_size_list();
            let items = hash_cells(list.values(), ticks)?;
            let length = usize::try_from(*length).unwrap_or(0);
            out.extend((0..list.len()).map(|row| {
                let start = (list.offset() + row) * length;
                list_hash(items.get(start..start + length).unwrap_or_default())
            }));
        }
        other => {
            if !numbers(array, out) && !instants(array, ticks, out) {
                return Err(DataFusionError::NotImplemented(format!(
                    "verifying values of type {other}"
                )));
            }
        }
    }
    Ok(())
}

fn bytes<'a>(
    texts: impl Iterator<Item = Option<&'a str>>,
) -> impl Iterator<Item = Option<&'a [u8]>> {
    texts.map(|text| text.map(str::as_bytes))
}

fn numbers(array: &ArrayRef, out: &mut Vec<u128>) -> bool {
    match array.data_type() {
        DataType::Int8 => integers::<Int8Type>(array, out),
        DataType::Int16 => integers::<Int16Type>(array, out),
        DataType::Int32 => integers::<Int32Type>(array, out),
        DataType::Int64 => integers::<Int64Type>(array, out),
        DataType::UInt8 => integers::<UInt8Type>(array, out),
        DataType::UInt16 => integers::<UInt16Type>(array, out),
        DataType::UInt32 => integers::<UInt32Type>(array, out),
        DataType::UInt64 => each::<UInt64Type>(array, out, |value| {
            large_number(value.into(), 0, seed::NUMBER)
        }),
        DataType::Decimal32(_, scale) => {
            each::<Decimal32Type>(array, out, |value| decimal(value.into(), *scale));
        }
        DataType::Decimal64(_, scale) => {
            each::<Decimal64Type>(array, out, |value| decimal(value.into(), *scale));
        }
        DataType::Decimal128(_, scale) => {
            each::<Decimal128Type>(array, out, |value| decimal(value, *scale));
        }
        DataType::Decimal256(_, scale) => {
            each::<Decimal256Type>(array, out, |value| wide_decimal(value, *scale));
        }
        _ => return false,
    }
    true
}

/// Dates and timestamps are instants, times of day stay apart.
fn instants(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> bool {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let rate = |unit| Rate::new(unit_nanos(unit), ticks);
    let (instant, time) = (seed::INSTANT, seed::TIME_OF_DAY);
    match array.data_type() {
        DataType::Date32 => {
            let day = Rate::new(86_400_000_000_000, ticks);
            times::<Date32Type>(array, day, instant, out);
        }
        DataType::Date64 => times::<Date64Type>(array, rate(Millisecond), instant, out),
        DataType::Timestamp(unit, _) => {
            let rate = rate(*unit);
            match unit {
                Second => times::<TimestampSecondType>(array, rate, instant, out),
                Millisecond => times::<TimestampMillisecondType>(array, rate, instant, out),
                Microsecond => times::<TimestampMicrosecondType>(array, rate, instant, out),
                Nanosecond => times::<TimestampNanosecondType>(array, rate, instant, out),
            }
        }
        DataType::Time32(Second) => times::<Time32SecondType>(array, rate(Second), time, out),
        DataType::Time32(_) => {
            times::<Time32MillisecondType>(array, rate(Millisecond), time, out);
        }
        DataType::Time64(Nanosecond) => {
            times::<Time64NanosecondType>(array, rate(Nanosecond), time, out);
        }
        DataType::Time64(_) => times::<Time64MicrosecondType>(array, rate(Microsecond), time, out),
        _ => return false,
    }
    true
}

/// Hashes each word once, however often it is used.
fn dictionary(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().len() > array.len() {
        let plain = cast(array, dictionary.values().data_type())?;
        return hash_cells_into(&plain, ticks, out);
    }
    let words = hash_cells(dictionary.values(), ticks)?;
    if words.is_empty() {
        out.resize(array.len(), NULL_HASH);
        return Ok(());
    }
    let keys = dictionary.normalized_keys();
    out.extend(keys.into_iter().map(|key| words[key]));
    if let Some(nulls) = dictionary.keys().logical_nulls() {
        set_nulls(&nulls, out);
    }
    Ok(())
}

fn set_nulls(nulls: &NullBuffer, out: &mut [u128]) {
    if nulls.null_count() > 0 {
        for (hash, is_valid) in out.iter_mut().zip(nulls.iter()) {
            if !is_valid {
                *hash = NULL_HASH;
            }
        }
    }
}

/// A field that is null counts as one that is not there.
fn structs(fields: &Fields, array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    out.resize(array.len(), 0);
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut cells = Vec::new();
    for (field, column) in fields.iter().zip(array.as_struct().columns()) {
        let name = field.name().to_lowercase();
        let hash = xxh3_128(name.as_bytes());
        // Names that differ only in case are told apart by their order.
        let place = seen.entry(name).or_default();
        let factor = (hash ^ xxh3_128(&place.to_le_bytes())) | 1;
        *place += 1;
        hash_cells_into(column, ticks, &mut cells)?;
        for (sum, cell) in out.iter_mut().zip(&cells) {
            if *cell != NULL_HASH {
                *sum = sum.wrapping_add(cell.wrapping_mul(factor));
            }
        }
    }
    for sum in out {
        *sum = xxh3_128_with_seed(&sum.to_le_bytes(), seed::STRUCT);
    }
    Ok(())
}

fn lists<O: OffsetSizeTrait>(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    let list = array.as_list::<O>();
    let (items, offsets) = referenced(list.values(), list.value_offsets(), ticks)?;
    out.extend(
        offsets
            .windows(2)
            .map(|bounds| list_hash(&items[bounds[0]..bounds[1]])),
    );
    Ok(())
}

/// The hashes of the items that the offsets refer to, and the offsets among them.
fn referenced<O: OffsetSizeTrait>(
    items: &ArrayRef,
    offsets: &[O],
    ticks: Ticks,
) -> Result<(Vec<u128>, Vec<usize>)> {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let last = offsets.last().map_or(0, |offset| offset.as_usize());
    let items = hash_cells(&items.slice(first, last - first), ticks)?;
    let offsets = offsets.iter().map(|offset| offset.as_usize() - first);
    Ok((items, offsets.collect()))
}

fn list_hash(items: &[u128]) -> u128 {
    let all = items.iter().fold(0_u128, |all, item| {
        row_hash(all.wrapping_mul(ITEM_FACTOR).wrapping_add(*item))
    });
    sized(all, items.len(), seed::LIST)
}

fn sized(sum: u128, length: usize, seed: u64) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&sum.to_le_bytes());
    bytes[16..].copy_from_slice(&(length as u64).to_le_bytes());
    xxh3_128_with_seed(&bytes, seed)
}

fn maps(array: &ArrayRef, ticks: Ticks, out: &mut Vec<u128>) -> Result<()> {
    let map = array.as_map();
    let (keys, offsets) = referenced(map.keys(), map.value_offsets(), ticks)?;
    let (values, _) = referenced(map.values(), map.value_offsets(), ticks)?;
    let entries: Vec<u128> = keys
        .iter()
        .zip(&values)
        .map(|(key, value)| row_hash(key.wrapping_mul(KEY_FACTOR).wrapping_add(*value)))
        .collect();
    out.extend(offsets.windows(2).map(|bounds| {
        let entries = &entries[bounds[0]..bounds[1]];
        let sum = entries
            .iter()
            .fold(0, |sum: u128, entry| sum.wrapping_add(*entry));
        sized(sum, entries.len(), seed::MAP)
    }));
    Ok(())
}
