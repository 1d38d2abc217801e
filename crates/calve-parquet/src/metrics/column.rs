//! One leaf column of a footer: its counts, and the range of its values in the file's own terms.

use iceberg::spec::PrimitiveType;
use parquet::basic::{ColumnOrder, SortOrder, Type};
use parquet::data_type::AsBytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use super::contradiction;
use super::writer::Writer;
use crate::Result;
use crate::resolve::LeafMapping;
use crate::schema::Physical;

/// From this length on, an inexact maximum whose length is a power of two is taken for a prefix
/// that a careless writer cut off without rounding it up.
const SUSPICIOUS_LENGTH: usize = 64;

pub(super) const UUID_WIDTH: usize = 16;

/// A leaf column across all row groups.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    footer: &'a ParquetMetaData,
    leaf: usize,
    pub(super) mapping: &'a LeafMapping,
    writer: Writer,
}

/// How many values a column has.
pub(super) struct Counts {
    /// Compressed bytes.
    pub(super) size: u64,
    /// Values, nulls included; `None` when the row groups contradict themselves.
    pub(super) values: Option<u64>,
    /// Nulls, where every row group tells.
    pub(super) nulls: Option<u64>,
}

/// The least and the greatest value, where each is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ends<T> {
    pub(super) lower: Option<T>,
    pub(super) upper: Option<T>,
}

/// The range of a column's values in the file's own terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ValueRange<'a> {
    Boolean(Ends<bool>),
    /// Integers of any sign and width, and decimals by their unscaled values.
    Integer(Ends<i128>),
    Float(Ends<f32>),
    Double(Ends<f64>),
    Bytes {
        ends: Ends<&'a [u8]>,
        /// The greatest maximum that may be the mere beginning of a value.
        upper_prefix: Option<&'a [u8]>,
    },
    /// Bytes of the column's width; the lower end may be cut off.
    FixedBytes(Ends<&'a [u8]>),
}

/// How the bytes of a statistic are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Boolean,
    Signed,
    Unsigned,
    Float,
    Double,
    Bytes,
    FixedBytes,
    FixedDecimal,
    VariableDecimal,
}

impl<'a> Column<'a> {
    pub(super) fn new(
        footer: &'a ParquetMetaData,
        leaf: usize,
        mapping: &'a LeafMapping,
        writer: Writer,
    ) -> Self {
        Self {
            footer,
            leaf,
            mapping,
            writer,
        }
    }

