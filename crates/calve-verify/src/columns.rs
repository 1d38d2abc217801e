//! Which columns of the two sides belong together, and how their statistics compare.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Time64NanosecondArray, TimestampNanosecondArray};
use arrow::array::{Time64MicrosecondArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Decimal256Type, DecimalType, Field, Schema, TimeUnit, i256};
use arrow::util::display::array_value_to_string;
use serde_json::Value;

use crate::aggregate::{Depth, Look};
use crate::canonical::{Ticks, reduced};
use crate::profile::{BOUND_BYTES, Bound, Profile};

/// A column on both sides, or on one.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Its name, as the table spells it where it has it.
    pub(crate) name: String,
    pub(crate) source: Option<Column>,
    pub(crate) table: Option<Column>,
    ticks: Ticks,
}

/// A column of one side.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) kind: Kind,
}

/// What there is to say about the values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number { scale: i8 },
    Float,
    Text,
    Binary,
    Date,
    Timestamp,
    Time,
    Struct,
    Entries,
}

const CHECKSUM: &str = "checksum";

/// One statistic of a column, and the two sides' values where they differ.
pub(crate) type Statistic = (&'static str, Option<(Value, Value)>);

/// A value for people, and for numbers also what to compare instead of that.
type Shown = (Value, Option<(i256, i8)>);

impl Pair {
    /// Matches columns by name: exactly, or else in any case. Key columns are left out.
    pub(crate) fn all(
        source: &Schema,
        table: &Schema,
        source_keys: &[String],
        table_keys: &[String],
    ) -> Vec<Self> {
        let mut left: Vec<&Field> = plain_fields(table, table_keys);
        let mut found: Vec<(&Field, Option<&Field>)> = plain_fields(source, source_keys)
            .into_iter()
            .map(|field| (field, None))
            .collect();
        for exact in [true, false] {
            for (field, partner) in found.iter_mut().filter(|(_, partner)| partner.is_none()) {
                let position = left.iter().position(|other| {
                    if exact {
                        field.name() == other.name()
                    } else {
                        field.name().to_lowercase() == other.name().to_lowercase()
                    }
                });
                *partner = position.map(|position| left.remove(position));
            }
        }
        let of_source = found
            .into_iter()
            .map(|(field, partner)| Self::new(Some(field), partner));
        let of_table = left.into_iter().map(|field| Self::new(None, Some(field)));
        of_source.chain(of_table).collect()
    }

    fn new(source: Option<&Field>, table: Option<&Field>) -> Self {
        let fields = [table, source];
        let name = fields.iter().flatten().map(|field| field.name().clone());
        let finest = fields
            .iter()
            .flatten()
            .all(|field| counts_nanoseconds(field.data_type()));
        Self {
            name: name.take(1).collect(),
            source: source.map(Column::new),
            table: table.map(Column::new),
            // A side that cannot hold nanoseconds decides.
            ticks: if finest { Ticks::Nanos } else { Ticks::Micros },
        }
    }

    /// How its cells are looked at, on either side.
    pub(crate) fn look(&self) -> Look {
        Look {
            ticks: self.ticks,
            in_rows: self.source.is_some()
                && self.table.is_some()
                && self.type_conflict().is_none(),
        }
    }

    /// The names of the types, when no values of the one could equal values of the other.
    pub(crate) fn type_conflict(&self) -> Option<(Value, Value)> {
        let (source, table) = (self.source.as_ref()?, self.table.as_ref()?);
        if source.kind.is_like(table.kind) {
            return None;
        }
        let text = |column: &Column| Value::from(column.data_type.to_string());
        Some((text(source), text(table)))
    }

    /// How finely its times are told apart.
    pub(crate) fn ticks(&self) -> Ticks {
        self.ticks
    }

    /// Compares the statistics that the column's type has, as far as they were made.
    pub(crate) fn statistics(
        &self,
        source: &Profile,
        table: &Profile,
        depth: Depth,
    ) -> Vec<Statistic> {
        match depth {
            Depth::Checksums => vec![nulls(source, table), checksum(source, table)],
            Depth::Statistics => self.all_statistics(source, table),
            Depth::Plain => {
                let mut statistics = self.all_statistics(source, table);
                statistics.retain(|(check, _)| *check != CHECKSUM);
                statistics
            }
        }
    }

    fn all_statistics(&self, source: &Profile, table: &Profile) -> Vec<Statistic> {
        let kind = |side: &Option<Column>| side.as_ref().map(|column| column.kind);
        let source_kind = kind(&self.source).or_else(|| kind(&self.table));
        let table_kind = kind(&self.table).or(source_kind);
        let (source_kind, table_kind) = (
            source_kind.unwrap_or(Kind::Null),
            table_kind.unwrap_or(Kind::Null),
        );
        let leading = if table_kind == Kind::Null {
            source_kind
        } else {
            table_kind
        };
        let number = |name, value: fn(&Profile) -> u64| {
            let (source, table) = (value(source), value(table));
            let differ = source != table;
            (
                name,
                differ.then(|| (Value::from(source), Value::from(table))),
            )
        };
        let both = |name, value: &dyn Fn(&Profile, Kind) -> Shown| {
            let (source, table) = (value(source, source_kind), value(table, table_kind));
            let equal = match (source.1, table.1) {
                (Some(source), Some(table)) => source == table,
                _ => source.0 == table.0,
            };
            (name, (!equal).then_some((source.0, table.0)))
        };
        let ticks = self.ticks;
        let minimum = |profile: &Profile, kind: Kind| kind.bound(profile.minimum.as_ref(), ticks);
        let maximum = |profile: &Profile, kind: Kind| kind.bound(profile.maximum.as_ref(), ticks);
        let mut out = vec![nulls(source, table)];
        if leading == Kind::Float {
            out.push(number("nan_count", |profile| profile.nans));
        }
        if leading.has_bounds() {
            out.push(both("min", &minimum));
            out.push(both("max", &maximum));
        }
        if matches!(leading, Kind::Number { .. } | Kind::Boolean) {
            out.push(both("sum", &|profile, kind| {
                let scale = kind.scale();
                (
                    number_value(profile.sum, scale),
                    Some(reduced(profile.sum, scale)),
                )
            }));
        }
        if matches!(leading, Kind::Text | Kind::Binary | Kind::Entries) {
            out.push(number("length", |profile| profile.length));
        }
        out.push(checksum(source, table));
        out
    }
}

fn nulls(source: &Profile, table: &Profile) -> Statistic {
    let differ = source.nulls != table.nulls;
    let values = || (Value::from(source.nulls), Value::from(table.nulls));
    ("null_count", differ.then(values))
}

fn checksum(source: &Profile, table: &Profile) -> Statistic {
    let hex = |profile: &Profile| Value::from(format!("{:032x}", profile.checksum));
    let differ = source.checksum != table.checksum;
    (CHECKSUM, differ.then(|| (hex(source), hex(table))))
}

fn plain_fields<'a>(schema: &'a Schema, keys: &[String]) -> Vec<&'a Field> {
    schema
        .fields()
        .iter()
        .map(AsRef::as_ref)
        .filter(|field| !keys.contains(field.name()))
        .collect()
}