    fn chunks(self) -> impl Iterator<Item = &'a ColumnChunkMetaData> {
        let leaf = self.leaf;
        self.footer
            .row_groups()
            .iter()
            .map(move |group| group.column(leaf))
    }

    /// Adds up the row groups.
    ///
    /// # Errors
    /// When a size or a count is negative or a sum too large.
    pub(super) fn counts(self) -> Result<Counts> {
        let wrong = |what: &str, number: i64| {
            let schema = self.footer.file_metadata().schema_descr();
            let path = schema.column(self.leaf).path().string();
            contradiction(format!("column `{path}`: {what} is {number}"))
        };
        let mut counts = Counts {
            size: 0,
            values: Some(0),
            nulls: Some(0),
        };
        for group in self.footer.row_groups() {
            let chunk = group.column(self.leaf);
            let size = chunk.compressed_size();
            counts.size = u64::try_from(size)
                .ok()
                .and_then(|size| counts.size.checked_add(size))
                .ok_or_else(|| wrong("its compressed size", size))?;
            let values = u64::try_from(chunk.num_values())
                .map_err(|_| wrong("its number of values", chunk.num_values()))?;
            let nulls = null_count(chunk);
            let flat = chunk.column_descr().max_rep_level() == 0;
            let contradicts = (flat && chunk.num_values() != group.num_rows())
                || nulls.is_some_and(|nulls| nulls > values);
            if contradicts {
                counts.values = None;
            }
            counts.values = counts.values.and_then(|sum| sum.checked_add(values));
            counts.nulls = counts
                .nulls
                .zip(nulls)
                .and_then(|(sum, nulls)| sum.checked_add(nulls));
        }
        if counts.values.is_none() {
            counts.nulls = None;
        }
        Ok(counts)
    }

    /// The range of the values, or `None` where it is not known beyond doubt (and where there is
    /// no value at all).
    pub(super) fn value_range(self) -> Option<ValueRange<'a>> {
        let reading = self.reading()?;
        match reading {
            Reading::Boolean => self.ends(reading, boolean).map(ValueRange::Boolean),
            Reading::Signed => self.ends(reading, signed).map(ValueRange::Integer),
            Reading::Unsigned => self.ends(reading, unsigned).map(ValueRange::Integer),
            Reading::Float => self.ends(reading, float).map(ValueRange::Float),
            Reading::Double => self.ends(reading, double).map(ValueRange::Double),
            Reading::FixedDecimal | Reading::VariableDecimal => {
                self.ends(reading, decimal).map(ValueRange::Integer)
            }
            Reading::Bytes => Some(ValueRange::Bytes {
                ends: self.ends(reading, bytes)?,
                upper_prefix: self.upper_prefix(),
            }),
            Reading::FixedBytes => {
                let width = self.width()?;
                let ends = |statistics| fixed_bytes(statistics, width);
                self.ends(reading, ends).map(ValueRange::FixedBytes)
            }
        }
    }

    /// Which statistics this column can have, by how the file stores it and what the table takes it for.
    fn reading(self) -> Option<Reading> {
        if self.mapping.repeated
            || matches!(
                self.mapping.physical,
                Physical::Int96 | Physical::Unreadable
            )
        {
            return None;
        }
        let descriptor = self.footer.file_metadata().schema_descr().column(self.leaf);
        let unsigned = matches!(self.mapping.physical, Physical::Unsigned(_));
        let reading = match (descriptor.physical_type(), &self.mapping.table_type) {
            (Type::BOOLEAN, PrimitiveType::Boolean) => Reading::Boolean,
            (
                Type::INT32 | Type::INT64,
                PrimitiveType::Boolean
                | PrimitiveType::Float
                | PrimitiveType::Double
                | PrimitiveType::String
                | PrimitiveType::Uuid
                | PrimitiveType::Fixed(_)
                | PrimitiveType::Binary,
            ) => return None,
            (Type::INT32 | Type::INT64, _) if unsigned => Reading::Unsigned,
            (Type::INT32 | Type::INT64, _) => Reading::Signed,
            (Type::FLOAT, PrimitiveType::Float | PrimitiveType::Double) => Reading::Float,
            (Type::DOUBLE, PrimitiveType::Double) => Reading::Double,
            (Type::BYTE_ARRAY, PrimitiveType::String | PrimitiveType::Binary)
            | (Type::FIXED_LEN_BYTE_ARRAY, PrimitiveType::Binary) => Reading::Bytes,
            (Type::FIXED_LEN_BYTE_ARRAY, PrimitiveType::Fixed(_) | PrimitiveType::Uuid) => {
                Reading::FixedBytes
            }
            (Type::FIXED_LEN_BYTE_ARRAY, PrimitiveType::Decimal { .. }) => Reading::FixedDecimal,
            (Type::BYTE_ARRAY, PrimitiveType::Decimal { .. }) => Reading::VariableDecimal,
            _ => return None,
        };
        self.is_ordered(reading).then_some(reading)
    }

    /// Whether the file's writer is known to have compared such values rightly.
    fn is_ordered(self, reading: Reading) -> bool {
        match reading {
            Reading::Boolean | Reading::Float | Reading::Double => true,
            Reading::Signed => self.writer.keeps_time() || !self.is_temporal(),
            Reading::Unsigned => self.writer.orders_unsigned(),
            Reading::Bytes | Reading::FixedBytes => self.writer.orders_bytes(),
            Reading::FixedDecimal => self.writer.orders_fixed_decimals(),
            Reading::VariableDecimal => self.writer.orders_variable_decimals(),
        }
    }

    /// The width of the values, where the file and the table agree on it.
    fn width(self) -> Option<usize> {
        let descriptor = self.footer.file_metadata().schema_descr().column(self.leaf);
        let of_file = usize::try_from(descriptor.type_length()).ok()?;
        let of_table = match self.mapping.table_type {
            PrimitiveType::Uuid => UUID_WIDTH,
            PrimitiveType::Fixed(width) => usize::try_from(width).ok()?,
            _ => return None,
        };
        (of_file == of_table).then_some(of_file)
    }

    fn is_temporal(self) -> bool {
        matches!(
            self.mapping.table_type,
            PrimitiveType::Date
                | PrimitiveType::Time
                | PrimitiveType::Timestamp
                | PrimitiveType::Timestamptz
                | PrimitiveType::TimestampNs
                | PrimitiveType::TimestamptzNs
        )
    }

    /// Whether these statistics follow the order of the values.
    ///
    /// The deprecated `min` and `max`, and any statistics of a file without column orders, were
    /// compared as signed numbers, or byte by byte as signed bytes.
    fn follows_order(self, reading: Reading, statistics: &Statistics) -> bool {
        let signed = matches!(
            reading,
            Reading::Boolean | Reading::Signed | Reading::Float | Reading::Double
        );
        match self.footer.file_metadata().column_order(self.leaf) {
            ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNDEFINED) | ColumnOrder::UNKNOWN => false,
            ColumnOrder::TYPE_DEFINED_ORDER(_) => signed || !statistics.is_min_max_deprecated(),
            ColumnOrder::UNDEFINED => signed,
        }
    }

    /// Unites the row groups' ranges. An end is known when every row group with values tells it.
    fn ends<T: Copy + PartialOrd>(
        self,
        reading: Reading,
        ends_of: impl Fn(&'a Statistics) -> Option<Ends<T>>,
    ) -> Option<Ends<T>> {
        let mut united: Option<Ends<T>> = None;
        for chunk in self.chunks() {
            if has_no_value(chunk) {
                continue;
            }
            let ends = chunk
                .statistics()
                .filter(|statistics| self.follows_order(reading, statistics))
                .and_then(&ends_of)
                .filter(Ends::is_sound)?;
            united = Some(match united {
                Some(united) => united.unite(ends),
                None => ends,
            });
        }
        united
    }

    /// The greatest maximum that may be the mere beginning of a value: arrow-rs's decoder does not
    /// tell a maximum that is marked inexact from one without a mark.
    fn upper_prefix(self) -> Option<&'a [u8]> {
        self.chunks()
            .filter_map(ColumnChunkMetaData::statistics)
            .filter(|statistics| !statistics.max_is_exact())
            .filter_map(Statistics::max_bytes_opt)
            .filter(|max| max.len() >= SUSPICIOUS_LENGTH && max.len().is_power_of_two())
            .max()
    }
}

impl<T: Copy + PartialOrd> Ends<T> {
    /// Whether the ends are ordered values: not NaN, and not crossed.
    fn is_sound(&self) -> bool {
        let ordered = |end: Option<T>| end.is_none_or(|end| end.partial_cmp(&end).is_some());
        ordered(self.lower)
            && ordered(self.upper)
            && self
                .lower
                .zip(self.upper)
                .is_none_or(|(lower, upper)| lower <= upper)
    }

    fn unite(self, other: Self) -> Self {
        let pick = |left: Option<T>, right: Option<T>, least: bool| {
            let (left, right) = (left?, right?);
            Some(if (right < left) == least { right } else { left })
        };
        Self {
            lower: pick(self.lower, other.lower, true),
            upper: pick(self.upper, other.upper, false),
        }
    }
}

/// The nulls of a chunk, if told, or if it cannot have any.
fn null_count(chunk: &ColumnChunkMetaData) -> Option<u64> {
    chunk
        .statistics()
        .and_then(Statistics::null_count_opt)
        .or_else(|| (chunk.column_descr().max_def_level() == 0).then_some(0))
}

/// Whether a chunk surely has nothing but nulls.
fn has_no_value(chunk: &ColumnChunkMetaData) -> bool {
    let nulls = chunk
        .statistics()
        .and_then(Statistics::null_count_opt)
        .unwrap_or(0);
    u64::try_from(chunk.num_values()) == Ok(nulls)
}

fn boolean(statistics: &Statistics) -> Option<Ends<bool>> {
    let Statistics::Boolean(values) = statistics else {
        return None;
    };
    Some(Ends {
        lower: values.min_opt().copied(),
        upper: values.max_opt().copied(),
    })
}

fn signed(statistics: &Statistics) -> Option<Ends<i128>> {
    Some(match statistics {
        Statistics::Int32(values) => Ends {
            lower: values.min_opt().map(|value| i128::from(*value)),
            upper: values.max_opt().map(|value| i128::from(*value)),
        },
        Statistics::Int64(values) => Ends {
            lower: values.min_opt().map(|value| i128::from(*value)),
            upper: values.max_opt().map(|value| i128::from(*value)),
        },
        _ => return None,
    })
}