fn counts_nanoseconds(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => {
            true
        }
        DataType::Struct(fields) => fields
            .iter()
            .any(|field| counts_nanoseconds(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => counts_nanoseconds(item.data_type()),
        _ => false,
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        Self {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            kind: Kind::of(field.data_type()),
        }
    }
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Binary,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Struct(_) => Self::Struct,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => Self::Number { scale: *scale },
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::RunEndEncoded(_, values) => Self::of(values.data_type()),
            other if other.is_integer() => Self::Number { scale: 0 },
            _ => Self::Entries,
        }
    }

    /// Whether values of both kinds can be equal.
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => true,
            (Self::Number { .. }, Self::Number { .. }) => true,
            (Self::Text | Self::Binary, Self::Text | Self::Binary) => true,
            (Self::Date | Self::Timestamp, Self::Date | Self::Timestamp) => true,
            (one, other) => one == other,
        }
    }

    fn has_bounds(self) -> bool {
        !matches!(self, Self::Null | Self::Struct | Self::Entries)
    }

    fn scale(self) -> i8 {
        match self {
            Self::Number { scale } => scale,
            _ => 0,
        }
    }

    /// A bound, as it is shown and compared.
    fn bound(self, bound: Option<&Bound>, ticks: Ticks) -> Shown {
        match bound {
            None => (Value::Null, None),
            Some(Bound::Float(float)) => (float_value(*float), None),
            Some(Bound::Bytes(bytes)) => (Value::from(text(bytes, self == Self::Binary)), None),
            Some(Bound::Number(number)) => (
                self.number(*number, ticks),
                Some(reduced(*number, self.scale())),
            ),
        }
    }

    fn number(self, number: i256, ticks: Ticks) -> Value {
        let small = number.to_i128().and_then(|value| i64::try_from(value).ok());
        let array: Option<ArrayRef> = match (self, small, ticks) {
            (Self::Boolean, ..) => return Value::from(number != i256::ZERO),
            (Self::Date, ..) => return date(number, ticks),
            (Self::Timestamp, Some(value), Ticks::Micros) => {
                Some(Arc::new(TimestampMicrosecondArray::from(vec![value])))
            }
            (Self::Timestamp, Some(value), Ticks::Nanos) => {
                Some(Arc::new(TimestampNanosecondArray::from(vec![value])))
            }
            (Self::Time, Some(value), Ticks::Micros) => {
                Some(Arc::new(Time64MicrosecondArray::from(vec![value])))
            }
            (Self::Time, Some(value), Ticks::Nanos) => {
                Some(Arc::new(Time64NanosecondArray::from(vec![value])))
            }
            _ => None,
        };
        array
            .and_then(|array| shown(&array))
            .unwrap_or_else(|| number_value(number, self.scale()))
    }
}

fn shown(array: &dyn Array) -> Option<Value> {
    array_value_to_string(array, 0).ok().map(Value::from)
}

fn date(ticks_since_epoch: i256, ticks: Ticks) -> Value {
    let per_day = match ticks {
        Ticks::Micros => 86_400_000_000_i128,
        Ticks::Nanos => 86_400_000_000_000,
    };
    let days = ticks_since_epoch
        .to_i128()
        .and_then(|ticks| i32::try_from(ticks.div_euclid(per_day)).ok());
    days.and_then(|days| shown(&Date32Array::from(vec![days])))
        .unwrap_or_else(|| number_value(ticks_since_epoch, 0))
}

/// Whole numbers as JSON numbers while they fit, everything else as text, so that no digit is lost.
fn number_value(number: i256, scale: i8) -> Value {
    let small = number.to_i128().and_then(|value| i64::try_from(value).ok());
    match small {
        Some(value) if scale == 0 => Value::from(value),
        _ => Value::from(Decimal256Type::format_decimal(number, 76, scale)),
    }
}

fn float_value(float: f64) -> Value {
    if float.is_finite() {
        Value::from(float)
    } else {
        Value::from(float.to_string())
    }
}

fn text(bytes: &[u8], is_binary: bool) -> String {
    use std::fmt::Write as _;
    let mut out = if is_binary {
        bytes.iter().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    };
    if bytes.len() == BOUND_BYTES {
        out.push('…');
    }
    out
}