fn unsigned(statistics: &Statistics) -> Option<Ends<i128>> {
    Some(match statistics {
        Statistics::Int32(values) => Ends {
            lower: values
                .min_opt()
                .map(|value| i128::from(value.cast_unsigned())),
            upper: values
                .max_opt()
                .map(|value| i128::from(value.cast_unsigned())),
        },
        Statistics::Int64(values) => Ends {
            lower: values
                .min_opt()
                .map(|value| i128::from(value.cast_unsigned())),
            upper: values
                .max_opt()
                .map(|value| i128::from(value.cast_unsigned())),
        },
        _ => return None,
    })
}

fn float(statistics: &Statistics) -> Option<Ends<f32>> {
    let Statistics::Float(values) = statistics else {
        return None;
    };
    Some(Ends {
        lower: values.min_opt().copied(),
        upper: values.max_opt().copied(),
    })
}

fn double(statistics: &Statistics) -> Option<Ends<f64>> {
    let Statistics::Double(values) = statistics else {
        return None;
    };
    Some(Ends {
        lower: values.min_opt().copied(),
        upper: values.max_opt().copied(),
    })
}

fn bytes(statistics: &Statistics) -> Option<Ends<&[u8]>> {
    Some(match statistics {
        Statistics::ByteArray(values) => Ends {
            lower: values.min_opt().map(AsBytes::as_bytes),
            upper: values.max_opt().map(AsBytes::as_bytes),
        },
        Statistics::FixedLenByteArray(values) => Ends {
            lower: values.min_opt().map(AsBytes::as_bytes),
            upper: values.max_opt().map(AsBytes::as_bytes),
        },
        _ => return None,
    })
}

/// As [`bytes`]. A greatest value that was cut off is none: nothing says by how much the values
/// exceed it.
fn fixed_bytes(statistics: &Statistics, width: usize) -> Option<Ends<&[u8]>> {
    let Ends { lower, upper } = bytes(statistics)?;
    let too_long = |end: Option<&[u8]>| end.is_some_and(|end| end.len() > width);
    (!too_long(lower) && !too_long(upper)).then(|| Ends {
        lower,
        upper: upper.filter(|upper| upper.len() == width),
    })
}

fn decimal(statistics: &Statistics) -> Option<Ends<i128>> {
    let Ends { lower, upper } = bytes(statistics)?;
    // A value that does not fit discredits both ends.
    let unscaled = |end: Option<&[u8]>| match end {
        Some(bytes) => unscaled_value(bytes).map(Some),
        None => Some(None),
    };
    Some(Ends {
        lower: unscaled(lower)?,
        upper: unscaled(upper)?,
    })
}

/// Reads a big-endian two's-complement number of any length.
fn unscaled_value(bytes: &[u8]) -> Option<i128> {
    const WIDTH: usize = size_of::<i128>();
    let sign = if bytes.first()? & 0x80 == 0 {
        0
    } else {
        u8::MAX
    };
    let (padding, tail) = bytes.split_at(bytes.len().saturating_sub(WIDTH));
    let fits = padding.iter().all(|byte| *byte == sign) && (tail.first()? ^ sign) & 0x80 == 0;
    let mut value = [sign; WIDTH];
    value[WIDTH - tail.len()..].copy_from_slice(tail);
    fits.then(|| i128::from_be_bytes(value))
}

#[cfg(test)]
mod tests {
    use super::unscaled_value;

    #[test]
    fn decimals_of_any_length() {
        for (bytes, value) in [
            (&[][..], None),
            (&[5], Some(5)),
            (&[0xFF], Some(-1)),
            (&[0x01, 0x00], Some(256)),
            (&[0xFF, 0x00], Some(-256)),
            (&[0; 17], Some(0)),
            (&[0xFF; 20], Some(-1)),
        ] {
            assert_eq!(unscaled_value(bytes), value, "{bytes:?}");
        }
        let mut wide = [0; 17];
        wide[1] = 0x80;
        assert_eq!(unscaled_value(&wide), None);
        wide[0] = 1;
        assert_eq!(unscaled_value(&wide), None);
        assert_eq!(unscaled_value(&i128::MIN.to_be_bytes()), Some(i128::MIN));
    }
}
